"""What the network knows of the gateway's memberships while its interface changes: a switch that snoops is the witness.

The switch never asks: no query of its own reaches the gateway's host. So what it knows, it was told by a report that the
gateway has brought about. And it is as strict as many are: a report without a source is none.
"""
import json
import signal
import subprocess
import time

import pytest

from mcgw_testlib import DEADLINE_S, Capture, Daemon, Mcgw, channel, ip, needs, sender_to, sysctl, wait_until
from routed_network import run
from switched_network import GW_IP, PEER_IP, SwitchedNetwork, mdb

GROUPS = pytest.mark.parametrize("group", ["239.4.4.4", "ff15::44"], ids=["ipv4", "ipv6"])
ANY_SOURCE = ("exclude", ())
_STRICT = """
table bridge strict {
  chain out {
    type filter hook output priority 0
    oifname "s0" ip protocol igmp drop
    oifname "s0" icmpv6 type mld-listener-query drop
  }
  chain in {
    type filter hook prerouting priority -300
    iifname "s0" ip saddr 0.0.0.0 ip protocol igmp drop
    iifname "s0" ip6 saddr :: icmpv6 type { mld-listener-report, mld2-listener-report } drop
  }
}
"""


@pytest.fixture
def switched(binaries):
    del binaries
    needs("nft")
    network = SwitchedNetwork()
    run("switch", "nft", _STRICT)
    sysctl("net.ipv4.igmp_qrv", 1)  # An IGMP report is sent once, an MLD report twice.
    yield network
    network.close()


@pytest.fixture
def mcgw(switched):
    del switched
    with Daemon() as daemon:
        yield Mcgw(daemon.address)


def family(group):
    return 6 if ":" in group else 4


def wait_known(group, known=True):
    wait_until(lambda: ((group, None) in mdb()) == known, f"the switch {'to know' if known else 'to forget'} {group}")


def wait_up_here(interface):
    command = ["ip", "-j", "link", "show", "dev", interface]

    def is_up():
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]["operstate"] == "UP"

    wait_until(is_up, f"the link {interface}")


def receives(subscriber, group, interface="b0"):
    """Sends until a datagram has come."""
    with sender_to(group, interface, source=PEER_IP[family(group)]) as sender:
        end = time.monotonic() + DEADLINE_S
        before = len(subscriber.stdout.items())
        while len(subscriber.stdout.items()) == before:
            assert time.monotonic() < end, f"nothing of {group} arrives:\n{subscriber.errors()}"
            sender.send(group, 5000, b"datagram\n")
            time.sleep(0.02)


def stop(subscriber):
    subscriber.signal(signal.SIGINT)
    assert subscriber.wait() == 0, subscriber.errors()


# ---------------------------------------------------------------------------------------------------------- addresses


def test_an_ipv4_address_that_comes_after_the_join_is_reported_from(mcgw):
    group = "239.4.4.4"
    ip("-4", "address", "flush", "dev", "a0")
    with Capture("a0", host="gw") as capture, mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        capture.wait_record(group, "TO_EX")
        assert (group, None) not in mdb()
        ip("address", "add", f"{GW_IP[4]}/24", "dev", "a0")
        wait_known(group)
        receives(subscriber, group)
        subscriber.wait_error_line(r"gap in .*: an unknown number of datagrams lost")
        stop(subscriber)


def test_reports_come_from_an_address_that_the_interface_has(mcgw):
    """The one in use goes: from then on reports have the other one as their source."""
    group = "239.4.4.4"
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        wait_known(group)
        with Capture("a0", host="gw") as capture:
            ip("address", "add", "10.0.0.77/32", "dev", "a0")
            ip("address", "del", f"{GW_IP[4]}/24", "dev", "a0")
            capture.wait_record(group, "TO_EX")
            sources = {frame[26:30] for frame in capture.frames() if frame[12:14] == b"\x08\x00" and frame[23] == 2}
        assert sources == {bytes((10, 0, 0, 77))}
        receives(subscriber, group)
        stop(subscriber)


def test_a_link_local_address_that_comes_after_the_join_is_reported_from(mcgw):
    """By the kernel itself, so that the gateway has nothing to do and the stream nothing to lose."""
    group = "ff15::44"
    ip("link", "set", "a0", "addrgenmode", "none")
    ip("-6", "address", "flush", "dev", "a0", "scope", "link")
    with Capture("a0", host="gw") as capture, mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        capture.wait_record(group, "TO_EX")
        assert (group, None) not in mdb()
        ip("address", "add", "fe80::55/64", "dev", "a0")
        wait_known(group)
        receives(subscriber, group)
        assert "gap" not in subscriber.errors()
        stop(subscriber)


@GROUPS
def test_a_new_mac_address_is_known_to_a_switch_that_sends_groups_to_it(mcgw, group):
    """As the access points of a wireless network do."""
    run("switch", "bridge", "link", "set", "dev", "s0", "mcast_to_unicast", "on")
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        wait_known(group)
        receives(subscriber, group)
        ip("link", "set", "a0", "address", "02:00:00:00:00:99")
        receives(subscriber, group)
        subscriber.wait_error_line(r"gap in .*: an unknown number of datagrams lost")
        stop(subscriber)


# -------------------------------------------------------------------------------------------------------- the link


@GROUPS
def test_a_switch_beyond_a_bridge_is_told_again_when_its_port_comes_back(mcgw, group):
    """The bridge itself never loses its carrier, since another port keeps it."""
    ip("link", "add", "br9", "type", "bridge", "mcast_snooping", "0")
    ip("link", "add", "k0", "type", "veth", "peer", "name", "k1")
    # The end of a veth pair itself would pass for the way to a container.
    ip("link", "add", "u0", "link", "a0", "type", "macvlan", "mode", "passthru")
    for port in ("k0", "u0"):
        ip("link", "set", port, "master", "br9")
    for name in ("k0", "k1", "u0", "br9"):
        ip("link", "set", name, "up")
    ip("address", "flush", "dev", "a0")
    ip("address", "add", f"{GW_IP[4]}/24", "dev", "br9")
    ip("address", "add", f"{GW_IP[6]}/64", "dev", "br9", "nodad")
    try:
        with Capture("u0", host="gw") as capture, mcgw.subscribe(channel(group, 5000, "br9"), "-o", "raw") as subscriber:
            # One that is still to be repeated would pass for a new one.
            capture.wait_record(group, "TO_EX", count=2 if family(group) == 6 else 1)
            wait_known(group)
            run("switch", "ip", "link", "set", "s0", "down")
            wait_known(group, known=False)
            run("switch", "ip", "link", "set", "s0", "up")
            wait_known(group)
            receives(subscriber, group)
            subscriber.wait_error_line(r"gap in .*: an unknown number of datagrams lost")
            assert "br9 was lost" not in subscriber.errors()
            stop(subscriber)
    finally:
        for name in ("br9", "k0", "u0"):
            ip("link", "del", name)


@GROUPS
def test_a_carrier_that_comes_back_is_reported_on(mcgw, group):
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        wait_known(group)
        run("switch", "ip", "link", "set", "s0", "down")
        wait_known(group, known=False)
        subscriber.wait_error_line(r"interface a0 was lost: no carrier")
        run("switch", "ip", "link", "set", "s0", "up")
        wait_known(group)
        receives(subscriber, group)
        stop(subscriber)


# --------------------------------------------------------------------------------------- what changes nothing


def change_igmp_version():
    sysctl("net.ipv4.conf.a0.force_igmp_version", 2)
    sysctl("net.ipv6.conf.a0.force_mld_version", 1)


def stop_the_querier():
    run("switch", "ip", "link", "set", "br0", "type", "bridge", "mcast_querier", "0")


def take_the_multicast_flag():
    ip("link", "set", "a0", "multicast", "off")


def rename():
    ip("link", "set", "a0", "name", "r0")


@GROUPS
@pytest.mark.parametrize("change", [change_igmp_version, stop_the_querier, take_the_multicast_flag, rename])
def test_what_the_gateway_need_not_answer_loses_nothing(mcgw, group, change):
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        wait_known(group)
        change()
        for _ in range(3):
            receives(subscriber, group)
        assert "gap" not in subscriber.errors()
        stop(subscriber)
    if change is rename:
        ip("link", "set", "r0", "name", "a0")


# -------------------------------------------------------------------------------------- a port of another device


@GROUPS
def test_a_port_of_a_bridge_is_lost_until_it_is_free(mcgw, group):
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        receives(subscriber, group)
        ip("link", "add", "br9", "type", "bridge")
        ip("link", "set", "br9", "up")
        ip("link", "set", "a0", "master", "br9")
        subscriber.wait_error_line(r"interface a0 was lost: enslaved")
        listed = mcgw.json("channels")[0]
        assert "port of br9" in json.dumps(listed), listed
        assert mcgw.run("health", "interface/a0").returncode != 0
        refused = mcgw.run("sub", channel(group, 5001, "a0"))
        assert refused.returncode != 0
        assert "INTERFACE_ENSLAVED" in refused.stderr
        assert "join on br9" in refused.stderr
        waiting = mcgw.start("sub", channel(group, 5000, "a0"), "--wait-for-interface", "-o", "raw")
        waiting.wait_error_line(r"waiting for .*INTERFACE_ENSLAVED.*port of br9")
        ip("link", "set", "a0", "nomaster")
        ip("link", "del", "br9")
        wait_up_here("a0")
        wait_known(group)
        receives(subscriber, group)
        subscriber.wait_error_line(r"interface a0 is back")
        subscriber.wait_error_line(r"gap in .*: an unknown number of datagrams lost")
        receives(waiting, group)
        assert mcgw.run("health", "interface/a0").returncode == 0
        stop(waiting)
        stop(subscriber)
