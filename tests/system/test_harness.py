"""The harness itself, on plain programs: if these fail, no other system test says anything."""
import signal
import subprocess

from mcgw_testlib import (Capture, Process, Receiver, Record, fence, in_peer, ip_maddr, needs, peer, sender_to,
                          source_filters, users_of, wait_member, wait_no_member)
import pytest

GROUPS = ["239.1.1.1", "ff15::1"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_datagram_crosses_the_cable(net, group):
    with Receiver(group, 5000, "a0") as receiver, sender_to(group, "b0") as sender:
        sender.send(group, 5000, b"one", b"", b"two")
        assert receiver.wait_count(3) == [b"one", b"", b"two"]


@pytest.mark.parametrize("group, other_source", [("232.1.1.1", "10.0.0.77"), ("ff35::1", "fd00::77")])
def test_a_source_filter_holds(net, group, other_source):
    source = net.a0.peer_ip(group)
    peer(["ip", "address", "add", f"{other_source}/{64 if ':' in group else 24}", "dev", "b0"]
         + (["nodad"] if ":" in group else []))
    with Receiver(group, 5000, "a0", source=source) as receiver:
        assert source_filters("a0")[(group, source)] == (1, 0)
        with sender_to(group, "b0", source=other_source) as stranger, sender_to(group, "b0", source=source) as wanted:
            stranger.send(group, 5000, b"stranger")
            wanted.send(group, 5000, b"wanted")
            assert receiver.wait_count(1) == [b"wanted"]


@pytest.mark.parametrize("group", GROUPS)
def test_memberships_are_seen_in_the_kernel_and_on_the_wire(net, group, tmp_path):
    with Capture("b0") as capture:
        with Receiver(group, 5000, "a0"), Receiver(group, 5001, "a0"):
            assert users_of(group, "a0") == 2
            assert group in ip_maddr("a0")
            capture.wait_record(group, "TO_EX")
            fence(capture, like=group)
        wait_no_member(group, "a0")
        capture.wait_record(group, "TO_IN")
        capture.close()
        changes = [Record(group, "TO_EX"), Record(group, "TO_IN")]
        assert capture.changes(group) == changes
        if ":" not in group:
            assert capture.records(group) == changes
        field = "icmpv6.mldr.mar.multicast_address" if ":" in group else "igmp.maddr"
        assert capture.tshark(f"{field} == {group}", tmp_path / "reports.pcap") == len(capture.records(group))


def test_two_cables_are_two_networks(net):
    net.add_link()
    group = "239.1.1.1"
    with Receiver(group, 5000, "a0") as first, Receiver(group, 5000, "a1") as second:
        assert users_of(group, "a0") == users_of(group, "a1") == 1
        with sender_to(group, "b1") as sender:
            sender.send(group, 5000, b"by the second cable")
            assert second.wait_count(1) == [b"by the second cable"]
        del first  # Bound to the group alone, it may see both cables: that is what the gateway has to prevent.


def test_socat_is_a_peer(net):
    needs("socat")
    command = ["socat", "-u", "UDP4-RECV:5030,ip-add-membership=239.1.1.1:10.0.0.2,reuseaddr", "-"]
    with Process(in_peer(command)) as receiver:
        wait_member("239.1.1.1", "b0", host="peer")
        subprocess.run(["socat", "-u", "-", "UDP4-DATAGRAM:239.1.1.1:5030,ip-multicast-if=10.0.0.1"],
                       input=b"hello\n", check=True, timeout=20)
        receiver.wait_line("hello")
        receiver.signal(signal.SIGTERM)
        receiver.wait()
