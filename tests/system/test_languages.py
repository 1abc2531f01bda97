"""Programs in Go, Java and Python against the gateway: what each language's example receives, sends, and is refused.

client/build makes the examples, outside of the namespace, since their build tools fetch from their registries.
"""
import ipaddress
import os
import pathlib
import re
import signal
import socket
import time

import pytest

from mcgw_testlib import ROOT, Daemon, Process, Receiver, sender_to, users_of, wait_no_member

CLIENTS = pathlib.Path(os.environ.get("MCGW_CLIENTS_DIR", ROOT / "build" / "clients"))
TCP, UNIX = "127.0.0.1:50051", "unix:/run/mcgw.sock"
PORT = 5000
COUNT = 10_000
BURST = 100  # Datagrams between pauses: the gateway's socket buffer may be small where the user is not root.
PAUSE_S = 0.005
HOP_LIMIT = 7
START_S = 60  # A virtual machine starts slowly on a machine that is busy.

LANGUAGES = pytest.mark.parametrize("language", ["go", "java", "python"])
GROUPS = pytest.mark.parametrize("group", ["239.7.7.7", "ff15::77"], ids=["ipv4", "ipv6"])
GATEWAYS = pytest.mark.parametrize("gateway", [TCP, UNIX], ids=["tcp", "unix"])
HOLDERS = pytest.mark.parametrize("holder", [[], ["--session"]], ids=["stream", "session"])

DATAGRAM = re.compile(
    r"datagram channel=(?P<channel>\d+) sequence=(?P<sequence>\d+) source=(?P<source>\S+):(?P<port>\d+)"
    r" hop_limit=(?P<hop_limit>\d+) received_unix_ns=(?P<received>\d+) payload=b?[\"'](?P<payload>.*)[\"']")


class Example(Process):
    """A language's example program."""

    def __init__(self, language, *arguments):
        program = CLIENTS / language / "mcgw-example"
        if not program.exists():
            pytest.skip(f"the {language} client is not built: client/build {language} says what is missing")
        super().__init__([program, *arguments])

    def wait_subscribed(self):
        self.wait_line("^event subscribed", START_S)

    def datagrams(self):
        lines = [line for line in self.stdout.items() if line.startswith("datagram")]
        return [DATAGRAM.fullmatch(line).groupdict() for line in lines]


@pytest.fixture(autouse=True)
def gateway_process(net, binaries):
    """A gateway that listens on TCP and on a Unix socket."""
    del net, binaries
    with Daemon("--listen", UNIX, listen=TCP) as process:
        yield process


def set_hop_limit(sender, group):
    if ":" in group:
        sender.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
    else:
        sender.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOP_LIMIT)


@LANGUAGES
@GROUPS
@GATEWAYS
def test_every_datagram_arrives_in_order_with_its_metadata(net, language, group, gateway):
    arguments = ["--gateway", gateway, "--interface", "a0", "--count", COUNT, group, PORT]
    with Example(language, *arguments) as example, sender_to(group, "b0") as sender:
        set_hop_limit(sender, group)
        example.wait_subscribed()
        before = time.time_ns()
        for first in range(0, COUNT, BURST):
            sender.send(group, PORT, *(f"number {n}".encode() for n in range(first, first + BURST)))
            time.sleep(PAUSE_S)
        assert example.wait(START_S) == 0, example.errors()
        after = time.time_ns()
        source_port = sender.socket.getsockname()[1]
        datagrams = example.datagrams()
    assert [datagram["payload"] for datagram in datagrams] == [f"number {n}" for n in range(COUNT)]
    assert [int(datagram["sequence"]) for datagram in datagrams] == list(range(1, COUNT + 1))
    assert {datagram["channel"] for datagram in datagrams} == {datagrams[0]["channel"]}
    sources = {ipaddress.ip_address(datagram["source"].strip("[]")) for datagram in datagrams}
    assert sources == {ipaddress.ip_address(net.a0.peer_ip(group))}
    assert {int(datagram["port"]) for datagram in datagrams} == {source_port}
    assert {int(datagram["hop_limit"]) for datagram in datagrams} == {HOP_LIMIT}
    assert all(before - 10**9 < int(datagram["received"]) < after + 10**9 for datagram in datagrams)
    assert not [line for line in example.stdout.items() if line.startswith("event gap")]
    wait_no_member(group, "a0")


@LANGUAGES
@HOLDERS
def test_the_reason_of_an_error_is_read_from_the_status_details(language, holder):
    """A group of the source-specific range without a source: both a stream and a unary call are refused."""
    with Example(language, *holder, "--interface", "a0", "232.7.7.7", PORT) as example:
        assert example.wait(START_S) == 1
    error = example.errors()
    assert re.search(r"INVALID_?ARGUMENT SOURCE_REQUIRED: .*source_filter", error, re.I), error


@LANGUAGES
@HOLDERS
@GATEWAYS
def test_ctrl_c_ends_the_membership(language, holder, gateway):
    with Example(language, *holder, "--gateway", gateway, "--interface", "a0", "239.7.7.8", PORT) as example:
        example.wait_subscribed()
        assert users_of("239.7.7.8", "a0") == 1
        example.signal(signal.SIGINT)
        assert example.wait() in (0, 130), example.errors()  # 130: a Java program's way to end after Ctrl-C.
    assert "error" not in example.errors()
    wait_no_member("239.7.7.8", "a0")


@LANGUAGES
@GROUPS
def test_what_is_sent_reaches_the_network_and_the_subscriber(net, language, group):
    with Receiver(group, PORT, "b0", host="peer") as receiver:
        arguments = ["--gateway", UNIX, "--interface", "a0", "--send", "greetings", "--count", 1, group, PORT]
        with Example(language, *arguments) as example:
            assert example.wait(START_S) == 0, example.errors()
        receiver.wait_payload(b"greetings")
    datagram, = example.datagrams()
    assert datagram["payload"] == "greetings"
    assert ipaddress.ip_address(datagram["source"].strip("[]")) == ipaddress.ip_address(net.a0.gw_ip(group))


@LANGUAGES
def test_a_source_is_selected(net, language):
    group = "232.7.7.9"
    arguments = ["--interface", "a0", "--source", net.a0.peer_ip4, "--count", 1, group, PORT]
    with Example(language, *arguments) as example, sender_to(group, "b0") as sender:
        example.wait_subscribed()
        sender.send(group, PORT, b"chosen")
        assert example.wait() == 0, example.errors()
    datagram, = example.datagrams()
    assert datagram["payload"] == "chosen"
