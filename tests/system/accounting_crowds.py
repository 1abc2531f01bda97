"""Crowds of clients: killed in waves, idle by the thousand, told of a stop, back after a restart."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from accounting_traffic import PORT, NumberedSender, in_a_network
from crowd import crowds
from light_client import GATEWAY, Link, request_headers
from mcgw_testlib import POLL_S, Daemon, Mcgw, Process, igmp_users, wait_until
from raw_client import field, membership

MEBIBYTE = 1 << 20
_JOIN, _LEAVE = request_headers(GATEWAY + "Join"), request_headers(GATEWAY + "Leave")


def resident(daemon):
    """Bytes of the daemon that are its own."""
    status = pathlib.Path(f"/proc/{daemon.popen.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) << 10


def held(daemon):
    """What the daemon has of the kernel's. gRPC's pools of threads come and go on their own, up to a bound."""
    proc = pathlib.Path(f"/proc/{daemon.popen.pid}")
    own = [task for task in (proc / "task").iterdir() if (task / "comm").read_text().startswith("mcgw")]
    return {"memberships": len(igmp_users("a0")), "descriptors": len(os.listdir(proc / "fd")), "threads": len(own)}


def _until_back(daemon, before, deadline_s):
    """{name: seconds} until the daemon holds no more than before, for each thing that it holds."""
    began, back = time.monotonic(), {}
    while len(back) < len(before) and time.monotonic() - began < deadline_s:
        for name, value in held(daemon).items():
            if value <= before[name]:
                back.setdefault(name, time.monotonic() - began)
        time.sleep(POLL_S)
    return {name: back.get(name, deadline_s) for name in before}


@in_a_network
def kills(network, clients=300, wave=100, processes=5, judge_s=1.0, band_mib=8, shards=1):
    """Clients, each with a connection and a group of its own, are killed in waves; nothing of them stays.

    After each wave, memberships in the kernel, descriptors and threads must be back within --judge-s seconds. The memory
    is read a second after each wave; in the second half of the waves it grows by --band-mib at most.
    """
    most = max(1000, 2 * wave)
    with Daemon("--max-connections", most, "--max-connections-per-peer", most, "--shards", shards) as daemon:
        mcgw, broken, slowest, memory, most_threads = Mcgw(daemon.address), [], {}, [], 0
        for process in crowds(daemon.address, 20, 1, 1):  # The descriptors that the first client opens for good.
            process.kill()
        wait_until(lambda: not mcgw.json("subscribers"), "the first to be gone")
        before = held(daemon)
        for first in range(0, clients, wave):
            count = min(wave, clients - first)
            crowd = crowds(daemon.address, count, 1, processes, groups=wave)
            here = held(daemon)
            if here["memberships"] != before["memberships"] + count or here["descriptors"] < 2 * count:
                broken.append(f"{count} clients have {here}")
            most_threads = max(most_threads, len(os.listdir(f"/proc/{daemon.popen.pid}/task")))
            for process in crowd:
                process.signal(signal.SIGKILL)
            for name, took in _until_back(daemon, before, 20 * judge_s).items():
                slowest[name] = max(slowest.get(name, 0), round(took, 2))
                if took > judge_s:
                    broken.append(f"wave {len(memory) + 1}: {name} were back after {took:.2f} s")
            for process in crowd:
                process.wait()
            time.sleep(1)  # The allocators give back late, and no event tells of it.
            memory.append(resident(daemon))
        half = len(memory) // 2
        if max(memory[half:]) > memory[half] + band_mib * MEBIBYTE:
            broken.append(f"memory grew by more than {band_mib} MiB in the second half")
        if most_threads > before["threads"] + 4 * os.cpu_count() + 16:
            broken.append(f"{most_threads} threads, {before['threads']} of them the gateway's own")
        mcgw.ok("health")
        return {"killed": clients, "waves": len(memory), "back after at most (s)": slowest, "held before": before,
                "threads at most, with gRPC's": most_threads,
                "memory after each wave (MiB)": [round(size / MEBIBYTE, 1) for size in memory]}, broken


@in_a_network
def idle(network, subscribers=1000, streams=100, processes=2, seconds=30, promised=18_000, shards=1):
    """Subscribers to whom nothing is sent take at most the --promised bytes each; after --seconds, all are still there."""
    connections = -(-subscribers // streams)
    with Daemon("--max-connections", 2 * connections + 100, "--max-connections-per-peer", 2 * connections + 50,
                "--max-subscribers", subscribers + 100, "--shards", shards) as daemon:
        sender, crowd, broken = NumberedSender(["239.90.0.1"], 10, 1), [], []
        try:
            for process in crowds(daemon.address, 20, 1, 1):
                process.kill()
            before = resident(daemon)
            crowd = crowds(daemon.address, subscribers, streams, processes)
            time.sleep(seconds)  # What is measured is that nothing happens.
            each = (resident(daemon) - before) / subscribers
            if each > promised:
                broken.append(f"an idle subscriber takes {each:.0f} bytes")
            sender.send(10)
            wait_until(lambda: sum(one.ask()["datagrams"] for one in crowd) == 10 * subscribers, "the datagrams")
            is_open = sum(one.ask()["open"] for one in crowd)
            if is_open != subscribers:
                broken.append(f"{is_open} of {subscribers} are still open")
            return {"subscribers": subscribers, "connections": connections, "idle (s)": seconds,
                    "bytes each": round(each), "delivered then": 10 * subscribers}, broken
        finally:
            for one in [*crowd, sender]:
                one.close()


class _Cycler:
    """Joins and ends sessions on one connection, so many calls at a time."""

    def __init__(self, address, groups, depth):
        self.link, self._groups, self._depth = Link(address), groups, depth
        self._calls = {}  # {call: the answer to a Join, or None if it is a Leave}
        self.begun = self.done = self.failed = 0

    def begin(self):
        while len(self._calls) < self._depth and self.begun < self.due:
            self._calls[self.link.begin(_JOIN, self._groups[self.begun % len(self._groups)])] = b""
            self.begun += 1
        self.link.flush()

    def run_to(self, due):
        """Until so many cycles have been made in all."""
        self.due = due
        self.begin()
        while self._calls:
            for call, kind, value in self.link.receive():
                if kind == Link.MESSAGE:
                    if self._calls[call] is not None:
                        self._calls[call] = value
                    continue
                answer = self._calls.pop(call)
                if value.get("grpc-status") != b"0":
                    self.failed += 1
                elif answer is None:
                    self.done += 1
                else:
                    session = answer[2:2 + answer[1]]  # The first field.
                    self._calls[self.link.begin(_LEAVE, field(1, session) + field(4, b""))] = None
            self.begin()
        return self.done


def _cycle(address, number, depth):
    """One process of cycles: a number of cycles on standard input, done when it answers."""
    wishes = [field(2, membership("a0", f"239.95.{number}.{n + 1}", PORT)) for n in range(depth)]
    cycler, due = _Cycler(address, wishes, depth), 0
    for line in sys.stdin:
        due += int(line)
        print(cycler.run_to(due), cycler.failed, flush=True)


@in_a_network
def cycles(network, cycles=20_000, processes=2, depth=32, samples=50, drift=0.01, shards=1):
    """A Join and the end of its session, over and over: over the last 80 % the memory drifts by less than --drift."""
    with Daemon("--shards", shards, "--log-level", "warning") as daemon:
        code = "import accounting_crowds as a, sys; a._cycle(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
        cyclers = [Process([sys.executable, "-B", "-c", code, daemon.address, number, depth], stdin=subprocess.PIPE,
                           env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent)})
                   for number in range(processes)]
        memory, broken, began = [], [], time.monotonic()
        try:
            for sample in range(samples):
                for process in cyclers:
                    process.popen.stdin.write(f"{cycles // samples // processes}\n".encode())
                    process.popen.stdin.flush()
                for process in cyclers:
                    process.stdout.wait(lambda lines, sample=sample: len(lines) > sample, "the cycles", 600)
                memory.append(resident(daemon))
            took = time.monotonic() - began
            answers = [process.stdout.items()[-1].split() for process in cyclers]
            done, failed = (sum(int(answer[at]) for answer in answers) for at in (0, 1))
            late = memory[samples // 5:]
            # The line through the samples, from its beginning to its end.
            middle = (len(late) - 1) / 2
            slope = (sum((at - middle) * size for at, size in enumerate(late))
                     / sum((at - middle) ** 2 for at in range(len(late))))
            drifted = slope * (len(late) - 1) / late[0]
            if failed or done != cycles // samples // processes * processes * samples:
                broken.append(f"{done} cycles, {failed} calls failed")
            if drifted > drift:
                broken.append(f"memory drifted by {drifted:.2%} over the last 80 %")
            if sessions := Mcgw(daemon.address).json("channels"):
                wait_until(lambda: len(igmp_users("a0")) <= 1, f"the groups of {len(sessions)} channels to be left")
            return {"cycles": done, "a second": round(done / took), "drift over the last 80 %": f"{drifted:.2%}",
                    "memory (MiB), first, after a fifth, most, last": [
                        round(size / MEBIBYTE, 2) for size in (memory[0], late[0], max(memory), memory[-1])]}, broken
        finally:
            for process in cyclers:
                process.close()
