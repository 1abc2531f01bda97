"""Clients whose host vanishes without a word, and slow ones that must not be taken for such."""
import contextlib
import re
import subprocess
import threading
import time

from accounting_traffic import NumberedSender, in_a_network
from light_client import GATEWAY, Link, Stream, request_headers
from mcgw_testlib import POLL_S, Daemon, Mcgw, igmp_users, needs

SUBSCRIBE = request_headers(GATEWAY + "Subscribe")
BUSY, QUIET = "239.94.0.1", "239.94.0.2"
VANISHING = "127.0.9."  # Where the clients are that vanish.
FREEING_S = 20


def subscribe(daemon, group, source=None):
    link, stream = Link(daemon.address, source), Stream(group, "a0")
    link.begin(SUBSCRIBE, stream.request())
    link.flush()
    while not stream.open:
        for _, _, message in link.receive(4000):
            stream.take(message)
    return link


@contextlib.contextmanager
def vanished(network=f"{VANISHING}0/24"):
    """Nothing comes from these addresses any more, nor reaches them."""
    needs("nft")
    rules = "\n".join(["table ip vanished {", "chain loss {", "type filter hook input priority 0;",
                       f"ip saddr {network} drop", f"ip daddr {network} drop", "}", "}"])
    subprocess.run(["nft", rules], check=True)
    yield
    subprocess.run(["nft", "delete", "table", "ip", "vanished"], check=True)


def connections():
    """{peer address} of the connections that the gateway still has; what the kernel alone holds has no owner."""
    lines = subprocess.run(["ss", "-Htnp", "sport", "=", ":50051"], capture_output=True, text=True, check=True).stdout
    return {re.sub(r":\d+$", "", line.split()[4]) for line in lines.splitlines() if "mcgwd" in line}


class SlowReader(threading.Thread):
    """Takes `most` bytes every `pause` seconds of a stream that always has more, and answers what must be."""

    def __init__(self, daemon, most, pause_s):
        super().__init__(daemon=True)
        self._most, self._pause_s = most, pause_s
        self._link = subscribe(daemon, BUSY)
        self.ending = threading.Event()
        self.cut_after = None
        self.began = time.monotonic()
        self.start()

    def run(self):
        try:
            while not self.ending.wait(self._pause_s):
                taken = 0
                while taken < self._most and not self.ending.is_set():
                    part = min(self._most - taken, 1 << 16)
                    self._link.receive(part)
                    taken += part
        except OSError:
            self.cut_after = time.monotonic() - self.began

    def close(self):
        self.ending.set()
        self.join()
        self._link.close()


@in_a_network
def halfopen(network, clients=5, minutes=0.4, slowest=2500, rate=500, shards=1):
    """Hosts of clients vanish, with nothing and with data on the way: they are freed within 20 s.

    Meanwhile, and for --minutes in all, others read slowly: one --slowest bytes a second, one 200 kB every 30 s, one
    20 kB a second. None of them may be cut.
    """
    broken, took, links = [], {}, []
    with Daemon("--shards", shards) as daemon:
        mcgw = Mcgw(daemon.address)
        sender = NumberedSender([BUSY, QUIET], 1 << 40, rate, size=1000)
        slow = {f"{slowest} bytes a second": SlowReader(daemon, slowest, 1),
                "200 kB every 30 s": SlowReader(daemon, 200_000, 30), "20 kB a second": SlowReader(daemon, 20_000, 1)}
        kinds = {"1": "idle", "2": "with data on the way", "3": "without a stream"}
        began = time.monotonic()
        try:
            sender.groups[1] = BUSY  # Nothing goes to the quiet one.
            sender.start()
            for number in range(clients):
                links.append(subscribe(daemon, f"239.94.1.{number + 1}", VANISHING + "1"))
                links.append(subscribe(daemon, BUSY, VANISHING + "2"))
                links.append(Link(daemon.address, VANISHING + "3"))
                links[-1].flush()
            with vanished():
                since = time.monotonic()
                while len(took) < len(kinds) and time.monotonic() - since < 4 * FREEING_S:
                    left = connections()
                    for number, kind in kinds.items():
                        if VANISHING + number not in left and kind not in took:
                            took[kind] = round(time.monotonic() - since, 1)
                    time.sleep(POLL_S * 5)
                for kind in kinds.values():
                    if took.get(kind, 4 * FREEING_S) > FREEING_S:
                        broken.append(f"clients {kind} were freed after {took.get(kind, 'more than 80')} s")
                if any(group.startswith("239.94.1.") for group in igmp_users("a0")):
                    broken.append("a group of a client that has vanished is still joined")
            time.sleep(max(began + minutes * 60 - time.monotonic(), 0))  # The slow readers go on meanwhile.
            for name, reader in slow.items():
                if reader.cut_after is not None:
                    broken.append(f"a reader of {name} was cut after {reader.cut_after:.0f} s")
            streams = len(mcgw.json("subscribers"))
            if streams != len(slow):
                broken.append(f"{streams} streams are open, of {len(slow)} slow readers: "
                              f"{[line for line in daemon.stderr.items() if ' cut ' in line]}")
            return {"vanished of each kind": clients, "freed after (s)": took, "slow readers": list(slow),
                    "not cut in (s)": round(time.monotonic() - began)}, broken
        finally:
            for thing in [*slow.values(), *links, sender]:
                thing.close()
