"""Clients that are killed, stalled and cut off, a gateway that is frozen, a cable that is pulled: the course of it."""
import collections
import contextlib
import random
import signal
import time

from accounting_judging import (KERNEL, compare_with_clients, count, difference, judge_ledger, judge_numbers, within)
from accounting_traffic import PORT, NumberedSender, Proxy, Reader
from mcgw_testlib import Daemon, Mcgw, Receiver, channel, ip, wait_until
from soak_client import Client, minus

LOST_INTERFACE = "the interface was lost meanwhile, or joined again"


class Churn:
    """The parts of the scenario: who reads, and what is done to them."""

    GROUPS = ["239.77.0.1", "ff15::77:2"]
    NAMES = [channel(group, PORT, "a0") for group in GROUPS]
    INDEXED = {name: index for index, name in enumerate(NAMES)}

    def __init__(self, datagrams, rate, clients, shards, seed):
        self.chance = random.Random(seed)
        self.done = collections.Counter()
        self.daemon = Daemon("--channel-log-bytes", 1 << 20, "--subscriber-lag-limit-bytes", 1 << 18,
                             "--socket-buffer-bytes", 1 << 18, "--shards", shards, listen="127.0.0.1:50051")
        self.mcgw = Mcgw(self.daemon.address)
        self.proxy = Proxy(50052, ("127.0.0.1", 50051))
        self.steady = self._client()  # Keeps the channels from the first datagram on, and nothing disturbs it.
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
            told, right = ([] if not ranges else within(ranges.get(index, []), seen)
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
        """What it came to; after `finish`."""
        clients = [self.steady, *self.alive, *self.killed]
        return {"sent": sum(self.sender.numbers), "disturbances": dict(self.done), "streams": len(clients),
                "delivered to them": sum(track.count for client in clients for track in client.tracks.values()),
                "exact gaps in them": sum(len(found) for client in clients for found in client.ranges().values()),
                "unknown gaps in them": sum(len(found) for client in clients for found in client.unknowns().values()),
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


def _stands_at_the_end(reader, sender, names, readers):
    last = sender.numbers[readers.index(reader) % len(names)]
    return reader.last() == last or any(end >= last for _, end, _ in reader.ranges())
