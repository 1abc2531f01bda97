"""How the gateway starts, is configured, and ends."""
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from mcgw_testlib import (BIN, Capture, Daemon, Mcgw, channel, igmp_users, mld_users, sender_to, users_of, wait_member,
                          wait_no_member, wait_until)

GROUPS = ["239.4.4.1", "239.4.4.2", "ff15::41", "ff15::42"]


def mcgwd(*arguments):
    """Runs the daemon with arguments that make it exit."""
    return subprocess.run([BIN / "mcgwd", *map(str, arguments)], capture_output=True, text=True, timeout=20,
                          check=False, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_leaves_every_group(net, binaries, number):
    del net, binaries
    before = igmp_users("a0"), mld_users("a0")
    with Daemon() as daemon, Capture("b0") as capture:
        mcgw = Mcgw(daemon.address)
        subscriber = mcgw.subscribe(*(channel(group, 5000, "a0") for group in GROUPS), "-o", "raw")
        mcgw.ok("join", channel("239.4.4.3", 5000, "a0"))
        for group in [*GROUPS, "239.4.4.3"]:
            assert users_of(group, "a0") == 1, group
        daemon.stop(number)
        assert (igmp_users("a0"), mld_users("a0")) == before
        for group in [*GROUPS, "239.4.4.3"]:
            capture.wait_record(group, "TO_IN")
        subscriber.close()


def test_a_stop_with_a_stalled_client_is_bounded(net, binaries):
    """A client that has stopped reading cannot hold the gateway up."""
    del net, binaries
    with Daemon("--drain-grace", "1s") as daemon:
        mcgw = Mcgw(daemon.address)
        group = "239.4.4.4"
        with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as subscriber, sender_to(group, "b0") as sender:
            subscriber.signal(signal.SIGSTOP)
            sender.send(group, 5000, *[bytes(1400)] * 5000)
            daemon.stop()
        assert users_of(group, "a0") == 0


@pytest.mark.parametrize("transport, most_s", [("tcp", 1.5), ("unix", 0.5)])
def test_a_resuming_client_finds_a_gateway_that_returns(net, binaries, tmp_path, transport, most_s):
    """Within a second, and at once on a Unix socket, whose directory a service manager removes and creates again."""
    del net, binaries
    group, run = "239.4.4.9", tmp_path / "run"
    run.mkdir()
    listen = f"unix:{run}/mcgw.sock" if transport == "unix" else "127.0.0.1:50051"
    daemon = Daemon(listen=listen)
    mcgw = Mcgw(listen)
    with mcgw.subscribe(channel(group, 5000, "a0"), "--resume", "-o", "raw") as subscriber:
        for _ in range(3):
            daemon.kill()
            wait_no_member(group, "a0")
            shutil.rmtree(run)
            time.sleep(2.5)  # Long enough for waits that grow to have grown.
            run.mkdir()
            daemon = Daemon(listen=listen)
            ready = time.monotonic()
            wait_member(group, "a0")
            assert time.monotonic() - ready < most_s, subscriber.errors()
        with sender_to(group, "b0") as sender:
            sender.send(group, 5000, b"again\n")
        subscriber.wait_line("again")
    daemon.close()


def test_a_session_expires(net, binaries):
    del net, binaries
    with Daemon("--session-lease", "1s") as daemon:
        mcgw = Mcgw(daemon.address)
        mcgw.ok("join", channel("239.4.4.5", 5000, "a0"))
        wait_member("239.4.4.5", "a0")
        wait_no_member("239.4.4.5", "a0")


def test_a_unix_socket_serves(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "mcgw.sock"
    with Daemon(listen=f"unix:{path}") as daemon:
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) & 0o007 == 0, oct(mode)
        mcgw = Mcgw(f"unix:{path}")
        mcgw.ok("health")
        with mcgw.subscribe(channel("239.4.4.6", 5000, "a0"), "-o", "raw") as subscriber:
            with sender_to("239.4.4.6", "b0") as sender:
                sender.send("239.4.4.6", 5000, b"by a socket in the file system\n")
            subscriber.wait_line("by a socket in the file system")
        daemon.stop()
        assert not path.exists()


def test_a_unix_socket_left_by_a_killed_gateway_is_taken_over(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "mcgw.sock"
    with Daemon(listen=f"unix:{path}") as killed:
        killed.signal(signal.SIGKILL)
        killed.wait()
    with Daemon(listen=f"unix:{path}"):
        Mcgw(f"unix:{path}").ok("health")


def test_a_unix_socket_of_a_living_gateway_is_not_taken_over(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "mcgw.sock"
    with Daemon(listen=f"unix:{path}"):
        second = mcgwd("--listen", f"unix:{path}")
        assert second.returncode not in (0, None)
        assert str(path) in second.stderr
        Mcgw(f"unix:{path}").ok("health")


def test_several_listeners_serve(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "mcgw.sock"
    with Daemon("--listen", "[::1]:50052", "--listen", f"unix:{path}", listen="127.0.0.1:50051"):
        for address in ("127.0.0.1:50051", "[::1]:50052", f"unix:{path}"):
            Mcgw(address).ok("health")


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "10.0.0.1:50051", "[::]:50051", "[fd00::1]:50051"])
def test_a_listener_off_the_loopback_is_refused(net, binaries, address):
    del net, binaries
    result = mcgwd("--listen", address)
    assert result.returncode not in (0, None)
    assert address in result.stderr and "loopback" in result.stderr, result.stderr


def test_a_busy_address_is_named(net, binaries):
    del net, binaries
    with socket.create_server(("127.0.0.1", 50051)):
        result = mcgwd()
    assert result.returncode not in (0, None)
    assert "127.0.0.1:50051" in result.stderr and "in use" in result.stderr, result.stderr


def test_a_good_configuration_is_checked_and_used(net, binaries, tmp_path):
    del net, binaries
    file = tmp_path / "mcgw.yaml"
    file.write_text("listen: ['127.0.0.1:50099']\ninterfaces: [a0]\nlog_level: info\nsession_lease: 30s\n")
    result = mcgwd("--config", file, "--check-config")
    assert result.returncode == 0, result.stderr
    with Daemon("--config", file):
        Mcgw("127.0.0.1:50099").ok("health")


@pytest.mark.parametrize("text, named", [
    ("lisen: ['127.0.0.1:50051']\n", ["lisen"]),
    ("log_level: loud\n", ["log_level", "loud"]),
    ("session_lease: 0.1s\n", ["session_lease"]),
    ("channel_log_bytes: 1\n", ["channel_log_bytes"]),
    ("channel_log_bytes: many\n", ["channel_log_bytes"]),
    ("listen: ['0.0.0.0:50051']\n", ["0.0.0.0:50051", "loopback"]),
    ("listen: ['127.0.0.1']\n", ["127.0.0.1", "port"]),
    ("listen: [\n", ["mcgw.yaml"]),
], ids=["unknown-key", "unknown-level", "short-lease", "small-log", "no-number", "not-loopback", "no-port", "no-yaml"])
def test_a_bad_configuration_is_refused_with_what_is_wrong(net, binaries, tmp_path, text, named):
    del net, binaries
    file = tmp_path / "mcgw.yaml"
    file.write_text(text)
    for extra in (["--check-config"], []):
        result = mcgwd("--config", file, *extra)
        assert result.returncode not in (0, None)
        for word in named:
            assert word in result.stderr, result.stderr


def test_a_missing_configuration_file_is_named(net, binaries, tmp_path):
    del net, binaries
    result = mcgwd("--config", tmp_path / "nowhere.yaml")
    assert result.returncode not in (0, None)
    assert "nowhere.yaml" in result.stderr


def test_a_flag_rules_over_the_environment_and_that_over_the_file(net, binaries, tmp_path, monkeypatch):
    del net, binaries
    file = tmp_path / "mcgw.yaml"
    file.write_text("listen: ['127.0.0.1:50061']\n")
    with Daemon("--config", file):
        Mcgw("127.0.0.1:50061").ok("health")
    monkeypatch.setenv("MCGW_LISTEN", "127.0.0.1:50062")
    with Daemon("--config", file):
        Mcgw("127.0.0.1:50062").ok("health")
    with Daemon("--config", file, listen="127.0.0.1:50063"):
        Mcgw("127.0.0.1:50063").ok("health")


def test_the_log_tells_of_memberships_and_not_of_datagrams(net, binaries):
    del net, binaries
    with Daemon() as daemon:
        mcgw = Mcgw(daemon.address)
        with mcgw.subscribe(channel("239.4.4.7", 5000, "a0"), "-o", "raw") as subscriber:
            with sender_to("239.4.4.7", "b0") as sender:
                sender.send("239.4.4.7", 5000, *[b"datagram\n"] * 100, b"end\n")
            subscriber.wait_line("^end$")
        wait_no_member("239.4.4.7", "a0")
        daemon.stop()
        about = [line for line in daemon.stderr.items() if "239.4.4.7" in line]
        assert 1 <= len(about) <= 10, about


def test_no_descriptor_is_left_behind(net, binaries):
    """Twenty subscriptions later the gateway holds as many descriptors as before."""
    del net, binaries
    with Daemon() as daemon:
        mcgw = Mcgw(daemon.address)

        def descriptors():
            return len(os.listdir(pathlib.Path("/proc", str(daemon.popen.pid), "fd")))

        def cycle(count):
            for n in range(count):
                with mcgw.subscribe(channel(f"239.4.5.{n + 1}", 5000, "a0"), "-o", "raw") as subscriber:
                    subscriber.signal(signal.SIGINT)
                    subscriber.wait()
            wait_until(lambda: not any(group.startswith("239.4.5.") for group in igmp_users("a0")), "no member left")

        cycle(3)
        before = descriptors()
        cycle(20)
        wait_until(lambda: descriptors() <= before + 1, f"at most {before + 1} descriptors")
