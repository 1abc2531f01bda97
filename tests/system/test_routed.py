"""Hop limits and scopes at a real router: what a gateway on one network sends, a gateway on another one receives or not."""
import json
import re

import pytest

from mcgw_testlib import Capture, Daemon, Mcgw, Sender, channel, wait_until
from routed_network import GW_IP, PEER_IP, RoutedNetwork, Smcroute, family, needs_ipv6_routing

GROUP4, GROUP6, LINK_LOCAL6 = "239.1.1.1", "ff15::1", "ff12::1"
GROUPS = pytest.mark.parametrize("group", [GROUP4, GROUP6], ids=["ipv4", "ipv6"])


@pytest.fixture
def routed(binaries):
    del binaries
    network = RoutedNetwork()
    yield network
    network.close()


@pytest.fixture
def near(routed):
    """The client of the gateway on the sender's network."""
    del routed
    with Daemon() as daemon:
        yield Mcgw(daemon.address)


@pytest.fixture
def far(routed):
    """The client of the gateway behind the router."""
    del routed
    with Daemon(host="peer") as daemon:
        yield Mcgw(daemon.address)


def send(mcgw, group, hop_limit, payload):
    mcgw.ok("pub", channel(group, 5000, "a0"), "--ttl", hop_limit, "--quiet", stdin=payload.encode() + b"\n")


def wait_route(mcgw, subscriber, group):
    """Sends until one has crossed: only then the kernel of the router has the route."""

    def crossed():
        send(mcgw, group, 64, "warm-up")
        return subscriber.stdout.items()

    wait_until(crossed, f"a datagram to {group} to cross the router")


def received(subscriber):
    """[(payload, hop limit on arrival)] without the warm-up."""
    lines = [json.loads(line) for line in subscriber.stdout.items()]
    return [(line["payload"], line["hop_limit"]) for line in lines if not line["payload"].startswith(WARM_UP)]


WARM_UP = "d2FybS11"  # In base64.
BASE64 = {"one": "b25l", "two": "dHdv", "31": "MzE=", "32": "MzI=", "33": "MzM=", "narrow": "bmFycm93", "wide": "d2lkZQ=="}


@GROUPS
def test_hop_limit_1_does_not_cross_and_2_does(near, far, tmp_path, group):
    if family(group) == 6:
        needs_ipv6_routing()
    with Smcroute(tmp_path, [group]), far.subscribe(channel(group, 5000, "b0"), "-o", "json") as subscriber:
        wait_route(near, subscriber, group)
        with Capture("r0", host="router") as capture:
            send(near, group, 1, "one")
            capture.wait_frame(lambda frame: frame.endswith(b"one"), "the datagram at the router")
        send(near, group, 2, "two")
        subscriber.wait_line(BASE64["two"])  # In order: the first would have come before.
        assert received(subscriber) == [(BASE64["two"], 1)]


def test_a_threshold_of_32_passes_33_and_blocks_31_and_32(near, far, tmp_path):
    with Smcroute(tmp_path, [GROUP4], threshold=32), far.subscribe(channel(GROUP4, 5000, "b0"), "-o",
                                                                   "json") as subscriber:
        wait_route(near, subscriber, GROUP4)
        for hop_limit in (31, 32, 33):
            send(near, GROUP4, hop_limit, str(hop_limit))
        subscriber.wait_line(BASE64["33"])
        assert received(subscriber) == [(BASE64["33"], 32)]


def test_the_preset_of_a_site_stays_in_it_and_that_of_a_region_leaves_it(near, far, tmp_path):
    with Smcroute(tmp_path, [GROUP4], threshold=32), far.subscribe(channel(GROUP4, 5000, "b0"), "-o",
                                                                   "json") as subscriber:
        wait_route(near, subscriber, GROUP4)
        send(near, GROUP4, "site", "narrow")
        send(near, GROUP4, "region", "wide")
        subscriber.wait_line(BASE64["wide"])
        assert received(subscriber) == [(BASE64["wide"], 63)]


def test_a_link_local_group_is_not_forwarded_and_a_site_local_one_is(near, far, tmp_path):
    needs_ipv6_routing()
    with Smcroute(tmp_path, [GROUP6, LINK_LOCAL6]), far.subscribe(
            channel(GROUP6, 5000, "b0"), channel(LINK_LOCAL6, 5000, "b0"), "-o", "json") as subscriber:
        wait_route(near, subscriber, GROUP6)
        with Capture("r0", host="router") as at_router, Capture("b0") as behind:
            send(near, LINK_LOCAL6, 2, "narrow")
            at_router.wait_frame(lambda frame: frame.endswith(b"narrow"), "the datagram at the router")
            send(near, GROUP6, 2, "wide")
            subscriber.wait_line(BASE64["wide"])
            assert not [frame for frame in behind.frames() if frame.endswith(b"narrow")]
        assert received(subscriber) == [(BASE64["wide"], 1)]


@GROUPS
def test_a_search_finds_a_peer_behind_the_router_in_the_second_ring(near, far, tmp_path, group):
    if family(group) == 6:
        needs_ipv6_routing()
    with Smcroute(tmp_path, [group]), far.start("pong", channel(group, 5000, "b0"), "--count", "1") as answerer:
        answerer.wait_error_line("answering on")
        result = near.ok("ping", channel(group, 5000, "a0"), "--timeout", "2")
        line, = result.stdout.splitlines()
        source = re.escape(f"[{PEER_IP[6]}]" if ":" in group else PEER_IP[4])
        assert re.match(rf"ring=2 {source}:\d+ time=[\d.]+ms routers=1 ttl=31 ", line), line
        assert "2 probes sent, 1 answered, the nearest in ring 2" in result.stderr
        assert answerer.wait() == 0
        asked, = answerer.stdout.items()
        source = re.escape(f"[{GW_IP[6]}]" if ":" in group else GW_IP[4])
        assert re.match(rf"ring=2 {source}:\d+ ttl=1 ", asked), asked


def test_a_search_shows_the_threshold_of_the_router(near, far, tmp_path):
    with Smcroute(tmp_path, [GROUP4], threshold=32), far.start("pong", channel(GROUP4, 5000, "b0")) as answerer:
        answerer.wait_error_line("answering on")
        assert near.run("ping", channel(GROUP4, 5000, "a0"), "--timeout", "0.1", "--max-ttl", "site").returncode == 6
        found = near.ok("ping", channel(GROUP4, 5000, "a0"), "--timeout", "2", "--min-ttl", "site", "--max-ttl", "region")
        assert found.stdout.startswith("ring=64 "), found.stdout
        assert " ttl=63 " in found.stdout


def test_without_a_routing_daemon_nothing_crosses(near, far):
    """Linux does not route multicast by itself, though it routes unicast."""
    with far.subscribe(channel(GROUP4, 5000, "b0"), "-o", "json") as subscriber, Capture("b0") as behind:
        with Capture("r0", host="router") as at_router:
            send(near, GROUP4, 64, "wide")
            at_router.wait_frame(lambda frame: frame.endswith(b"wide"), "the datagram at the router")
        fence_behind(behind)
        assert not [frame for frame in behind.frames() if frame.endswith(b"wide")]
        assert subscriber.stdout.items() == []


def fence_behind(capture):
    """Returns once unicast that was sent now has crossed the router, and so all that it forwarded before."""
    with Sender("a0", host="gw") as sender:
        sender.send(PEER_IP[4], 9, b"fence")
        capture.wait_frame(lambda frame: frame.endswith(b"fence"), "unicast across the router")


def test_a_gateway_forwards_nothing_between_its_interfaces(routed, near, far, tmp_path):
    """What two gateways join on both sides of a router comes over once: neither sends on what it receives."""
    del routed
    with Smcroute(tmp_path, [GROUP4]), far.subscribe(channel(GROUP4, 5000, "b0"), "-o", "json") as subscriber:
        with near.subscribe(channel(GROUP4, 5000, "a0"), "-o", "json") as own:
            wait_route(near, subscriber, GROUP4)
            with Capture("a0", host="gw") as left, Capture("b0") as right:
                send(near, GROUP4, 8, "one")
                send(near, GROUP4, 8, "two")
                for process in (subscriber, own):
                    process.wait_line(BASE64["two"])
                fence_behind(right)
                for capture in (left, right):
                    assert sum(frame.endswith(b"one") for frame in capture.frames()) == 1
            assert received(subscriber) == [(BASE64["one"], 7), (BASE64["two"], 7)]
            assert received(own) == [(BASE64["one"], 8), (BASE64["two"], 8)]
