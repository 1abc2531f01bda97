"""Groups, interfaces and processes that share a port stay apart."""
import signal

import pytest

from mcgw_testlib import Receiver, channel, sender_to, users_of, wait_member

END = b"-- end --\n"


def lines_until_end(subscriber):
    """What a `mcgw sub -o raw` prints up to the end marker."""
    subscriber.wait_line(END.decode().strip())
    lines = subscriber.stdout.items()
    return lines[:lines.index(END.decode().strip())]


def stop(subscriber):
    subscriber.signal(signal.SIGINT)
    assert subscriber.wait() == 0, subscriber.errors()


@pytest.mark.parametrize("first, second", [("239.3.3.1", "239.3.3.2"), ("ff15::31", "ff15::32"),
                                           ("239.3.3.1", "224.3.3.1"), ("239.3.3.1", "239.131.3.1")],
                         ids=["ipv4", "ipv6", "same-mac", "same-mac-same-scope"])
def test_groups_on_one_port_do_not_mix(net, mcgw, first, second):
    del net
    with mcgw.subscribe(channel(first, 5000, "a0"), "-o", "raw") as one:
        with mcgw.subscribe(channel(second, 5000, "a0"), "-o", "raw") as other, sender_to(first, "b0") as sender:
            for n in range(20):
                sender.send(first, 5000, f"first {n}\n".encode())
                sender.send(second, 5000, f"second {n}\n".encode())
            sender.send(first, 5000, END)
            sender.send(second, 5000, END)
            assert lines_until_end(one) == [f"first {n}" for n in range(20)]
            assert lines_until_end(other) == [f"second {n}" for n in range(20)]


@pytest.mark.parametrize("group", ["239.3.3.3", "ff15::33"], ids=["ipv4", "ipv6"])
def test_ports_of_one_group_do_not_mix(net, mcgw, group):
    del net
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as one:
        with mcgw.subscribe(channel(group, 5001, "a0"), "-o", "raw") as other, sender_to(group, "b0") as sender:
            sender.send(group, 5000, b"to 5000\n", END)
            sender.send(group, 5001, b"to 5001\n", END)
            assert lines_until_end(one) == ["to 5000"]
            assert lines_until_end(other) == ["to 5001"]


@pytest.fixture
def second_link(net):
    """Asked for before the gateway starts, so that it finds both cables."""
    return net.add_link()


@pytest.mark.parametrize("group", ["239.3.3.4", "ff15::34"], ids=["ipv4", "ipv6"])
def test_one_group_on_two_interfaces_is_two_channels(second_link, mcgw, group):
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as one:
        with mcgw.subscribe(channel(group, 5000, second_link.gw), "-o", "raw") as other:
            assert users_of(group, "a0") == users_of(group, "a1") == 1
            with sender_to(group, "b0") as by_first, sender_to(group, "b1") as by_second:
                by_first.send(group, 5000, b"by the first cable\n", END)
                by_second.send(group, 5000, b"by the second cable\n", END)
            assert lines_until_end(one) == ["by the first cable"]
            assert lines_until_end(other) == ["by the second cable"]


@pytest.mark.parametrize("group", ["239.3.3.5", "ff15::35"], ids=["ipv4", "ipv6"])
def test_a_join_on_one_interface_takes_nothing_from_another(second_link, mcgw, group):
    """Another process of the host has joined the group on the other interface, so that its datagrams do come in."""
    del second_link
    with Receiver(group, 5000, "a1"), mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        with sender_to(group, "b0") as by_first, sender_to(group, "b1") as by_second:
            by_second.send(group, 5000, b"by the second cable\n")
            by_first.send(group, 5000, b"by the first cable\n", END)
        assert lines_until_end(subscriber) == ["by the first cable"]


@pytest.mark.parametrize("group", ["239.3.3.6", "ff15::36"], ids=["ipv4", "ipv6"])
def test_all_interfaces_take_a_datagram_once_for_each(second_link, mcgw, group):
    del second_link
    with mcgw.subscribe(channel(group, 5000, "*"), "-o", "raw") as subscriber:
        assert users_of(group, "a0") == users_of(group, "a1") == 1
        with sender_to(group, "b0") as by_first, sender_to(group, "b1") as by_second:
            by_first.send(group, 5000, b"by the first cable\n")
            by_second.send(group, 5000, b"by the second cable\n")
            # Order holds within a channel, not across channels: the end is told only when both have come.
            subscriber.wait_line("by the first cable")
            subscriber.wait_line("by the second cable")
            by_first.send(group, 5000, END)
        assert sorted(lines_until_end(subscriber)) == ["by the first cable", "by the second cable"]


@pytest.mark.parametrize("group, stranger", [("239.3.3.7", "239.3.3.8"), ("ff15::37", "ff15::38")],
                         ids=["ipv4", "ipv6"])
def test_what_other_processes_joined_changes_nothing(net, mcgw, group, stranger):
    del net
    with Receiver(stranger, 5000, "a0") as other, mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber:
        with sender_to(group, "b0") as sender:
            sender.send(stranger, 5000, b"for the other process\n")
            sender.send(group, 5000, b"for the gateway\n", END)
        assert lines_until_end(subscriber) == ["for the gateway"]
        assert other.wait_count(1) == [b"for the other process\n"]
        stop(subscriber)
        wait_member(stranger, "a0")  # The gateway's leave is its own.
        assert other.payloads() == [b"for the other process\n"]


@pytest.mark.parametrize("group", ["239.3.3.9", "ff15::39"], ids=["ipv4", "ipv6"])
def test_what_is_published_comes_back_by_its_own_interface_only(second_link, mcgw, group):
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as same:
        with mcgw.subscribe(channel(group, 5000, second_link.gw), "-o", "raw") as other:
            mcgw.ok("pub", channel(group, 5000, "a0"), stdin=b"hello\n")
            mcgw.ok("pub", channel(group, 5000, "a0"), "--no-loop", stdin=b"not for this host\n")
            with sender_to(group, "b0") as by_first, sender_to(group, "b1") as by_second:
                by_first.send(group, 5000, b"\n" + END)
                by_second.send(group, 5000, END)
            assert lines_until_end(other) == []
            assert [line for line in lines_until_end(same) if line] == ["hello"]
