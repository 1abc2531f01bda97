"""Publishers to slow links, and what everybody else notices of them."""
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

from accounting_traffic import PORT, in_a_network
from mcgw_testlib import Daemon, Mcgw, channel, needs, wait_until
from raw_client import GATEWAY, HEALTH, INSPECTION, RawClient, field, membership


def make_slow(interface, rate="200kbit"):
    needs("tc")
    subprocess.run(["tc", "qdisc", "replace", "dev", interface, "root", "tbf", "rate", rate, "burst", "10kb", "limit",
                    "5mb"], check=True)


def queued_bytes(pid):
    """Bytes in the fullest send buffer of the process."""
    inodes = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(fd))
        except FileNotFoundError:
            pass
    rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]]
    return max((int(row[4].split(":")[0], 16) for row in rows if f"socket:[{row[9]}]" in inodes), default=0)


class Caller(threading.Thread):
    """Makes calls one after the other, until it is told to stop."""

    def __init__(self, address, service, method, body):
        super().__init__(daemon=True)
        self._address, self._call, self._body = address, (service, method), body
        self._stopping = False
        self.began, self.calls = time.monotonic(), 0
        self.start()

    def run(self):
        with RawClient(self._address) as client:
            while not self._stopping:
                client.call(*self._call, self._body(self.calls))
                self.calls += 1

    def stop(self):
        """How many calls a second there were."""
        self._stopping = True
        self.join()
        return round(self.calls / (time.monotonic() - self.began))


@in_a_network
def publishers(network, publishers=8, calls=50, rate="1mbit", joiners=0, judge_ms=0):
    """Publishers that wait for a slow link, while others ask for health, join, subscribe and have a diagnosis made.

    With --joiners N, so many more clients join IPv6 groups as fast as they can, and one has diagnoses made all the time.
    With --judge-ms N no health, Join or Subscribe may take longer.
    """
    network.add_link()
    make_slow("a0", rate)
    daemon = Daemon(listen="127.0.0.1:50051")
    mcgw, busy = Mcgw(daemon.address), []
    times = {"health": [], "Join": [], "Subscribe": [], "ListChannels": [], "Diagnose": []}
    try:
        with tempfile.NamedTemporaryFile() as big:
            big.truncate(100_000_000)
            for _ in range(publishers):
                busy.append(mcgw.start("pub", channel("239.84.0.1", PORT, "a0"), "--file", big.name))
            wait_until(lambda: queued_bytes(daemon.popen.pid) > 100_000, "a full send buffer")
            others = {f"joins {number}": Caller(daemon.address, GATEWAY, "Join", lambda call, number=number: field(
                2, membership("a1", f"ff15::{number + 1:x}:{call % 4000:x}", PORT)) + field(3, field(1, 1)))
                for number in range(joiners)}
            if joiners:
                others["diagnoses"] = Caller(daemon.address, INSPECTION, "Diagnose", lambda _: b"")
            with RawClient(daemon.address) as client:
                for call in range(calls):
                    wish = membership("a1", f"239.84.1.{call % 250}", PORT)
                    times["health"].append(client.call(HEALTH, "Check"))
                    times["Join"].append(client.call(GATEWAY, "Join", field(2, wish)))
                    with RawClient(daemon.address) as other:
                        times["Subscribe"].append(other.call(GATEWAY, "Subscribe", field(1, wish), until_end=False))
                    times["ListChannels"].append(client.call(INSPECTION, "ListChannels"))
                    if not joiners:
                        times["Diagnose"].append(client.call(INSPECTION, "Diagnose"))
            rates = {name: caller.stop() for name, caller in others.items()}
            broken = []
            if any(process.popen.poll() is not None for process in busy):
                broken.append("a publisher ended: the link was not slow enough to tell anything")
            for name in ("health", "Join", "Subscribe"):
                if judge_ms and max(times[name]) * 1000 > judge_ms:
                    broken.append(f"{name} took {max(times[name]) * 1000:.1f} ms")
        most = {f"{name} (ms), median and most": (round(statistics.median(values) * 1000, 1),
                                                  round(max(values) * 1000, 1)) for name, values in times.items() if values}
        return {"publishers": publishers, "others, calls a second": rates, **most}, broken
    finally:
        for process in busy:
            process.kill()
            process.close()
        daemon.close()
