"""A wall clock that jumps changes nothing about leases, which run on the monotonic clock."""
import datetime
import glob
import os

import pytest

from mcgw_testlib import Daemon, Mcgw, channel, users_of, wait_until

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


@pytest.mark.skipif(LIBRARY is None, reason="needs faketime, which ./dev setup installs")
@pytest.mark.usefixtures("net", "binaries")
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
