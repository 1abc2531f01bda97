"""Sending as a user does it: how far, how large, from which port, and what a stream leaves out."""
import json
import socket
import struct
import subprocess

import pytest

from mcgw_testlib import BIN, Capture, Daemon, Mcgw, Receiver, channel, fence, users_of

GROUP = "239.6.6.6"
GROUPS = pytest.mark.parametrize("group", [GROUP, "ff15::66"], ids=["ipv4", "ipv6"])


def hop_limit_and_class(frame, group):
    if ":" in group:
        return frame[21], struct.unpack_from("!I", frame, 14)[0] >> 20 & 255
    return frame[22], frame[15]


@GROUPS
@pytest.mark.parametrize("name, hops", [("subnet", 1), ("site", 32), ("region", 64), ("continent", 128),
                                        ("unrestricted", 255), ("33", 33)])
def test_hop_limits_by_name_and_number(net, mcgw, group, name, hops):
    del net
    with Capture("b0") as capture:
        mcgw.ok("pub", channel(group, 5000, "a0"), "--ttl", name, "--dscp", "46", "--ecn", "1", stdin=b"marked\n")
        capture.wait_frame(lambda frame: frame.endswith(b"marked"), "the datagram")
        frame = next(frame for frame in capture.frames() if frame.endswith(b"marked"))
    assert hop_limit_and_class(frame, group) == (hops, 46 << 2 | 1)


@GROUPS
def test_host_stays_on_the_host(net, mcgw, group, tmp_path):
    del net
    with Capture("b0") as capture, Receiver(group, 5000, "a0") as receiver:
        mcgw.ok("pub", channel(group, 5000, "a0"), "--ttl", "host", "--rate", "1000", stdin=b"stays\n" * 50)
        receiver.wait_count(50)
        assert users_of(group, "a0") == 2  # The receiver, and the gateway for a minute.
        fence(capture, like=group)
        capture.close()
        assert not any(b"stays" in frame for frame in capture.frames())
        assert capture.tshark("udp.dstport == 5000", tmp_path / "wire.pcap") == 0
        assert len(capture.changes(group)) == 1  # One membership, reported.
    listed = mcgw.ok("pub", channel(group, 5000, "a0"), "--ttl", "host", "--no-loop", stdin=b"").returncode
    assert listed == 0  # Nothing to send, nothing refused.
    refused = mcgw.run("pub", channel(group, 5000, "a0"), "--ttl", "host", "--no-loop", stdin=b"nobody\n")
    assert refused.returncode == 2
    assert "LOOP_REQUIRED" in refused.stderr


@GROUPS
def test_in_one_piece_or_not_at_all(net, mcgw, group):
    del net
    limit = 1452 if ":" in group else 1472
    with Capture("b0") as capture:
        mcgw.ok("pub", channel(group, 5000, "a0"), "--dont-fragment", stdin=b"w" * limit)
        capture.wait_frame(lambda frame: frame.endswith(b"w" * limit), "the whole datagram")
        refused = mcgw.run("pub", channel(group, 5000, "a0"), "--dont-fragment", stdin=b"f" * (limit + 1))
        assert refused.returncode == 2
        assert "PAYLOAD_TOO_LARGE" in refused.stderr and f"at most {limit} " in refused.stderr
        mcgw.ok("pub", channel(group, 5000, "a0"), stdin=b"f" * (limit + 1))
        capture.wait_frame(lambda frame: b"ffff" in frame, "a fragment")


@GROUPS
def test_the_configured_source_port(net, binaries, group):
    del net, binaries
    with Daemon("--source-port", "5000") as daemon:
        mcgw = Mcgw(daemon.address)
        with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "json", "--count", "1") as subscriber:
            mcgw.ok("pub", channel(group, 5000, "a0"), stdin=b"x\n")
            assert subscriber.wait() == 0, subscriber.errors()
        assert json.loads(subscriber.stdout.items()[0])["source_port"] == 5000


def test_a_source_port_that_is_held_is_told_with_its_holder(net, binaries):
    del net, binaries
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("", 5000))
        result = subprocess.run([BIN / "mcgwd", "--source-port", "5000"], capture_output=True, text=True, timeout=30,
                                check=False)
    assert result.returncode == 1
    assert "python" in result.stderr and "source_port" in result.stderr and "pid" in result.stderr


@GROUPS
def test_a_subscriber_leaves_out_what_the_gateway_sent(net, mcgw, group):
    del net
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw", "--exclude-own", "--count", "1") as subscriber:
        mcgw.ok("pub", channel(group, 5000, "a0"), stdin=b"own\n")
        with socket.socket(socket.AF_INET6 if ":" in group else socket.AF_INET, socket.SOCK_DGRAM) as other:
            index = socket.if_nametoindex("a0")
            if ":" in group:
                other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
                other.sendto(b"another program's", (group, 5000))
            else:
                other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
                other.sendto(b"another program's", (group, 5000))
        assert subscriber.wait() == 0, subscriber.errors()
    assert "".join(subscriber.stdout.items()) == "another program's"
