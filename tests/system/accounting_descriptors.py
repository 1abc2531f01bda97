"""Descriptors that run out, in each way that they can, while streams are open."""
import contextlib
import os
import resource
import select
import time

from accounting_traffic import NumberedSender, in_a_network
from crowd import crowds
from light_client import GATEWAY, PORT, Link, fields, request_headers
from mcgw_testlib import BIN, DEADLINE_S, Daemon, Mcgw, Process, wait_until
from raw_client import field, membership

JOIN, LEAVE = request_headers(GATEWAY + "Join"), request_headers(GATEWAY + "Leave")
CHECK = request_headers("/grpc.health.v1.Health/Check")
LINKS = 40  # That one round opens, more than are allowed.


class ScarceDaemon(Daemon):
    """A gateway that may open `files` descriptors."""

    def __init__(self, files, *arguments):
        self.address, self._files = "127.0.0.1:50051", files
        Process.__init__(self, ["prlimit", f"--nofile={files}:{files}", BIN / "mcgwd", *map(str, arguments)])
        self.wait_error_line(r"\bready\b")

    def descriptors(self):
        return {int(name) for name in os.listdir(f"/proc/{self.popen.pid}/fd")}

    @contextlib.contextmanager
    def exhausted(self, left):
        """It can open no more than `left` descriptors, as if something else in it held the others."""
        free = sorted(set(range(self._files)) - self.descriptors())[left]
        resource.prlimit(self.popen.pid, resource.RLIMIT_NOFILE, (free, self._files))
        yield
        resource.prlimit(self.popen.pid, resource.RLIMIT_NOFILE, (self._files, self._files))


def answers(link, count, deadline_s=DEADLINE_S):
    """[(call, messages, headers of the end)] of the next calls that end."""
    messages, ended, until = {}, [], time.monotonic() + deadline_s
    while len(ended) < count:
        ready, _, _ = select.select([link], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise TimeoutError(f"{len(ended)} of {count} calls were answered")
        for call, kind, value in link.receive():
            if kind == Link.MESSAGE:
                messages[call] = value
            else:
                ended.append((call, messages.get(call), value))
    return ended


def served_after(address, deadline_s=DEADLINE_S):
    """A new client, and the seconds until it was answered."""
    began = time.monotonic()
    while time.monotonic() - began < deadline_s:
        link = Link(address)
        try:
            link.begin(CHECK, b"")
            link.flush()
            answers(link, 1, deadline_s)
            return link, time.monotonic() - began
        except OSError:  # Refused, since there are too many.
            link.close()
            time.sleep(0.01)  # The pace of the tries.
    raise TimeoutError(f"no new client was served for {deadline_s} s")


class _Round:
    """One time all of it; what was wrong is in `broken`."""

    def __init__(self, daemon, operator, number):
        self.daemon, self.operator, self.number = daemon, operator, number
        self.broken, self.links, self.refused, self.took = [], [], 0, {}

    def run(self):
        self._join(1, "239.92.")  # From now on the operator's connection, and what the first Join opens for good, are there.
        before = len(self.daemon.descriptors())
        self._spend_on_connections()
        self._spend_on_joins()
        for link in self.links:
            link.close()
        self._serve("connections and joins")
        self._settle(before)
        with self.daemon.exhausted(self.number % 2):
            late = Link(self.daemon.address)  # The kernel takes it, the gateway cannot.
            late.begin(CHECK, b"")
            late.flush()
            if select.select([late], [], [], 0.1)[0]:
                self.broken.append("a client was accepted without a descriptor")
            self._join(1, "239.93.")
            began = time.monotonic()
        try:
            answers(late, 1)
        except OSError as error:
            self.broken.append(f"a client that came while there was no descriptor was not served: {error}")
        self.took["all"] = time.monotonic() - began
        late.close()
        self._settle(before)

    def _settle(self, before):
        wait_until(lambda: len(self.daemon.descriptors()) <= before, "descriptors to be given back")

    def _spend_on_connections(self):
        for _ in range(LINKS):
            self.links.append(Link(self.daemon.address))
            self.links[-1].begin(CHECK, b"")
        for link in list(self.links):
            try:
                link.flush()
                answers(link, 1)
            except OSError:
                self.links.remove(link)
                self.refused += 1
        if self.refused == 0:
            self.broken.append("no connection was refused: there were descriptors for all")

    def _join(self, count, base):
        """Joins that many groups in one session and ends it. The statuses."""
        statuses, session = [], b""
        for n in range(count):
            wish = field(2, membership("a0", f"{base}{n // 250}.{1 + n % 250}", PORT + n))
            self.operator.begin(JOIN, (field(1, session) if session else b"") + wish)
            self.operator.flush()
            (_, message, end), = answers(self.operator, 1)
            statuses.append(end.get("grpc-status"))
            if message:
                session = dict(fields(message))[1]
            elif b"HOST_LIMIT" not in end.get("grpc-status-details-bin", b""):
                self.broken.append(f"a Join without descriptors ended with {end}")
        if session:
            self.operator.begin(LEAVE, field(1, session) + field(4, b""))
            self.operator.flush()
            answers(self.operator, 1)
        return statuses

    def _spend_on_joins(self):
        statuses = self._join(200, "239.92.")
        if set(statuses) != {b"0", b"8"}:
            self.broken.append(f"joins ended with {set(statuses)}")

    def _serve(self, what):
        link, self.took[what] = served_after(self.daemon.address)
        link.close()


@in_a_network
def descriptors(network, rounds=3, streams=20, rate=200, judge_s=1.0, shards=1):
    """All descriptors are used up by connections, by joins, and by something else; streams go on, new clients are served.

    In each round until connections and joins are refused, then until the kernel refuses everything. No open stream may
    lose a datagram, and --judge-s after there are descriptors again a new client must have been served.
    """
    with ScarceDaemon(240, "--max-connections", 20, "--max-connections-per-peer", 20, "--keep-after-leave", "0s",
                      "--shards", shards) as daemon:
        crowd = crowds(daemon.address, streams, streams // 4, 1, groups=4)
        groups = [f"239.90.0.{n + 1}" for n in range(4)]
        sender = NumberedSender(groups, 1 << 40, rate)
        operator, broken, took, refused = Link(daemon.address), [], {}, 0
        sender.start()
        try:
            for number in range(rounds):
                one = _Round(daemon, operator, number)
                one.run()
                broken += one.broken
                refused += one.refused
                for what, seconds in one.took.items():
                    took[what] = max(took.get(what, 0), round(seconds, 3))
            sender.close()
            expected = sum(sender.numbers) * streams // 4
            wait_until(lambda: crowd[0].ask()["datagrams"] >= expected, "the last datagrams")
            end = crowd[0].ask()
            if end["open"] != streams or end["gaps"] or end["datagrams"] != expected:
                broken.append(f"of {streams} streams with {expected} datagrams there are {end}")
            broken += [f"served {seconds} s after {what} had been used up" for what, seconds in took.items()
                       if seconds > judge_s]
            Mcgw(daemon.address).ok("health")
            return {"rounds": rounds, "streams": streams, "delivered to them": end["datagrams"],
                    "connections refused": refused, "served again after at most (s)": took}, broken
        finally:
            for thing in [operator, *crowd, sender]:
                thing.close()
