"""Twice the load that the gateway carries without a loss, for as long as wanted."""
import contextlib
import itertools
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time

from accounting_crowds import MEBIBYTE, resident
from accounting_judging import count, judge_ledger, ledger
from accounting_traffic import PORT, NumberedSender, in_a_network
from mcgw_testlib import Daemon, Mcgw, Process, channel, wait_until
from raw_client import GATEWAY, HEALTH, INSPECTION, RawClient, field, membership
from soak_client import Client

GROUP = "239.96.0.1"
LOST = ("lagged_datagrams", "kernel_dropped_datagrams", "expired_datagrams")


def _send(size):
    """A process that sends at the rate that a line of standard input asks for, and says how many it has sent."""
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # The load must come, however busy the machine is.
    sender = NumberedSender([GROUP], sys.maxsize, 1, size=size)
    sender.start()
    for line in sys.stdin:
        with sender.held():
            sender.rate = max(float(line), 1e-9)
            print(sender.numbers[0], flush=True)
    sender.close()


class _Load(Process):
    def __init__(self, size):
        code = "import accounting_overload as a, sys; a._send(int(sys.argv[1]))"
        super().__init__([sys.executable, "-B", "-c", code, size], stdin=subprocess.PIPE,
                         env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent)})
        self._asked = 0

    def rate(self, rate):
        """Sends at this rate from now on; how many there were until now."""
        self._asked += 1
        self.popen.stdin.write(f"{rate}\n".encode())
        self.popen.stdin.flush()
        return int(self.stdout.wait(lambda lines: len(lines) >= self._asked and lines[self._asked - 1], "the sender"))


class _Control(threading.Thread):
    """Makes control calls all the time, ten rounds a second at most."""

    CALLS = {"health": (HEALTH, "Check", b""), "ListChannels": (INSPECTION, "ListChannels", b"")}

    def __init__(self, address):
        super().__init__(daemon=True)
        self._address, self.ending = address, threading.Event()
        self.times = {"Join": [], **{name: [] for name in self.CALLS}}
        self.failure = None
        self.start()

    def run(self):
        try:
            with RawClient(self._address) as client:
                for turn in itertools.count():
                    wish = membership("a0", f"239.96.1.{turn % 250}", PORT)
                    body = field(2, wish) + field(3, field(1, 1))
                    self.times["Join"].append(client.call(GATEWAY, "Join", body))
                    for name, call in self.CALLS.items():
                        self.times[name].append(client.call(*call))
                    if self.ending.wait(0.1):
                        return
        except OSError as error:
            self.failure = f"a control call failed: {error}"

    def finish(self, judge_s):
        """({name: p99 and most in ms}, what is wrong)."""
        self.ending.set()
        self.join()
        slow = {name: statistics.quantiles(values, n=100)[98] for name, values in self.times.items()}
        broken = [f"99 of 100 calls of {name} took up to {value:.2f} s" for name, value in slow.items() if value > judge_s]
        return ({name: (round(slow[name] * 1000, 1), round(max(values) * 1000, 1))
                 for name, values in self.times.items()}, broken + ([self.failure] if self.failure else []))


class _Readers:
    def __init__(self, mcgw, subscribers):
        self._mcgw = mcgw
        self.judge = Client(mcgw, {channel(GROUP, PORT, "a0"): 0})  # Keeps every number.
        self.judge.wait_subscribed()
        with open(os.devnull, "wb") as nothing:
            self.others = [mcgw.start("sub", channel(GROUP, PORT, "a0"), "-o", "raw", stdout=nothing)
                           for _ in range(subscribers - 1)]
        for other in self.others:
            other.wait_error_line("subscribed to", 60)

    def lost(self):
        """Of all streams, in all."""
        return sum(count(ledger(self._mcgw)["gateway"]["subscribers"], name) for name in LOST)

    def behind(self):
        account = ledger(self._mcgw)["gateway"]["subscribers"]
        return count(account, "pending_datagrams") + count(account, "in_flight_datagrams")

    def end(self):
        """What is wrong, by the readers' own account of what came and what was announced."""
        self.judge.end(signal.SIGTERM)
        broken = self.judge.judge({})
        for other in self.others:
            other.signal(signal.SIGTERM)
            other.wait(60)
            broken += [line for line in other.stderr.items() if "announced no gap" in line or "came twice" in line]
        return broken

    def close(self):
        for process in [self.judge.process, *self.others]:
            process.close()


def _is_carried(load, readers, rate, seconds):
    """Whether nothing is lost at this rate and the readers keep up; None if the sender does not."""
    lost, first = readers.lost(), load.rate(rate)
    time.sleep(seconds)  # The measured time.
    sent = load.rate(0) - first
    if sent < 0.95 * rate * seconds:
        return None
    time.sleep(1)  # What is on the way arrives; no event says that nothing is.
    return readers.lost() == lost and readers.behind() == 0


def _find_rated(load, readers, rate, seconds):
    """The highest rate at which nothing is lost: looked for in steps of a half, then of an eighth, with two tries each."""
    rated = 0
    for step in (1.5, 1.125):
        while all((carried := _is_carried(load, readers, rate, seconds)) for _ in range(2)):
            rated, rate = rate, rate * step
        if carried is None:
            raise RuntimeError(f"the sender does not manage {rate:.0f} a second: take more --subscribers")
        rate = rated * 1.125
    return rated


def _overload(load, readers, daemon, rate, seconds):
    """Memory in bytes at each second, and how many were sent."""
    memory, first, began = [], load.rate(rate), time.monotonic()
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(1, left))
        memory.append(resident(daemon))
    return memory, load.rate(rate / 4) - first


def _seconds_of_loss(readers, seconds):
    """Watches for so long: how late the last loss can have come."""
    began, last, lost = time.monotonic(), 0.0, None
    while time.monotonic() - began < seconds:
        now = readers.lost()
        if now != lost:
            lost, last = now, time.monotonic() - began
        time.sleep(0.02)
    return last


@in_a_network
def twice(network, subscribers=64, minutes=0.25, rate=1000, size=1000, try_s=3, judge_s=1.0, band_mib=16, shards=1):
    """The highest load without a loss is looked for, then twice of it is sent: losses are announced, the rest goes on.

    Held: the ledger's difference is 0 and each number that a reader misses was announced; the memory of the last third
    is within --band-mib of the first's; 99 of 100 control calls take --judge-s at most; --judge-s after the load has
    gone down to half of what is carried, nothing is lost any more.
    """
    with Daemon("--shards", shards) as daemon:
        mcgw, load, readers, control = Mcgw(daemon.address), _Load(size), None, None
        try:
            readers = _Readers(mcgw, subscribers)
            rated = _find_rated(load, readers, rate, try_s)
            before, control = readers.lost(), _Control(daemon.address)
            memory, sent = _overload(load, readers, daemon, 2 * rated, minutes * 60)
            late = _seconds_of_loss(readers, 5)
            lost = readers.lost() - before
            calls, broken = control.finish(judge_s)
            total = load.rate(0)
            if sent < 0.95 * 2 * rated * minutes * 60:
                broken.append(f"the sender managed {sent} of {2 * rated * minutes * 60:.0f}")
            if lost == 0:
                broken.append("nothing was lost: the load was too small to tell anything")
            if late > judge_s:
                broken.append(f"there was a loss {late:.2f} s after the load had gone down")
            third = len(memory) // 3
            if min(memory[-third:]) > max(memory[:third]) + band_mib * MEBIBYTE:
                broken.append(f"memory grew by more than {band_mib} MiB")
            wait_until(lambda: readers.behind() == 0, "readers to have caught up", 60)
            _, wrong = judge_ledger(mcgw, {GROUP: total})
            broken += wrong + readers.end()
            return {"subscribers": subscribers, "rated (a second)": round(rated), "offered (a second)": round(2 * rated),
                    "sent in the overload": sent, "lost then, over all streams": lost,
                    "control calls (ms), p99 and most": calls, "last loss after (s)": round(late, 2),
                    "memory (MiB), first third and last, most": [round(max(part) / MEBIBYTE, 1) for part
                                                                 in (memory[:third], memory[-third:])]}, broken
        finally:
            if control:
                control.ending.set()
            for thing in [load, *([readers] if readers else [])]:
                thing.close()
