"""Scenarios that hold the gateway's accounts against those of the sender and of the clients.

Each one returns what it measured and a list of promises that were broken. test_accounts.py runs them small, ./dev soak
NAME runs them at any size.
"""
import argparse
import array
import base64
import collections
import contextlib
import functools
import inspect
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import pytest

from mcgw_testlib import (BIN, Daemon, Mcgw, Network, Process, Receiver, Sender, channel, ip, peer, sender_to, sysctl,
                          wait_until)
from soak_client import HEADER, Client, minus

PORT = 5000
QUIET_S = 30
_GAP = re.compile(r"gap in (\S+): (\d+) datagrams? lost, sequence (\d+)(?: to (\d+))?, (.*)")
_UNKNOWN_GAP = re.compile(r"gap in (\S+): .* lost before sequence (\d+), (.*)")


# ------------------------------------------------------------------------------------------------------------- parts


class NumberedSender(threading.Thread):
    """Sends `count` datagrams to the groups in turn, numbered from 1 in each, at a rate."""

    def __init__(self, groups, count, rate, size=100, source=None):
        super().__init__(daemon=True)
        self.groups, self.count, self.rate, self.size = groups, count, rate, size
        self.numbers = [0] * len(groups)
        self.times = array.array("d")  # When each datagram of the first group was sent.
        self.failure = None
        self.ending = threading.Event()
        self._sending = threading.Lock()
        self._due = 0.0
        self.senders = [sender_to(group, "b0", source=source) for group in groups]
        for group, sender in zip(groups, self.senders):
            wait_until(lambda group=group, sender=sender: _can_send(sender, group), f"a route to {group}")

    def run(self):
        # On one core, since the network between the hosts keeps the order only of what one core sends.
        os.sched_setaffinity(threading.get_native_id(), {min(os.sched_getaffinity(0))})
        try:
            self._due = time.monotonic()
            while sum(self.numbers) < self.count and not self.ending.is_set():
                with self._sending:
                    ready = min(int((time.monotonic() - self._due) * self.rate), 200)
                    self._due += ready / self.rate
                    self.send(min(ready, self.count - sum(self.numbers)))
                time.sleep(0.002)
        except OSError as error:
            self.failure = f"the sender failed: {error}"

    @contextlib.contextmanager
    def held(self):
        """Nothing is sent meanwhile."""
        with self._sending:
            yield
            self._due = time.monotonic()

    def send(self, count):
        for _ in range(count):
            index = sum(self.numbers) % len(self.groups)
            self.numbers[index] += 1
            if index == 0:
                self.times.append(time.time())
            payload = HEADER.pack(index, self.numbers[index], 0).ljust(self.size, b".")
            self.senders[index].send(self.groups[index], PORT, payload)

    def close(self):
        self.ending.set()
        if self.is_alive():
            self.join()
        for sender in self.senders:
            sender.close()


def _in_a_network(scenario):
    @functools.wraps(scenario)
    def run(**options):
        with contextlib.closing(Network()) as network:
            return scenario(network, **options)
    return run


def _can_send(sender, group):
    """IPv6 has its routes some time after the link is up."""
    try:
        sender.send(group, PORT + 1, b"")
        return True
    except OSError:
        return False


class Proxy:
    """Stands between clients and the gateway, and cuts their connections."""

    def __init__(self, port, target):
        self.address, self._target = f"127.0.0.1:{port}", target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open, self._lock = [], threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._open.append((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self):
        with self._lock:
            connections, self._open = self._open, []
        for pair in connections:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        return bool(connections)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # Wakes the thread that accepts, which keeps it open.
        self._listener.close()
        self.cut()


class Reader:
    """A `mcgw sub -o json`: sequence, number and arrival of each datagram in order, and the gaps it was told of."""

    _DATAGRAM = re.compile(r'"sequence":(\d+),"size":\d+,"payload":"([A-Za-z0-9+/]{32})')

    def __init__(self, gateway, *arguments):
        env = {**os.environ, "MCGW_GATEWAY": gateway}
        command = [BIN / "mcgw", "sub", *map(str, arguments), "-o", "json"]
        self.process = Process(command, stdout=subprocess.PIPE, env=env)
        self.sequences, self.numbers, self.arrivals = array.array("Q"), array.array("Q"), array.array("d")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.popen.stdout:
            found = self._DATAGRAM.search(line.decode())
            if found:
                _, number, _ = HEADER.unpack(base64.b64decode(found[2]))
                self.sequences.append(int(found[1]))
                self.arrivals.append(time.time())
                self.numbers.append(number)

    def wait_subscribed(self):
        self.process.wait_error_line("subscribed to", 60)

    def last(self):
        """The number of the latest datagram; 0 before the first."""
        return self.numbers[-1] if self.numbers else 0

    def ranges(self):
        found = []
        for line in self.process.stderr.items():
            if match := _GAP.search(line):
                found.append((int(match[3]), int(match[4] or match[3]), match[5]))
        return found

    def unknowns(self):
        return [match[3] for line in self.process.stderr.items() if (match := _UNKNOWN_GAP.search(line))]

    def faults(self):
        return [line for line in self.process.stderr.items() if "announced no gap" in line or "came twice" in line]

    def end(self, number=signal.SIGTERM):
        if self.process.popen.poll() is None:
            self.process.signal(signal.SIGCONT)
            self.process.signal(number)
        self.process.wait(30)
        self._thread.join(30)


def ledger(mcgw, *arguments):
    return mcgw.json("ledger", *arguments)[0]


def count(message, field):
    return int(message.get(field, 0))


def difference(entry):
    """What a subscriber's ledger leaves unaccounted for."""
    parts = ["written", "filtered", "kernel_dropped", "lagged", "expired", "in_flight", "pending", "abandoned"]
    return count(entry, "offered_datagrams") - sum(count(entry, f"{part}_datagrams") for part in parts)


def judge_ledger(mcgw, sent_by_group=None):
    """Waits until all is quiet; then what does not add up, as lines."""
    def quiet():
        accounts = ledger(mcgw)["gateway"]
        waiting = count(accounts["subscribers"], "pending_datagrams") + count(accounts["subscribers"],
                                                                             "in_flight_datagrams")
        return accounts if waiting == 0 and accounts == ledger(mcgw)["gateway"] else None

    accounts = wait_until(quiet, "the streams to take what is there", QUIET_S)
    broken = []
    if difference(accounts["subscribers"]) != 0:
        broken.append(f"all subscribers: {difference(accounts['subscribers'])} unaccounted for")
    channels = accounts["channels"]
    if count(channels, "read_datagrams") != count(channels, "logged_datagrams") + count(channels,
                                                                                        "mismatched_datagrams"):
        broken.append(f"all channels: read is not logged and mismatched: {channels}")
    for entry in mcgw.json("channels"):
        place, own = entry["state"]["channel"], entry["ledger"]
        numbered = count(own, "logged_datagrams") + count(own, "kernel_dropped_datagrams")
        if int(place["next_sequence"]) - 1 != numbered:
            broken.append(f"{place['group']}: next_sequence {place['next_sequence']}, but {numbered} accounted for")
        sent = (sent_by_group or {}).get(place["group"])
        if sent is not None and sent != numbered:
            broken.append(f"{place['group']}: {sent} were sent, {numbered} are accounted for")
    for subscriber in mcgw.json("subscribers"):
        if difference(subscriber["ledger"]) != 0:
            broken.append(f"stream {subscriber['subscriber_id']}: {difference(subscriber['ledger'])} unaccounted for")
    return accounts, broken


# ------------------------------------------------------------------------------------------------------------- churn


LOST_INTERFACE = "the interface was lost meanwhile"
KERNEL = "dropped by the kernel"


class _Churn:
    """The parts of `churn`: who reads, and what is done to them."""

    GROUPS = ["239.77.0.1", "ff15::77:2"]
    NAMES = [channel(group, PORT, "a0") for group in GROUPS]
    INDEXED = {name: index for index, name in enumerate(NAMES)}

    def __init__(self, datagrams, rate, clients, seed):
        self.chance = random.Random(seed)
        self.done = collections.Counter()
        self.daemon = Daemon("--channel-log-bytes", 1 << 20, "--subscriber-lag-limit-bytes", 1 << 18,
                             "--socket-buffer-bytes", 1 << 18, listen="127.0.0.1:50051")
        self.mcgw = Mcgw(self.daemon.address)
        self.proxy = Proxy(50052, ("127.0.0.1", 50051))
        self.steady = self._client()  # Keeps the channels from the first datagram on, and nobody disturbs it.
        self.sender = NumberedSender(self.GROUPS, datagrams, rate)
        self.alive = [self._client() for _ in range(clients)]
        self.killed = []
        self.resuming = [Reader(self.proxy.address, name, "--resume") for name in self.NAMES]
        for reader in self.resuming:
            reader.wait_subscribed()

    def _client(self):
        client = Client(self.mcgw, self.INDEXED)
        client.wait_subscribed()
        return client

    def disturb(self):
        kind = self.chance.choice(["kill"] * 6 + ["stall"] * 12 + ["cut"] * 6 + ["freeze"] * 6 + ["unplug"])
        getattr(self, kind)()
        self.done[kind] += 1

    def kill(self):
        client = self.alive.pop(self.chance.randrange(len(self.alive)))
        client.end(signal.SIGKILL)
        self.killed.append(client)
        self.alive.append(self._client())

    def stall(self):
        client = self.chance.choice(self.alive)
        client.stall()
        time.sleep(self.chance.uniform(0.05, 1.0))
        client.go_on()

    def cut(self):
        self.proxy.cut()

    def freeze(self):
        """The kernel has to drop."""
        self.daemon.signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.05, 0.3))
        self.daemon.signal(signal.SIGCONT)

    def unplug(self):
        """The interface goes down while nothing is sent: a gap of unknown extent in each stream and channel."""
        with self.sender.held():
            wait_until(lambda: self._numbered() == self.sender.numbers, "all that was sent to be accounted for")
            ip("link", "set", "a0", "down")
            wait_until(lambda: self._states() == {"JOIN_STATE_WAITING"}, "the channels to wait")
            ip("link", "set", "a0", "up")
            wait_until(lambda: self._states() == {"JOIN_STATE_JOINED"}, "the channels to be joined again")
            self._await_path()

    def _await_path(self):
        """What is sent arrives again, which takes a moment in either family."""
        for group, sender in zip(("239.77.0.9", "ff15::77:9"), self.sender.senders):
            with Receiver(group, PORT, "a0") as probe:
                def arrives(group=group, sender=sender, probe=probe):
                    with contextlib.suppress(OSError):
                        sender.send(group, PORT, b"")
                    return probe.payloads()
                wait_until(arrives, f"the way of {group}")

    def _numbered(self):
        found = {entry["state"]["channel"]["group"]: int(entry["state"]["channel"]["next_sequence"]) - 1
                 for entry in self.mcgw.json("channels")}
        return [found[group] for group in self.GROUPS]

    def _states(self):
        return {entry["state"]["state"] for entry in self.mcgw.json("channels")}

    def finish(self):
        """Waits until all have what there is; what is wrong then, as lines."""
        broken = [self.sender.failure] if self.sender.failure else []
        for reader in self.resuming:
            wait_until(lambda reader=reader: _stands_at_the_end(reader, self.sender, self.NAMES, self.resuming),
                       "resumed readers", 60)
            reader.end()
            broken += judge_numbers(reader, "a resumed reader")
        everyone = [self.steady, *self.alive]
        wait_until(lambda: len(self.mcgw.json("subscribers")) == len(everyone), "only the steady ones to be open")
        self.accounts, wrong = judge_ledger(self.mcgw, dict(zip(self.GROUPS, self.sender.numbers)))
        broken += wrong + compare_with_clients(self.mcgw, everyone)
        self.marks = {entry["state"]["channel"]["group"]: count(entry["ledger"], "unknown_gaps")
                      for entry in self.mcgw.json("channels")}
        for client in everyone:
            client.end(signal.SIGTERM)
        for client in everyone + self.killed:
            broken += client.judge({}, {LOST_INTERFACE})
            broken += self._judge_drops(client)
        return broken + self._judge_the_steady()

    def _judge_drops(self, client):
        """What the kernel dropped is the same for all: within what a client saw, what the steady one was told."""
        broken = []
        for index in self.INDEXED.values():
            track = client.tracks[index]
            if track.count == 0:
                continue
            seen = [(track.first, track.last)]
            told, right = ([] if not ranges else _within(ranges.get(index, []), seen)
                           for ranges in (client.ranges(KERNEL), self.steady.ranges(KERNEL)))
            if minus(told, right) or minus(right, told):
                broken.append(f"numbers that the kernel dropped: a client was told {minus(told, right)[:3]} too much "
                              f"and {minus(right, told)[:3]} too little")
        return broken

    def _judge_the_steady(self):
        """The one that was there all the time against the sender and the sums of the gateway."""
        broken = []
        dropped = sum(last - first + 1 for ranges in self.steady.ranges(KERNEL).values() for first, last in ranges)
        counted = count(self.accounts["channels"], "kernel_dropped_datagrams")
        if dropped != counted:
            broken.append(f"the gateway counts {counted} drops of the kernel, the steady client heard of {dropped}")
        for index in self.INDEXED.values():
            # One cable may go and come several times while it is plugged in; the gateway's own count says how often.
            unknown, marks = len(self.steady.unknowns().get(index, [])), self.marks[self.GROUPS[index]]
            if unknown != marks or marks < self.done["unplug"]:
                broken.append(f"unplugged {self.done['unplug']} times, the gateway counts {marks} losses of unknown "
                              f"extent, the steady client heard of {unknown}")
            if self.steady.tracks[index].shift != 0:
                broken.append("numbers and sequences of the steady client differ")
        return broken

    def result(self):
        gaps = [client.ranges() for client in [self.steady, *self.alive, *self.killed]]
        return {"sent": sum(self.sender.numbers), "disturbances": dict(self.done), "streams in their time":
                len(self.alive) + len(self.killed) + 1, "delivered to them": sum(
                    track.count for client in [self.steady, *self.alive, *self.killed]
                    for track in client.tracks.values()),
                "exact gaps in them": sum(len(ranges) for one in gaps for ranges in one.values()),
                "gaps of unknown extent in them": sum(
                    len(found) for client in [self.steady, *self.alive, *self.killed]
                    for found in client.unknowns().values()),
                "channels": self.accounts["channels"], "subscribers": self.accounts["subscribers"],
                "difference": difference(self.accounts["subscribers"])}

    def close(self):
        self.sender.close()
        self.daemon.signal(signal.SIGCONT)
        for client in [self.steady, *self.alive]:
            client.process.close()
        for reader in self.resuming:
            reader.process.close()
        self.proxy.close()
        self.daemon.close()


@_in_a_network
def churn(network, datagrams=200_000, disturbances=50, rate=8000, clients=6, seed=None):
    """Clients are killed, stalled and cut off; the ledger's difference is 0, and clients and gateway agree on gaps."""
    for name in ("tcp_rmem", "tcp_wmem"):  # Small, so that a stalled client is felt soon.
        sysctl(f"net.ipv4.{name}", "4096 65536 262144")
    course = _Churn(datagrams, rate, clients, seed)
    try:
        pause = datagrams / rate / disturbances
        course.sender.start()
        for _ in range(disturbances):
            course.disturb()
            time.sleep(course.chance.uniform(0, max(2 * (pause - 0.3), 0.01)))
        wait_until(lambda: not course.sender.is_alive(), "the sender", datagrams / rate * 4 + 60)
        broken = course.finish()
        return course.result(), broken
    finally:
        course.close()


def _within(ranges, parts):
    """What of the sorted ranges lies in the parts."""
    return minus(sorted(ranges), minus(sorted(ranges), parts))


def _stands_at_the_end(reader, sender, names, readers):
    last = sender.numbers[readers.index(reader) % len(names)]
    return reader.last() == last or any(end >= last for _, end, _ in reader.ranges())


_CAUSES = {"kernel_dropped": KERNEL, "lagged": "too slow", "expired": "no longer in"}


def compare_with_clients(mcgw, clients):
    """What clients counted themselves against what the gateway says of their streams: each channel of each, and each
    cause of a loss, and the gaps.
    """
    def theirs(client, index):
        ranges = client.ranges().get(index, [])
        own = {"written_datagrams": client.tracks[index].count, "range_gaps": len(ranges),
               "unknown_gaps": len(client.unknowns().get(index, []))}
        for field, cause in _CAUSES.items():
            own[f"{field}_datagrams"] = sum(last - first + 1 for first, last in client.ranges(cause).get(index, []))
        return own

    def differences():
        ids = {subscriber["peer"].rpartition(":")[2]: subscriber["subscriber_id"]
               for subscriber in mcgw.json("subscribers")}
        groups = {entry["state"]["channel"]["channel_id"]: entry["state"]["channel"]["group"]
                  for entry in mcgw.json("channels")}
        found = []
        for client in clients:
            indexes = {name[:name.rindex(":")].strip("[]"): index for name, index in client.channels.items()}
            for entry in ledger(mcgw, "--subscriber", ids[_local_port(client.process.popen.pid)])["subscribers"]:
                own = theirs(client, indexes[groups[entry["channel_id"]]])
                gateways = {field: count(entry, field) for field in own}
                if own != gateways:
                    found.append(f"a client counted {own}, the gateway {gateways}")
        return found

    last = []

    def agree():
        last[:] = differences()
        return not last

    try:
        wait_until(agree, "clients and gateway to agree", QUIET_S)
    except pytest.fail.Exception:
        return last
    return []


def _local_port(pid):
    """Of a client's connection to its gateway."""
    lines = subprocess.run(["ss", "-Htnp", "state", "established"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[2].rpartition(":")[2] for line in lines.splitlines() if f"pid={pid}," in line)


def epochs(reader):
    """How often it was told that the log began anew."""
    return sum("began anew" in cause for cause in reader.unknowns())


def judge_numbers(reader, name, filtered=False):
    """What is wrong with what a reader got, by the sender's numbers; as lines."""
    broken = [f"{name}: {line}" for line in reader.faults()]
    backwards = [(a, b) for a, b in itertools.pairwise(reader.numbers) if b <= a]
    if backwards:
        broken.append(f"{name}: a datagram came twice or out of order: {backwards[:3]}")
    ranges, anew = reader.ranges(), epochs(reader)
    holes, shifts, missing = 0, 0, []
    received = itertools.pairwise(zip(reader.sequences, reader.numbers))
    for (sequence, number), (next_sequence, next_number) in received:
        if next_number == number + 1:
            continue
        if filtered:
            holes += 1  # Sequences belong to the filter too; what is missing is told by the number alone.
        elif next_sequence - sequence != next_number - number:
            shifts += 1  # Another epoch.
        else:
            missing.append((sequence + 1, next_sequence - 1))
    announced = sorted((first, last) for first, last, _ in ranges)
    if unannounced := minus(sorted(missing), announced):
        broken.append(f"{name}: not announced: {unannounced[:5]}")
    if not filtered and anew == 0 and reader.sequences:
        if any(a[1] >= b[0] for a, b in itertools.pairwise(announced)):
            broken.append(f"{name}: ranges overlap")
        if delivered := _within(minus(announced, missing), [(reader.sequences[0], reader.sequences[-1])]):
            broken.append(f"{name}: announced as missing, but delivered: {delivered[:5]}")
    if shifts > anew:
        broken.append(f"{name}: numbers moved {shifts} times, but {anew} other epochs were announced")
    if filtered and holes > anew + len(ranges):
        broken.append(f"{name}: {holes} holes, but {anew} other epochs and {len(ranges)} ranges were announced")
    return broken


# ------------------------------------------------------------------------------------------------------------ resume


@_in_a_network
def resume(network, breaks=50, restarts=3, rate=2000, seed=None):
    """Readers are cut off again and again, the gateway is restarted; nothing comes twice, each hole is announced."""
    chance = random.Random(seed)
    group = "239.78.0.1"
    peer(["ip", "address", "add", "10.0.0.3/24", "dev", "b0"])
    arguments = ("--channel-log-bytes", 16 << 20)
    daemon = Daemon(*arguments, listen="127.0.0.1:50051")
    mcgw, broken, done = Mcgw(daemon.address), [], collections.Counter()
    proxy = Proxy(50052, ("127.0.0.1", 50051))
    wanted = NumberedSender([group], sys.maxsize, rate, source="10.0.0.2")
    other = NumberedSender([group], sys.maxsize, rate // 4, source="10.0.0.3")
    readers = [Reader(proxy.address, channel(group, PORT, "a0", "10.0.0.2"), "--resume"),
               Reader(proxy.address, channel(group, PORT, "a0", "10.0.0.3"), "--resume")]
    plain = Reader(proxy.address, channel("239.78.0.2", PORT, "a0"), "--resume")  # Unfiltered, of its own group.
    alone = NumberedSender(["239.78.0.2"], sys.maxsize, rate)
    everyone = readers + [plain]
    try:
        for reader in everyone:
            reader.wait_subscribed()
        for sender in (wanted, other, alone):
            sender.start()
        at_restart = set(chance.sample(range(breaks), restarts))
        for step in range(breaks):
            before = [len(reader.numbers) for reader in everyone]
            # The next break comes when all are back, or sometimes while they still try.
            if step in at_restart:
                if chance.random() < 0.5:
                    daemon.kill()
                else:
                    daemon.stop()
                daemon = Daemon(*arguments, listen="127.0.0.1:50051")
                done["restarts"] += 1
            else:
                wait_until(proxy.cut, "a connection to cut", 30)
                done["cuts"] += 1
            if step in at_restart:
                wait_until(lambda: all(epochs(reader) >= done["restarts"] for reader in everyone), "the new epoch", 60)
            elif chance.random() < 0.7:
                wait_until(lambda before=before: all(len(reader.numbers) > had for reader, had in zip(everyone, before)),
                           "readers to be back", 60)
        for sender in (wanted, other, alone):
            sender.close()
            if sender.failure:
                broken.append(sender.failure)
        ends = [wanted.numbers[0], other.numbers[0], alone.numbers[0]]
        for reader, end in zip(everyone, ends):
            wait_until(lambda reader=reader, end=end: reader.last() == end, "the last datagram", 60)
        accounts, wrong = judge_ledger(mcgw)
        broken += wrong
        for reader, text in zip(everyone, ("a filtered reader", "another filtered reader", "an unfiltered reader")):
            reader.end()
            broken += judge_numbers(reader, text, filtered=reader is not plain)
        announced = [epochs(reader) for reader in everyone]
        if any(found != restarts for found in announced):
            broken.append(f"{restarts} restarts, but other epochs were announced {announced} times")
        return {**done, "sent": ends, "received": [len(reader.numbers) for reader in everyone], "epochs": announced,
                "ledger": accounts["subscribers"]}, broken
    finally:
        for sender in (wanted, other, alone):
            sender.close()
        for reader in everyone:
            reader.process.close()
        proxy.close()
        daemon.close()


# ---------------------------------------------------------------------------------------------------------- overload


@_in_a_network
def overload(network, datagrams=20_000):
    """About half of what is sent is dropped by the kernel: each number and its place agree with the sender's."""
    group = "239.79.0.1"
    daemon = Daemon("--socket-buffer-bytes", 1 << 16, "--channel-log-bytes", 16 << 20)
    mcgw, broken = Mcgw(daemon.address), []
    reader = Reader(daemon.address, channel(group, PORT, "a0"))
    sender = NumberedSender([group], datagrams, 1)
    burst = 340  # A half fits into the buffer.
    try:
        reader.wait_subscribed()
        while sender.numbers[0] < datagrams:
            daemon.signal(signal.SIGSTOP)
            sender.send(min(burst, datagrams - sender.numbers[0]))
            daemon.signal(signal.SIGCONT)
            # The next burst finds the buffer empty again.
            wait_until(lambda: count(mcgw.json("channels")[0]["fact"], "receive_queue_bytes") == 0, "an empty buffer")
        sender.send(1)  # Comes behind all drops.
        last = sender.numbers[0]
        wait_until(lambda: reader.last() == last, "the last datagram")
        accounts, wrong = judge_ledger(mcgw, {group: last})
        broken += wrong
        reader.end()
        broken += [f"sequence {sequence} is the sender's {number}" for sequence, number
                   in zip(reader.sequences, reader.numbers) if sequence != number][:3]
        missing = set(range(1, last + 1)) - set(reader.numbers)
        announced = [number for first, end, _ in reader.ranges() for number in range(first, end + 1)]
        if sorted(announced) != sorted(missing):
            broken.append(f"{len(missing)} are missing, {len(announced)} were announced, not the same")
        if any("dropped by the kernel" not in cause for _, _, cause in reader.ranges()):
            broken.append("a gap with another cause than the kernel")
        if count(accounts["channels"], "kernel_dropped_datagrams") != len(missing):
            broken.append(f"the channel counts {accounts['channels']}, {len(missing)} are missing")
        return {"sent": last, "dropped": len(missing), "gaps": len(reader.ranges())}, broken
    finally:
        daemon.signal(signal.SIGCONT)
        sender.close()
        reader.process.close()
        daemon.close()


# ---------------------------------------------------------------------------------------------------------- upstream


@_in_a_network
def upstream(network, datagrams=20_000, rate=5000, per_thousand=3):
    """What the network loses before the gateway stays the network's, and nobody is told that the gateway lost it."""
    group = "239.80.0.1"
    rule = f"ip daddr {group} udp dport {PORT} numgen random mod 1000 < {per_thousand} counter name lost drop"
    rules = (f"table netdev loss {{\n counter lost {{ }}\n"
             f"chain in {{\n type filter hook ingress device a0 priority 0;\n{rule}\n}}\n}}")
    subprocess.run(["nft", rules], check=True)
    daemon = Daemon()
    mcgw, broken = Mcgw(daemon.address), []
    reader = Reader(daemon.address, channel(group, PORT, "a0"))
    sender = NumberedSender([group], datagrams, rate)
    try:
        reader.wait_subscribed()
        sender.start()
        wait_until(lambda: not sender.is_alive(), "the sender", datagrams / rate * 4 + 60)

        def lost():
            text = subprocess.run(["nft", "-j", "list", "counter", "netdev", "loss", "lost"], capture_output=True,
                                  text=True, check=True).stdout
            return next(item["counter"]["packets"] for item in json.loads(text)["nftables"] if "counter" in item)

        wait_until(lambda: len(reader.numbers) + lost() == datagrams, "what was not lost")
        accounts, wrong = judge_ledger(mcgw, {group: datagrams - lost()})
        broken += wrong
        reader.end()
        if reader.ranges() or reader.unknowns() or reader.faults():
            broken.append(f"the gateway reports a loss: {reader.ranges()[:3]} {reader.unknowns()} {reader.faults()}")
        if count(accounts["channels"], "kernel_dropped_datagrams") != 0:
            broken.append("the gateway counts drops of its own")
        return {"sent": datagrams, "lost upstream": lost(), "received": len(reader.numbers)}, broken
    finally:
        sender.close()
        reader.process.close()
        daemon.close()
        subprocess.run(["nft", "delete", "table", "netdev", "loss"], check=False)


# ----------------------------------------------------------------------------------------------------------- stalled


def _memory(daemon, port):
    """Bytes of the daemon itself, and of the kernel for its connections."""
    status = pathlib.Path(f"/proc/{daemon.popen.pid}/status").read_text()
    user = int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024
    lines = subprocess.run(["ss", "-Htnm", "sport", "=", str(port)], capture_output=True, text=True, check=True).stdout
    kernel = 0
    for fields in re.findall(r"skmem:\(([^)]*)\)", lines):
        values = {re.match(r"[a-z]+", part)[0]: int(re.search(r"\d+$", part)[0]) for part in fields.split(",")}
        # Without "t": those are clones, in flight, of what is in "w".
        kernel += values["r"] + values["w"] + values["f"] + values["o"] + values["bl"]
    return user, kernel


def _delay_p99(readers, sender, first):
    """99 of 100 datagrams took less, in seconds from the sending program to the reading one."""
    delays = [arrival - sender.times[number - first - 1] for reader in readers
              for number, arrival in zip(reader.numbers, reader.arrivals) if number > first]
    return statistics.quantiles(delays, n=100)[98]


@_in_a_network
def stalled(network, readers=100, healthy=2, rate=2000, seconds=5, rounds=1, judge_delay=0):
    """Readers that stall beside healthy ones: those lose nothing, and each stalled one takes little memory.

    With judge_delay 1 the 99th percentile of the healthy ones' delay may grow to 1.2 times at most: the median of the
    rounds beside the stalled ones, against the median of those before they come and after they have gone.
    """
    group, name = "239.81.0.1", channel("239.81.0.1", PORT, "a0")
    daemon = Daemon("--max-connections", readers + healthy + 50, listen="127.0.0.1:50051")
    mcgw, broken, sleeping = Mcgw(daemon.address), [], []
    awake = [Reader(daemon.address, name) for _ in range(healthy)]
    total = 0
    alone_ms, beside_ms = [], []
    try:
        for reader in awake:
            reader.wait_subscribed()

        def run():
            nonlocal total
            sender = NumberedSender([group], int(rate * seconds), rate, size=1000)
            sender.numbers[0] = total
            sender.count += total
            sender.start()
            wait_until(lambda: not sender.is_alive(), "the sender", seconds * 10 + 60)
            first, total = total, sender.numbers[0]
            sender.close()
            wait_until(lambda: all(reader.last() == total for reader in awake), "healthy readers", 60)
            return round(_delay_p99(awake, sender, first) * 1e3, 3)

        if judge_delay:
            run()  # All are warm then.
        alone_ms += [run() for _ in range(rounds)]
        before = _memory(daemon, 50051)
        with open(os.devnull, "wb") as nothing:
            while len(sleeping) < readers:  # Not all at once: a program that starts has to get its turn within seconds.
                lot = [mcgw.start("sub", name, "-o", "raw", stdout=nothing)
                       for _ in range(min(50, readers - len(sleeping)))]
                sleeping += lot
                for process in lot:
                    process.wait_error_line("subscribed to", 60)
                    process.signal(signal.SIGSTOP)
        beside_ms += [run() for _ in range(rounds)]
        after = _memory(daemon, 50051)
        shares = sum(int(entry.get("pinned_bytes", 0)) for entry in mcgw.json("subscribers"))
        each = [(a - b) / readers for a, b in zip(after, before)]
        if sum(each) > 256 << 10:
            broken.append(f"a stalled reader takes {each[0]:.0f} bytes of the daemon and {each[1]:.0f} of the kernel")
        for process in sleeping:
            process.signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: len(mcgw.json("subscribers")) == healthy, "stalled readers to be gone", 60)
        if judge_delay:
            alone_ms += [run() for _ in range(rounds)]
        _, wrong = judge_ledger(mcgw, {group: total})
        broken += wrong
        for reader in awake:
            reader.end()
            broken += judge_numbers(reader, "a healthy reader")
            if reader.numbers != array.array("Q", range(1, total + 1)):
                broken.append(f"a healthy reader got {len(reader.numbers)} of {total}: {reader.ranges()[:3]}")
        growth = statistics.median(beside_ms) / statistics.median(alone_ms)
        if judge_delay and growth > 1.2:
            broken.append("the delay of healthy readers grew to more than 1.2 times")
        return {"stalled": readers, "healthy": healthy, "sent": total, "p99 delay alone (ms)": alone_ms,
                "p99 delay beside them (ms)": beside_ms, "growth of the median": round(growth, 3),
                "daemon bytes each": round(each[0]), "kernel bytes each": round(each[1]),
                "charged as pinned in all": shares}, broken
    finally:
        for process in sleeping:
            process.close()
        for reader in awake:
            reader.process.close()
        daemon.close()


# ------------------------------------------------------------------------------------------------------------ bridge


class Watcher(Receiver):
    """A plain receiver on the peer host, which counts what its own side has sent and keeps the other's numbers."""

    def __init__(self, group, port, interface, side):
        self.own, self.carried, self._side = 0, array.array("Q"), side
        super().__init__(group, port, interface, host="peer")

    def _run(self):
        with contextlib.suppress(OSError):
            while self._thread is not None:
                payload = self.socket.recv(65536)
                if len(payload) < HEADER.size:
                    continue  # The socket is being closed.
                side, number, _ = HEADER.unpack(payload[:HEADER.size])
                if side == self._side:
                    self.own += 1
                else:
                    self.carried.append(number)


@_in_a_network
def bridge(network, datagrams=20_000, rate=4000):
    """Two gateways, and clients that carry a group from the one's network to the other's, both ways; nothing echoes."""
    group, size = "239.82.0.1", 100
    link = network.add_link()
    daemons = [Daemon("--interface", "a0", listen="127.0.0.1:50051"),
               Daemon("--interface", link.gw, listen="127.0.0.1:50052")]
    sides = [("a0", "b0", daemons[0]), (link.gw, link.peer, daemons[1])]
    pipes, watchers, senders, broken = [], [], [], []
    try:
        for (near, _, daemon), (far, _, other) in (sides, sides[::-1]):
            listen = Mcgw(daemon.address).start("sub", channel(group, PORT, near), "--exclude-own", "-o", "raw",
                                                stdout=subprocess.PIPE)
            listen.wait_error_line("subscribed to")
            publish = Mcgw(other.address).start("pub", channel(group, PORT, far), "--no-loop", "--file", "-", "--size",
                                                size, stdin=listen.popen.stdout)
            pipes += [listen, publish]
        for side, (_, remote, _) in enumerate(sides):
            watchers.append(Watcher(group, PORT, remote, side))
            senders.append(Sender(remote))
        for number in range(1, datagrams + 1):
            for side, sender in enumerate(senders):
                sender.send(group, PORT, HEADER.pack(side, number, 0).ljust(size, b"."))
            if number % 20 == 0:
                time.sleep(20 / rate)
        counts = []
        for watcher in watchers:
            wait_until(lambda watcher=watcher: len(watcher.carried) >= datagrams, "all datagrams on the other side", 60)
        for side, sender in enumerate(senders):  # Whatever echoes comes before these.
            sender.send(group, PORT, HEADER.pack(side, datagrams + 1, 0).ljust(size, b"."))
        for watcher in watchers:
            wait_until(lambda watcher=watcher: watcher.carried[-1] == datagrams + 1, "the last datagram", 60)
            numbers = watcher.carried[:-1]
            counts.append(len(numbers))
            if sorted(numbers) != list(range(1, datagrams + 1)):
                broken.append(f"{datagrams} in, {len(numbers)} out, {len(set(numbers))} of them different")
            if watcher.own != datagrams + 1:
                broken.append(f"{watcher.own - datagrams - 1} datagrams came back to the network that they are of")
        for daemon in daemons:
            _, wrong = judge_ledger(Mcgw(daemon.address))
            broken += wrong
        return {"in": datagrams, "out": counts}, broken
    finally:
        for one in senders + watchers + pipes:
            one.close()
        for daemon in daemons:
            daemon.close()


# -------------------------------------------------------------------------------------------------------------- main

SCENARIOS = {"churn": churn, "resume": resume, "overload": overload, "upstream": upstream, "stalled": stalled,
             "bridge": bridge}


def main(arguments):
    """./dev soak NAME --OPTION VALUE…: the options are the parameters of the scenario."""
    parser = argparse.ArgumentParser(prog=f"soak {arguments[0]}", description=SCENARIOS[arguments[0]].__doc__)
    parameters = list(inspect.signature(SCENARIOS[arguments[0]]).parameters.values())[1:]  # Without the network.
    for name, default in ((parameter.name, parameter.default) for parameter in parameters):
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default) if default is not None else int,
                            default=default)
    measured, broken = SCENARIOS[arguments[0]](**vars(parser.parse_args(arguments[1:])))
    for name, value in measured.items():
        print(f"{name}: {value}")
    for line in broken:
        print(f"BROKEN: {line}")
    print(f"{len(broken)} promises broken" if broken else "every promise kept")
    return 1 if broken else 0
