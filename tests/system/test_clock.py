"""A wall clock that jumps changes nothing about leases, logs and waits, which run on the monotonic clock."""
import datetime
import glob
import os

import pytest

from mcgw_testlib import BIN, Daemon, Mcgw, Process, channel, ip, sender_to, users_of, wait_until

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
KEPT, SHORT = "239.83.0.1", "239.83.0.2"


class Clock:
    """The wall clock of one program."""

    def __init__(self, path):
        self._path = path
        self.environment = {**os.environ, "LD_PRELOAD": LIBRARY or "", "FAKETIME_TIMESTAMP_FILE": str(path),
                            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.jump(0)

    def jump(self, days):
        """To so many days from the host's clock."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{days:+d}d\n")
        fresh.rename(self._path)
        return datetime.datetime.now() + datetime.timedelta(days=days)


pytestmark = [pytest.mark.skipif(LIBRARY is None, reason="needs faketime, which ./dev setup installs"),
              pytest.mark.usefixtures("net", "binaries")]


def test_a_jump_of_the_wall_clock_neither_ends_nor_prolongs_a_lease(tmp_path):
    clock = Clock(tmp_path / "clock")
    with Daemon(env=clock.environment) as daemon:
        mcgw = Mcgw(daemon.address)
        mcgw.ok("join", channel(KEPT, 5000, "a0"), "--lease", 3600)
        for days in (400, -400):
            there = clock.jump(days)
            mcgw.ok("join", channel(SHORT, 5000, "a0"), "--lease", 1)
            # It was really seen: what the daemon logs bears the new date.
            daemon.wait_error_line(rf"^{there:%Y}-.*joined {SHORT}")
            # A lease of a second ends in its time, so the sweep has run since the jump; the long one holds.
            wait_until(lambda: users_of(SHORT, "a0") == 0, "the short lease to end")
            assert users_of(KEPT, "a0") == 1
        clock.jump(0)


def test_a_jump_of_the_wall_clock_neither_empties_a_log_nor_ends_what_is_retained(tmp_path):
    clock = Clock(tmp_path / "clock")
    with Daemon("--channel-log-age", "1h", "--keep-after-leave", "10m", env=clock.environment) as daemon:
        mcgw = Mcgw(daemon.address)
        name = channel(KEPT, 5000, "a0")
        with mcgw.subscribe(name, "--resume", "-o", "raw") as subscriber, sender_to(KEPT, "b0") as sender:
            sender.send(KEPT, 5000, b"first\n", b"second\n")
            subscriber.wait_line("second")
        for days in (400, -400):
            clock.jump(days)
            # The sweep has run since the jump: it ends the short lease.
            mcgw.ok("join", channel(SHORT, 5000, "a0"), "--lease", 1)
            wait_until(lambda: users_of(SHORT, "a0") == 0, "the short lease to end")
            assert mcgw.ok("sub", name, "--start", "oldest", "--count", 2, "-o", "raw").stdout == "first\nsecond\n"
        clock.jump(0)


def test_a_jump_of_the_wall_clock_does_not_end_a_clients_wait(tmp_path):
    clock = Clock(tmp_path / "clock")
    with Daemon() as daemon, sender_to(KEPT, "b0") as sender:
        environment = {**clock.environment, "MCGW_GATEWAY": daemon.address}
        command = [BIN / "mcgw", "sub", channel(KEPT, 5000, "a0"), "--wait", "3600", "-o", "raw"]
        with Process(command, env=environment) as subscriber:
            subscriber.wait_error_line("subscribed to")
            clock.jump(400)
            # An event makes it look at its wait.
            ip("link", "set", "a0", "down")
            subscriber.wait_error_line("was lost")
            ip("link", "set", "a0", "up")
            subscriber.wait_error_line("is back")

            def came():
                sender.send(KEPT, 5000, b"after the jump\n")
                return "after the jump" in subscriber.stdout.items()

            wait_until(came, "a datagram after the jump")
