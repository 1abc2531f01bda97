"""What one client does stops no other: publishers to slow links, clients that are gone or do not read, and those that
take all connections."""
import signal
import socket
import time

import pytest

from mcgw_testlib import Daemon, Mcgw, channel, ip, sender_to, wait_until
from raw_client import GATEWAY, RawClient, field, membership
from slow_links import make_slow, queued_bytes

GROUP = "239.7.7.1"
MORE_THAN_THREADS = 8  # gRPC has two threads on two cores, and one for every two cores more.


@pytest.fixture
def blocked(net, daemon, tmp_path):
    """More publishers than gRPC has threads, all of them waiting for a slow link; a1 is as fast as ever."""
    net.add_link()
    make_slow("a0", "200kbit")
    big = tmp_path / "big"
    big.write_bytes(bytes(20_000_000))
    mcgw = Mcgw(daemon.address)
    publishers = [mcgw.start("pub", channel("239.7.7.7", 5000, "a0"), "--file", big) for _ in range(MORE_THAN_THREADS)]
    wait_until(lambda: queued_bytes(daemon.popen.pid) > 100_000, "a full send buffer")
    yield publishers
    assert all(publisher.popen.poll() is None for publisher in publishers), "they are still at it"
    for publisher in publishers:
        publisher.kill()


def test_publishers_to_a_slow_link_stop_nobody(net, daemon, mcgw, blocked):
    del net, blocked
    for _ in range(3):
        mcgw.ok("health")
        mcgw.ok("join", channel("239.7.7.2", 5000, "a1"))
        mcgw.ok("channels")
        mcgw.ok("pub", channel("239.7.7.3", 5000, "a1"), stdin=b"x\n")
    mcgw.run("doctor")
    payloads = [b"%06d" % i for i in range(5000)]
    with mcgw.subscribe(channel(GROUP, 5000, "a1"), "--count", "5000", "--wait", "10") as subscriber:
        with sender_to(GROUP, "b1") as sender:
            sender.send(GROUP, 5000, *payloads)
        assert subscriber.wait() == 0, subscriber.errors()


def test_publishers_that_are_gone_give_their_place_back(net, daemon, mcgw, blocked):
    """What a client that has gone had still to send is dropped, and the link is free for others."""
    del net
    for publisher in blocked:
        publisher.kill()
    wait_until(lambda: queued_bytes(daemon.popen.pid) == 0, "what was in the buffers to leave", deadline_s=60)
    mcgw.ok("pub", channel("239.7.7.3", 5000, "a0"), stdin=b"x\n")
    blocked.clear()


def test_a_stop_waits_for_no_publisher(net, daemon, mcgw, blocked):
    del net, mcgw
    daemon.stop()
    for publisher in blocked:
        publisher.wait()
    blocked.clear()


def test_a_publisher_whose_batch_waits_is_told_of_a_stop(net, daemon, mcgw, tmp_path):
    del net
    make_slow("a0", "200kbit")
    big = tmp_path / "big"
    big.write_bytes(bytes(20_000_000))
    with mcgw.start("pub", channel("239.7.7.7", 5000, "a0"), "--file", big) as publisher:
        wait_until(lambda: queued_bytes(daemon.popen.pid) > 100_000, "a full send buffer")
        daemon.stop()
        publisher.wait()
        assert "DRAINING" in publisher.errors(), publisher.errors()


def open_streams(mcgw):
    return len(mcgw.json("subscribers"))


@pytest.fixture
def impatient(net, binaries, tmp_path):
    """A gateway that cuts who takes nothing for two seconds, and a second way to it."""
    del net, binaries
    unix = f"unix:{tmp_path}/s"
    with Daemon("--listen", unix, "--stall-timeout", "2s", listen="127.0.0.1:50051") as daemon:
        yield daemon, Mcgw(unix)


def test_a_client_that_is_gone_with_data_on_the_way_is_cut(impatient):
    daemon, mcgw = impatient
    with Mcgw(daemon.address).subscribe(channel(GROUP, 5000, "a0"), "-o", "raw"), sender_to(GROUP, "b0") as sender:
        assert open_streams(mcgw) == 1
        ip("link", "set", "lo", "down")
        try:
            sender.send(GROUP, 5000, *[bytes(1000)] * 100)
            wait_until(lambda: open_streams(mcgw) == 0, "the stream to go", deadline_s=12)
        finally:
            ip("link", "set", "lo", "up")


def test_a_slow_reader_on_a_unix_socket_is_not_cut(impatient):
    """What it reads is filled again at once, so most looks at its connection find it as it was."""
    daemon, unix = impatient
    mcgw = Mcgw(daemon.address)
    destination = channel(GROUP, 5000, "a0")
    with (unix.subscribe(destination, "-o", "raw") as stalled, RawClient(unix.gateway) as reader,
          mcgw.start("pub", destination, "--file", "/dev/zero", "--size", "1200", "--rate", "1500")):
        reader.open_windows()
        reader.message(reader.begin(GATEWAY, "Subscribe"), field(1, membership("a0", GROUP, 5000)), last=True)
        wait_until(lambda: open_streams(mcgw) == 2, "both streams to open")
        stalled.signal(signal.SIGSTOP)
        while open_streams(mcgw) == 2:
            for _ in range(5):
                time.sleep(0.1)  # Its pace.
                assert reader.take(20_000), "the slow reader was cut"
        assert reader.take(20_000) and open_streams(mcgw) == 1
        stalled.signal(signal.SIGCONT)


def test_a_client_that_takes_nothing_is_cut(impatient):
    _, mcgw = impatient
    with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw") as subscriber, sender_to(GROUP, "b0") as sender:
        assert open_streams(mcgw) == 1
        subscriber.signal(signal.SIGSTOP)
        sender.send(GROUP, 5000, *[bytes(1400)] * 3000)
        wait_until(lambda: open_streams(mcgw) == 0, "the stream to go", deadline_s=12)
        subscriber.signal(signal.SIGCONT)


def test_a_gateway_that_was_frozen_cuts_no_client(impatient):
    """Its clients had no chance to show that they read."""
    daemon, mcgw = impatient
    with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw", "--count", 2) as subscriber, \
            sender_to(GROUP, "b0") as sender:
        sender.send(GROUP, 5000, b"1\n")
        subscriber.wait_line("^1$")
        daemon.signal(signal.SIGSTOP)
        time.sleep(3)  # Longer than the stall timeout: what passes is the event.
        daemon.signal(signal.SIGCONT)
        # It has looked for stalled clients again when it has cut one that came later.
        with mcgw.subscribe(channel("239.7.7.2", 5000, "a0"), "-o", "raw") as stopped, \
                sender_to("239.7.7.2", "b0") as flood:
            stopped.signal(signal.SIGSTOP)
            flood.send("239.7.7.2", 5000, *[bytes(1400)] * 3000)
            wait_until(lambda: open_streams(mcgw) == 1, "the stopped client to go", deadline_s=12)
            stopped.signal(signal.SIGCONT)
        sender.send(GROUP, 5000, b"2\n")
        assert subscriber.wait() == 0, subscriber.errors()


def test_one_peer_does_not_take_all_connections(net, binaries, tmp_path):
    del net, binaries
    unix = f"unix:{tmp_path}/s"
    with Daemon("--listen", unix, "--max-connections", "20", listen="127.0.0.1:50051") as daemon:
        host, port = daemon.address.rsplit(":", 1)
        sockets = []
        try:
            for _ in range(20):
                sockets.append(socket.create_connection((host, int(port)), timeout=20))
            # Those that are let in are greeted with a SETTINGS frame, the others see the end.
            greeted = [connection for connection in sockets if connection.recv(1)]
            assert len(greeted) == 15, "three quarters"
            Mcgw(unix).ok("health")
            greeted[0].close()
            wait_until(lambda: Mcgw(daemon.address).run("health").returncode == 0, "its place to be free again")
        finally:
            for connection in sockets:
                connection.close()
