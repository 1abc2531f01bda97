"""Routing daemons that follow memberships: what the gateway joins is what they pull from the sender's network."""
import ipaddress
import os
import pathlib
import shutil
import socket

import pytest

from mcgw_testlib import Capture, Daemon, Mcgw, Process, Receiver, channel, wait_no_member, wait_until
from routed_network import RoutedNetwork

GROUP, OTHER_GROUP = "239.1.1.1", "239.1.1.2"
# pimd takes up to 20 s until its interfaces have settled.
DEADLINE_S = 60
_IGMPPROXY = """
quickleave
phyint r0 upstream ratelimit 0 threshold 1
phyint r1 downstream ratelimit 0 threshold 1
phyint lo disabled
"""
_PIMD = """
rp-address 10.2.0.254 224.0.0.0/4
spt-threshold packets 0 interval 100
"""


def find(program):
    """As ./dev setup long has unpacked it, or installed; skips the test if there is none."""
    unpacked = pathlib.Path(os.environ.get("MCGW_UNPACKED", "/nonexistent"), program, "usr/sbin", program)
    found = str(unpacked) if unpacked.exists() else shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}, which ./dev setup long unpacks")
    return found


def start_igmpproxy(directory):
    (directory / "conf").write_text(_IGMPPROXY)
    return [find("igmpproxy"), "-n", directory / "conf"]


def start_pimd(directory):
    (directory / "conf").write_text(_PIMD)
    return [find("pimd"), "-f", "-c", directory / "conf"]


@pytest.fixture(params=[start_igmpproxy, start_pimd], ids=["igmpproxy", "pimd"])
def router(request, binaries, tmp_path):
    del binaries
    command = request.param(tmp_path)
    network = RoutedNetwork()
    with Process(["nsenter", "--net=/run/netns/router", *command]) as daemon:
        yield daemon
    network.close()


def test_a_membership_of_the_gateway_pulls_the_stream_through_the_router(router):
    """The gateway behind the router joins; the near one sends. What it did not join stays on the sender's network."""
    with Daemon() as near, Daemon(host="peer") as far, Mcgw(far.address).subscribe(
            channel(GROUP, 5000, "b0")) as subscriber, Receiver(
                OTHER_GROUP, 5000, "a0") as witness, Capture("b0") as capture:
        sender = Mcgw(near.address)

        def arrives():
            for group in (OTHER_GROUP, GROUP):
                sender.ok("pub", channel(group, 5000, "a0"), "--ttl", 8, "--quiet", stdin=b"through the router\n")
            return subscriber.stdout.items()

        wait_until(arrives, f"a datagram to cross the router; the daemon says:\n{router.errors()}", DEADLINE_S)
        for line in subscriber.stdout.items():
            assert f" {GROUP}:5000%b0 " in line
            assert " ttl=7 " in line
        assert witness.payloads()
        crossed = {str(ipaddress.IPv4Address(frame[30:34])) for frame in capture.frames()
                   if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_UDP}
        assert crossed == {GROUP}, "the group that was joined, and no other"
        subscriber.popen.terminate()
        subscriber.wait()
        wait_no_member(GROUP, "b0", host="peer")
        assert router.popen.poll() is None
