"""A switch that snoops: it learns from the gateway's reports just what the gateway joined, and holds back the rest."""
import itertools
import signal

import pytest

from mcgw_testlib import Capture, Daemon, Mcgw, Sender, channel, sender_to, wait_until
from routed_network import run
from switched_network import GW_IP, PEER_IP, SwitchedNetwork, mdb

GROUPS = pytest.mark.parametrize("group", ["239.4.4.4", "ff15::44"], ids=["ipv4", "ipv6"])
SOURCE_SPECIFIC = pytest.mark.parametrize("group", ["232.4.4.4", "ff35::44"], ids=["ipv4", "ipv6"])
_numbers = itertools.count(1)


@pytest.fixture
def switched(binaries):
    del binaries
    network = SwitchedNetwork()
    yield network
    network.close()


@pytest.fixture
def mcgw(switched):
    del switched
    with Daemon() as daemon:
        yield Mcgw(daemon.address)


def family(group):
    return 6 if ":" in group else 4


def stop(subscriber):
    subscriber.signal(signal.SIGINT)
    assert subscriber.wait() == 0, subscriber.errors()


def wait_mdb(expected):
    wait_until(lambda: mdb() == expected, f"the switch to know {expected} of the gateway's port")


@GROUPS
def test_the_switch_knows_what_was_joined_until_it_is_left(mcgw, group):
    assert mdb() == {}
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as first:
        wait_mdb({(group, None): ("exclude", ())})
        with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as second:
            stop(first)
            assert mdb() == {(group, None): ("exclude", ())}
            stop(second)
    wait_mdb({})


@SOURCE_SPECIFIC
def test_the_switch_knows_the_sources_that_were_joined(mcgw, group):
    one, other = PEER_IP[family(group)], {4: "10.0.0.77", 6: "fd00::77"}[family(group)]
    with mcgw.subscribe(channel(group, 5000, "a0", one), "-o", "raw") as first:
        wait_mdb({(group, None): ("include", (one,)), (group, one): ("include", ())})
        with mcgw.subscribe(channel(group, 5000, "a0", other), "-o", "raw") as second:
            wait_mdb({(group, None): ("include", tuple(sorted((one, other)))), (group, one): ("include", ()),
                      (group, other): ("include", ())})
            stop(second)
        wait_mdb({(group, None): ("include", (one,)), (group, one): ("include", ())})
        stop(first)
    wait_mdb({})


@GROUPS
def test_a_group_that_nobody_joined_is_held_back(mcgw, group):
    unjoined = {4: "239.4.4.5", 6: "ff15::45"}[family(group)]
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber, Capture("a0", host="gw") as capture, \
            sender_to(group, "b0") as sender, Sender("b0") as unicast:

        def arrives(destination):
            """Whether a datagram that is sent now reaches the gateway's host: before unicast that is sent after it."""
            payload, mark = (f"{word} {next(_numbers):06}\n".encode() for word in ("group", "fence"))
            sender.send(destination, 5000, payload)
            unicast.send(GW_IP[4], 9, mark)
            capture.wait_frame(lambda frame: frame.endswith(mark), "unicast through the switch")
            return any(frame.endswith(payload) for frame in capture.frames())

        wait_until(lambda: not arrives(unjoined), "the switch to hold back a group without a member")
        wait_mdb({(group, None): ("exclude", ())})
        assert arrives(group)
        assert not arrives(unjoined)
        subscriber.wait_line("^group ")
        stop(subscriber)
        wait_mdb({})
        wait_until(lambda: not arrives(group), "the switch to hold back the group that was left")


@SOURCE_SPECIFIC
def test_another_source_is_held_back(switched, mcgw, group):
    del switched
    wanted = PEER_IP[family(group)]
    other = {4: "10.0.0.3", 6: "fd00::3"}[family(group)]
    run("peer", "ip", "address", "add", f"{other}/{24 if family(group) == 4 else 64}", "dev", "b0",
        *(["nodad"] if family(group) == 6 else []))
    with mcgw.subscribe(channel(group, 5000, "a0", wanted), "-o", "raw") as subscriber, \
            Capture("a0", host="gw") as capture, sender_to(group, "b0", source=wanted) as good, \
            sender_to(group, "b0", source=other) as bad:
        wait_mdb({(group, None): ("include", (wanted,)), (group, wanted): ("include", ())})

        def only_the_wanted_arrives():
            number = next(_numbers)
            unwanted, payload = f"unwanted {number:06}".encode(), f"wanted {number:06}".encode()
            bad.send(group, 5000, unwanted + b"\n")
            good.send(group, 5000, payload + b"\n")
            subscriber.wait_line(f"^wanted {number:06}")
            return not any(unwanted in frame for frame in capture.frames())

        wait_until(only_the_wanted_arrives, "the switch to hold back the other source")
        assert not [line for line in subscriber.stdout.items() if line.startswith("unwanted")]
