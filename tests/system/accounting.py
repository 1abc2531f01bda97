"""Scenarios that hold the gateway's accounts against those of the sender and of the clients.

Each one returns what it measured and a list of promises that were broken. test_accounts.py runs them small, ./dev soak
NAME runs them at any size.
"""
import argparse
import array
import collections
import contextlib
import inspect
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import time

from accounting_churn import Churn
from accounting_crowds import cycles, idle, kills
from accounting_descriptors import descriptors
from accounting_halfopen import halfopen
from accounting_judging import count, epochs, judge_ledger, judge_numbers
from accounting_overload import twice
from accounting_stops import restart, stops
from accounting_traffic import PORT, NumberedSender, Proxy, Reader, in_a_network
from mcgw_testlib import Daemon, Mcgw, Receiver, Sender, channel, peer, resident_bytes, sysctl, wait_until
from slow_links import publishers
from soak_client import HEADER
from test_attacks import ATTACKS, attack


# ------------------------------------------------------------------------------------------------------------- churn


@in_a_network
def churn(network, datagrams=200_000, disturbances=50, rate=10_000, clients=6, shards=1, seed=None):
    """Clients are killed, stalled and cut off; the ledger's difference is 0, and clients and gateway agree on gaps."""
    for name in ("tcp_rmem", "tcp_wmem"):  # Small, so that a stalled client is felt soon.
        sysctl(f"net.ipv4.{name}", "4096 65536 262144")
    course = Churn(datagrams, rate, clients, shards, seed)
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


# ------------------------------------------------------------------------------------------------------------ resume


@in_a_network
def resume(network, breaks=50, restarts=3, rate=2000, shards=1, seed=None):
    """Readers are cut off again and again, the gateway is restarted; nothing comes twice, each hole is announced."""
    chance = random.Random(seed)
    group = "239.78.0.1"
    peer(["ip", "address", "add", "10.0.0.3/24", "dev", "b0"])
    arguments = ("--channel-log-bytes", 16 << 20, "--shards", shards)
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
                def back(before=before):
                    return all(len(reader.numbers) > had for reader, had in zip(everyone, before))
                wait_until(back, "readers to be back", 60)
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


@in_a_network
def overload(network, datagrams=20_000, shards=1):
    """About half of what is sent is dropped by the kernel: each number and its place agree with the sender's."""
    group = "239.79.0.1"
    daemon = Daemon("--socket-buffer-bytes", 1 << 16, "--channel-log-bytes", 16 << 20, "--shards", shards)
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


@in_a_network
def upstream(network, datagrams=20_000, rate=5000, per_thousand=3):
    """What the network loses before the gateway stays the network's, and the gateway does not report it as its own."""
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


class _Healthy:
    """Readers of a gateway that keep up, and what they are sent."""

    def __init__(self, daemon, group, readers):
        self._group, self.total = group, 0
        self.readers = [Reader(daemon.address, channel(group, PORT, "a0")) for _ in range(readers)]
        for reader in self.readers:
            reader.wait_subscribed()

    def run(self, rate, seconds):
        """Sends for so long. 99 of 100 datagrams took less, in ms from the sending program to the reading one."""
        sender = NumberedSender([self._group], int(rate * seconds), rate, size=1000)
        sender.numbers[0] = first = self.total
        sender.count += first
        sender.start()
        wait_until(lambda: not sender.is_alive(), "the sender", seconds * 10 + 60)
        self.total = sender.numbers[0]
        sender.close()
        wait_until(lambda: all(reader.last() == self.total for reader in self.readers), "healthy readers", 60)
        delays = [reader.arrivals[at] - sender.times[reader.numbers[at] - first - 1] for reader in self.readers
                  for at in range(len(reader.numbers)) if reader.numbers[at] > first]
        return round(statistics.quantiles(delays, n=100)[98] * 1e3, 3)

    def judge(self):
        """Ends them; what they lack, as lines."""
        broken = []
        for reader in self.readers:
            reader.end()
            broken += judge_numbers(reader, "a healthy reader")
            if reader.numbers != array.array("Q", range(1, self.total + 1)):
                broken.append(f"a healthy reader got {len(reader.numbers)} of {self.total}: {reader.ranges()[:3]}")
        return broken

    def close(self):
        for reader in self.readers:
            reader.process.close()


def _start_stalled(mcgw, name, readers, sleeping):
    """Adds readers that were stopped as soon as they had subscribed."""
    with open(os.devnull, "wb") as nothing:
        while len(sleeping) < readers:  # Not all at once: a program that starts has to get its turn within seconds.
            lot = [mcgw.start("sub", name, "-o", "raw", stdout=nothing)
                   for _ in range(min(50, readers - len(sleeping)))]
            sleeping += lot
            for process in lot:
                process.wait_error_line("subscribed to", 60)
                process.signal(signal.SIGSTOP)


def _compare_delays(healthy, healthy_count, rate, rounds, most=1.2):
    """In turn with a gateway that is left in peace, round by round: what else the machine does hits both."""
    other_gateway = Daemon(listen="127.0.0.1:50053")
    alone = None
    try:
        alone = _Healthy(other_gateway, "239.81.0.2", healthy_count)
        alone.run(rate, 2)
        pairs = []
        for turn in range(rounds):
            order = [alone, healthy] if turn % 2 else [healthy, alone]
            delays = {one: one.run(rate, 2) for one in order}
            pairs.append((delays[alone], delays[healthy]))
        growth = statistics.median(beside / one for one, beside in pairs)
        broken = alone.judge()
        if growth > most:
            broken.append(f"the delay of healthy readers grew to more than {most} times")
        return {"p99 delay alone (ms, median)": round(statistics.median(one for one, _ in pairs), 3),
                "p99 delay beside them (ms, median)": round(statistics.median(beside for _, beside in pairs), 3),
                "growth (median of the rounds)": round(growth, 3), "each round": pairs}, broken
    finally:
        if alone:
            alone.close()
        other_gateway.close()


@in_a_network
def stalled(network, readers=100, healthy=2, rate=2000, seconds=5, judge_delay=0, shards=1):
    """Readers that stall beside healthy ones: those lose nothing, and each stalled one takes little memory.

    With --judge-delay ROUNDS the 99th percentile of the healthy ones' delay may be 1.2 times that of a gateway without
    stalled readers at most, as the median of so many rounds.
    """
    group = "239.81.0.1"
    connections = readers + healthy + 50
    daemon = Daemon("--max-connections", 2 * connections, "--max-connections-per-peer", connections,
                    "--stall-timeout", "1h", "--shards", shards, listen="127.0.0.1:50051")
    mcgw, sleeping, awake = Mcgw(daemon.address), [], None
    try:
        awake = _Healthy(daemon, group, healthy)
        awake.run(rate, seconds)  # The logs and the programs have their memory now.
        before = _memory(daemon, 50051)
        _start_stalled(mcgw, channel(group, PORT, "a0"), readers, sleeping)
        filling_ms = awake.run(rate, seconds)  # Until their buffers are full, they are readers like any others.
        delays, broken = _compare_delays(awake, healthy, rate, judge_delay) if judge_delay else ({}, [])
        after = _memory(daemon, 50051)
        charged = sum(int(entry.get("pinned_bytes", 0)) for entry in mcgw.json("subscribers"))
        each = [(a - b) / readers for a, b in zip(after, before)]
        if sum(each) > 256 << 10:
            broken.append(f"a stalled reader takes {each[0]:.0f} bytes of the daemon and {each[1]:.0f} of the kernel")
        for process in sleeping:
            process.signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: len(mcgw.json("subscribers")) == healthy, "stalled readers to be gone", 60)
        _, wrong = judge_ledger(mcgw, {group: awake.total})
        broken += wrong + awake.judge()
        return {"stalled": readers, "healthy": healthy, "sent": awake.total, "daemon bytes each": round(each[0]),
                "kernel bytes each": round(each[1]), "charged as pinned in all": charged,
                "p99 delay while their buffers fill (ms)": filling_ms, **delays}, broken
    finally:
        for process in sleeping:
            process.close()
        if awake:
            awake.close()
        daemon.close()


# ----------------------------------------------------------------------------------------------------------- attacks


def _attack_for_ever(address, done):
    """One attack of test_attacks.py after the other; counts them in `done`."""
    for number in itertools.count():
        attack(address, ATTACKS[number % len(ATTACKS)]()).close()
        with done.get_lock():
            done.value += 1


@in_a_network
def attacks(network, minutes=0.1, attackers=1, healthy=2, rate=1000, judge_delay=0, shards=1):
    """Peers that flood the gateway with frames of HTTP/2: its memory grows by 64 MiB at most, readers lose nothing.

    With --judge-delay ROUNDS the 99th percentile of the readers' delay may be twice that of a gateway that nobody
    attacks, as the median of so many rounds.
    """
    group = "239.81.0.1"
    daemon, awake, done = Daemon("--shards", shards), None, multiprocessing.Value("Q", 0)
    processes = [multiprocessing.Process(target=_attack_for_ever, args=(daemon.address, done), daemon=True)
                 for _ in range(attackers)]
    try:
        awake = _Healthy(daemon, group, healthy)
        awake.run(rate, 5)
        before = most = resident_bytes(daemon)
        for process in processes:
            process.start()
        p99_ms = []
        for _ in range(max(1, round(minutes * 60 / 5))):
            p99_ms.append(awake.run(rate, 5))
            most = max(most, resident_bytes(daemon))
        delays, broken = _compare_delays(awake, healthy, rate, judge_delay, 2) if judge_delay else ({}, [])
        for process in processes:
            process.kill()
            process.join()
        if most - before > 64 << 20:
            broken.append(f"the memory grew by {(most - before) >> 20} MiB")
        Mcgw(daemon.address).ok("health")
        _, wrong = judge_ledger(Mcgw(daemon.address), {group: awake.total})
        return {"attacks": done.value, "sent": awake.total, "memory grew by (MiB)": round((most - before) / (1 << 20), 1),
                "p99 delay, median and most of 5 s (ms)": (statistics.median(p99_ms), max(p99_ms)),
                **delays}, broken + wrong + awake.judge()
    finally:
        for process in processes:
            if process.pid:
                process.kill()
        if awake:
            awake.close()
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


@in_a_network
def bridge(network, datagrams=20_000, rate=4000, shards=1):
    """Two gateways, and clients that carry a group from the one's network to the other's, both ways; nothing echoes."""
    group, size = "239.82.0.1", 100
    link = network.add_link()
    daemons = [Daemon("--interface", "a0", "--shards", shards, listen="127.0.0.1:50051"),
               Daemon("--interface", link.gw, "--shards", shards, listen="127.0.0.1:50052")]
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
             "bridge": bridge, "publishers": publishers, "kills": kills,
             "stops": stops, "restart": restart, "descriptors": descriptors,
             "halfopen": halfopen, "attacks": attacks, "idle": idle, "cycles": cycles, "twice": twice}


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
