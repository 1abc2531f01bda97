"""mcgw as a program among programs: its formats, limits, exit codes, and what it puts on the wire."""
import base64
import json
import signal
import struct
import subprocess
import time

import pytest

from mcgw_testlib import BIN, Capture, Receiver, channel, sender_to, wait_no_member

GROUP = "239.5.5.5"
GROUPS = pytest.mark.parametrize("group", [GROUP, "ff15::55"], ids=["ipv4", "ipv6"])


@GROUPS
def test_json_has_every_field_of_a_datagram(net, mcgw, group):
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "json", "--count", "3") as subscriber:
        before = time.time_ns()
        with sender_to(group, "b0") as sender:
            sender.send(group, 5000, b"one", b"", bytes(range(256)))
            port = sender.socket.getsockname()[1]
        assert subscriber.wait() == 0, subscriber.errors()
    lines = [json.loads(line) for line in subscriber.stdout.items()]
    assert [base64.b64decode(line["payload"]) for line in lines] == [b"one", b"", bytes(range(256))]
    assert [line["size"] for line in lines] == [3, 0, 256]
    assert [line["sequence"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert (line["group"], line["port"], line["interface"]) == (group, 5000, "a0")
        assert (line["source"], line["source_port"], line["hop_limit"]) == (net.a0.peer_ip(group), port, 1)
        assert before - 10**9 < line["receive_time_unix_ns"] < time.time_ns() + 10**9


def test_text_and_hex_show_source_and_payload(net, mcgw):
    for output, shown in (("text", r"10\.0\.0\.2:\d+ .*\bgreetings\b"), ("hex", "67 72 65 65")):
        with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", output, "--count", "1") as subscriber:
            with sender_to(GROUP, "b0") as sender:
                sender.send(GROUP, 5000, b"greetings")
            subscriber.wait_line(shown)
            assert subscriber.wait() == 0
    del net


def test_a_burst_comes_whole_with_and_without_a_batching_delay(net, mcgw):
    for flags in ([], ["--at-once"], ["--batch", "5ms"]):
        with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw", "--count", "500", *flags) as subscriber:
            with sender_to(GROUP, "b0") as sender:
                sender.send(GROUP, 5000, *(b"%03d\n" % number for number in range(500)))
            assert subscriber.wait() == 0, subscriber.errors()
        assert subscriber.stdout.items() == ["%03d" % number for number in range(500)]
    del net


def test_count_and_wait_end_a_subscription(net, mcgw):
    del net
    assert mcgw.run("sub", channel(GROUP, 5000, "a0"), "--wait", "0.2").returncode == 0
    assert mcgw.run("sub", channel(GROUP, 5000, "a0"), "--wait", "0.2", "--count", "1").returncode == 4
    wait_no_member(GROUP, "a0")
    with mcgw.subscribe(channel(GROUP, 5000, "a0"), "--count", "5") as subscriber:
        subscriber.signal(signal.SIGINT)
        assert subscriber.wait() == 130


def test_a_reader_that_has_had_enough_ends_a_subscription(net, mcgw):
    """`mcgw sub ... | head -n 1` exits."""
    del net
    process = subprocess.Popen([BIN / "mcgw", "sub", channel(GROUP, 5000, "a0"), "-o", "raw"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=mcgw.env)
    with process, sender_to(GROUP, "b0") as sender:
        assert b"subscribed" in process.stderr.readline()
        sender.send(GROUP, 5000, b"first\n")
        assert process.stdout.readline() == b"first\n"
        process.stdout.close()
        sender.send(GROUP, 5000, b"second\n")
        assert process.wait(20) == 0


def test_stats_tell_what_came(net, mcgw):
    del net
    with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw", "--count", "3", "--stats") as subscriber:
        with sender_to(GROUP, "b0") as sender:
            sender.send(GROUP, 5000, b"one", b"two", b"three")
        assert subscriber.wait() == 0
    assert "3 datagrams" in subscriber.errors(), subscriber.errors()


def test_stats_tell_the_gateways_own_account_of_the_stream(daemon, mcgw):
    with mcgw.subscribe(channel(GROUP, 5000, "a0", "10.0.0.2"), "-o", "raw", "--stats") as subscriber:
        with sender_to(GROUP, "b0") as sender:
            sender.send(GROUP, 5000, b"one\n", b"two\n", b"three\n")
        subscriber.wait_line("three")
        daemon.stop()  # The last that a stream says is its ledger.
        assert subscriber.wait() != 0
    assert "the gateway's last report: 3 offered = 3 written + 0 filtered + 0 dropped" in subscriber.errors()


@GROUPS
def test_ttl_and_dscp_are_on_the_wire(net, mcgw, group):
    with Capture("b0") as capture, Receiver(group, 5000, "b0", host="peer") as receiver:
        mcgw.ok("pub", channel(group, 5000, "a0"), "--ttl", "7", "--dscp", "46", stdin=b"marked\n")
        receiver.wait_payload(b"marked")
        capture.wait_frame(lambda frame: frame.endswith(b"marked"), "the datagram")
        frame = next(frame for frame in capture.frames() if frame.endswith(b"marked"))
    if ":" in group:
        assert (struct.unpack_from("!I", frame, 14)[0] >> 20 & 255, frame[21]) == (46 << 2, 7)
    else:
        assert (frame[15], frame[22]) == (46 << 2, 7)
    del net


@GROUPS
def test_the_ttl_is_one_by_default(net, mcgw, group):
    del net
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "json", "--count", "1") as subscriber:
        mcgw.ok("pub", channel(group, 5000, "a0"), stdin=b"near\n")
        assert subscriber.wait() == 0
    assert json.loads(subscriber.stdout.items()[0])["hop_limit"] == 1


def test_lines_are_datagrams_and_count_ends_them(net, mcgw):
    del net
    with Receiver(GROUP, 5000, "b0", host="peer") as receiver:
        mcgw.ok("pub", channel(GROUP, 5000, "a0"), "--count", "3", stdin=b"one\n\nthree\nfour\n")
        mcgw.ok("pub", channel(GROUP, 5000, "a0"), stdin=b"end")
        assert receiver.wait_payload(b"end") == [b"one", b"", b"three", b"end"]


def test_the_largest_datagrams_pass_both_ways(net, mcgw, tmp_path):
    del net
    for group, size in ((GROUP, 65507), ("ff15::55", 65527)):
        file = tmp_path / "payload"
        file.write_bytes(bytes(n * 7 % 251 for n in range(size)))
        with Receiver(group, 5000, "b0", host="peer") as receiver:
            mcgw.ok("pub", channel(group, 5000, "a0"), "--file", file, "--size", size)
            assert receiver.wait_count(1) == [file.read_bytes()]
        with open(tmp_path / "out", "wb") as out:
            with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw", "--count", "1", stdout=out) as subscriber:
                with sender_to(group, "b0") as sender:
                    sender.send(group, 5000, file.read_bytes())
                assert subscriber.wait() == 0, subscriber.errors()
        assert (tmp_path / "out").read_bytes() == file.read_bytes()


def test_a_rate_paces(net, mcgw, tmp_path):
    del net
    file = tmp_path / "payload"
    file.write_bytes(bytes(100 * 100))
    begin = time.monotonic()
    mcgw.ok("pub", channel(GROUP, 5000, "a0"), "--file", file, "--size", 100, "--rate", 100)
    assert time.monotonic() - begin >= 0.9


def test_interfaces_and_channels_agree_with_the_kernel(net, mcgw):
    listed = json.dumps(mcgw.json("interfaces"))
    for word in ("a0", net.a0.gw_ip4, net.a0.gw_ip6):
        assert f'"{word}' in listed, listed
    assert mcgw.json("channels") == []
    with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw") as subscriber, sender_to(GROUP, "b0") as sender:
        sender.send(GROUP, 5000, b"counted\n")
        subscriber.wait_line("counted")
        info, = mcgw.json("channels")
        at = info["state"]["channel"]
        assert (at["interface_name"], at["group"], at["port"]) == ("a0", GROUP, 5000)
        assert info["state"]["state"] == "JOIN_STATE_JOINED"
        assert info["wish"]["holder_count"] == 1 and info["fact"]["joined"] is True


def test_health_is_told(mcgw):
    assert "SERVING" in mcgw.ok("health").stdout.upper()
