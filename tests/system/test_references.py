"""Memberships as the network and the kernel see them: one for many clients, gone with the last."""
import signal

import pytest

from mcgw_testlib import (Capture, Record, channel, fence, ip_maddr, sender_to, source_filters, users_of, wait_member,
                          wait_no_member)

GROUPS = pytest.mark.parametrize("group", ["239.2.2.2", "ff15::22"], ids=["ipv4", "ipv6"])


def field(group):
    return "icmpv6.mldr.mar.multicast_address" if ":" in group else "igmp.maddr"


@GROUPS
def test_two_clients_are_one_membership(net, mcgw, tmp_path, group):
    del net
    joined, left = Record(group, "TO_EX"), Record(group, "TO_IN")
    with Capture("b0") as capture:
        with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as first:
            capture.wait_record(group, "TO_EX")
            with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as second:
                fence(capture, like=group)
                assert capture.changes(group) == [joined]
                assert users_of(group, "a0") == 1
                assert group in ip_maddr("a0")

                first.signal(signal.SIGINT)
                assert first.wait() == 0, first.errors()
                with sender_to(group, "b0") as sender:
                    sender.send(group, 5000, b"still here\n")
                second.wait_line("still here")
                fence(capture, like=group)
                assert capture.changes(group) == [joined]
                assert users_of(group, "a0") == 1

                second.signal(signal.SIGINT)
                assert second.wait() == 0, second.errors()
        capture.wait_record(group, "TO_IN")
        wait_no_member(group, "a0")
        assert group not in ip_maddr("a0")
        capture.close()
        assert capture.changes(group) == [joined, left]
        if ":" not in group:
            assert capture.records(group) == [joined, left]
        assert capture.tshark(f"{field(group)} == {group}", tmp_path / "reports.pcap") == len(capture.records(group))


@GROUPS
def test_a_killed_client_leaves(net, mcgw, group):
    del net
    with Capture("b0") as capture:
        with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
            wait_member(group, "a0")
            subscriber.signal(signal.SIGKILL)
            subscriber.wait()
        wait_no_member(group, "a0")
        capture.wait_record(group, "TO_IN")


@GROUPS
def test_a_killed_client_leaves_the_others_alone(net, mcgw, group):
    del net
    with Capture("b0") as capture, mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as survivor:
        with mcgw.subscribe(channel(group, 5000, "a0"), channel(group, 5001, "a0"), "-o", "raw") as victim:
            wait_member(group, "a0", users=2)  # One socket for each port.
            victim.signal(signal.SIGKILL)
            victim.wait()
        with sender_to(group, "b0") as sender:
            sender.send(group, 5000, b"still here\n")
        survivor.wait_line("still here")
        fence(capture, like=group)
        assert capture.changes(group) == [Record(group, "TO_EX")]


def test_a_killed_gateway_leaves(net, daemon, mcgw):
    del net
    group = "239.2.2.3"
    with Capture("b0") as capture, mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        wait_member(group, "a0")
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        capture.wait_record(group, "TO_IN")
        assert users_of(group, "a0") == 0
        subscriber.kill()


@pytest.mark.parametrize("group", ["232.2.2.2", "ff35::22"], ids=["ipv4", "ipv6"])
def test_a_source_specific_join_names_its_source_to_the_network(net, mcgw, group):
    source = net.a0.peer_ip(group)
    with Capture("b0") as capture:
        with mcgw.subscribe(channel(group, 5000, "a0", source), "-o", "raw") as subscriber:
            capture.wait_record(group, "ALLOW", [source])
            assert source_filters("a0")[(group, source)] == (1, 0)
            subscriber.signal(signal.SIGINT)
            assert subscriber.wait() == 0, subscriber.errors()
        capture.wait_record(group, "BLOCK", [source])
        wait_no_member(group, "a0")
        assert not [record for record in capture.records(group) if record.kind in ("TO_EX", "IS_EX")]


def test_two_sources_are_one_filter(net, mcgw):
    group, first_source, second_source = "232.2.2.4", net.a0.peer_ip4, "10.0.0.77"
    with mcgw.subscribe(channel(group, 5000, "a0", first_source), "-o", "raw") as first:
        with mcgw.subscribe(channel(group, 5000, "a0", second_source), "-o", "raw"):
            assert source_filters("a0") == {(group, first_source): (1, 0), (group, second_source): (1, 0)}
            with sender_to(group, "b0", source=first_source) as sender:
                sender.send(group, 5000, b"for the first\n")
            first.wait_line("for the first")


@GROUPS
def test_a_session_holds_what_it_joined_until_it_leaves(net, mcgw, group):
    del net
    other = "239.2.2.99"
    with Capture("b0") as capture:
        session = mcgw.ok("join", channel(group, 5000, "a0"), channel(other, 5000, "a0")).stdout.split()[1]
        assert users_of(group, "a0") == users_of(other, "a0") == 1
        mcgw.ok("join", channel(group, 5000, "a0"), "--session", session)
        mcgw.ok("leave", channel(group, 5000, "a0"), "--session", session)
        capture.wait_record(group, "TO_IN")
        assert (users_of(group, "a0"), users_of(other, "a0")) == (0, 1)
        mcgw.ok("leave", "--session", session)
        capture.wait_record(other, "TO_IN")
        assert users_of(other, "a0") == 0


def test_joins_and_leaves_of_a_session_act_on_its_open_stream(net, mcgw):
    del net
    first, second = "239.2.2.6", "239.2.2.7"
    session = mcgw.ok("join", channel(first, 5000, "a0")).stdout.split()[1]
    with mcgw.subscribe("--session", session, "-o", "raw") as subscriber, sender_to(first, "b0") as sender:
        sender.send(first, 5000, b"one\n")
        subscriber.wait_line("one")
        mcgw.ok("join", channel(second, 5000, "a0"), "--session", session)
        subscriber.wait_error_line(rf"subscribed to {second}:5000 on a0")
        sender.send(second, 5000, b"two\n")
        subscriber.wait_line("two")
        mcgw.ok("leave", channel(first, 5000, "a0"), "--session", session)
        subscriber.wait_error_line(rf"no longer subscribed to {first}:5000 on a0")
        sender.send(first, 5000, b"left\n")
        sender.send(second, 5000, b"three\n")
        subscriber.wait_line("three")
        assert subscriber.stdout.items() == ["one", "two", "three"]
