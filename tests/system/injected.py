"""System calls of the real daemon that fail: strace injects the errors while there is traffic and clients call."""
import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import signal
import subprocess
import time

from accounting_judging import judge_ledger, judge_numbers
from accounting_traffic import NumberedSender, Reader
from mcgw_testlib import ROOT, Daemon, Mcgw, Receiver, channel, igmp_users, ip, mld_users, users_of, wait_until

TRAFFIC, SENT, PORT = "239.6.6.1", "239.6.6.2", 5000
RECOVERY_S = 1
ALL_REASONS = set(re.findall(r"ERROR_REASON_([A-Z_]+) =", (ROOT / "proto/multicast/gateway/v1/errors.proto").read_text()))
SHORTAGES = {"ENOMEM", "ENOBUFS", "EMFILE", "ENFILE", "ENOSPC"}
# What a client is told of an error, where its cause is known; all others are KERNEL_ERROR, and name the error.
REASONS = {
    "EADDRINUSE": {"PORT_IN_USE"}, "ENODEV": {"INTERFACE_NOT_FOUND", "NO_ADDRESS"},
    "EADDRNOTAVAIL": {"INTERFACE_NOT_FOUND", "NO_ADDRESS"}, "EINVAL": {"NO_ADDRESS", "NOT_A_MULTICAST_GROUP"},
    "EAFNOSUPPORT": {"NO_ADDRESS"}, **{name: {"HOST_LIMIT"} for name in SHORTAGES}}
SEND_REASONS = {
    "EPERM": {"SEND_BLOCKED"}, "EACCES": {"SEND_BLOCKED"}, "EMSGSIZE": {"PAYLOAD_TOO_LARGE"},
    **{name: {"HOST_LIMIT"} for name in SHORTAGES},
    **{name: {"NO_ROUTE", "NO_ADDRESS", "INTERFACE_NOT_FOUND"}
       for name in ("EINVAL", "EADDRNOTAVAIL", "ENETUNREACH", "EHOSTUNREACH", "ENODEV", "ENETDOWN")}}


@dataclasses.dataclass(frozen=True)
class Case:
    """Errors of a system call in the threads whose names begin so, and what clients do meanwhile."""

    calls: str
    errors: str
    threads: tuple
    acts: tuple
    when: str = "1+2"  # As strace has it: the first, and every second one from there; counted for each thread.
    connects: bool = False  # It is the connection that fails, and a client may find no gateway.


CONTROL = ("mcgw-call",)
ALL = ("",)
CASES = [
    Case("recvmmsg", "EINTR EAGAIN ENOBUFS ENOMEM ENETDOWN EIO ECONNREFUSED", ("mcgw-shard",), ("wait",), "1+3"),
    Case("recvmmsg", "ENOMEM ENETDOWN", ("mcgw-shard",), ("subscribe", "join"), "1+2"),
    Case("sendmmsg", "ENOBUFS ENOMEM EPERM EACCES EAGAIN EINTR ENETDOWN ENETUNREACH EHOSTUNREACH EIO ENODEV EINVAL "
         "EADDRNOTAVAIL EMSGSIZE", ALL, ("send", "send")),
    Case("sendmmsg", "ENOBUFS EPERM EIO", ALL, ("send6", "session_send", "host_send"), "1+2"),
    *(Case("setsockopt", "ENOMEM EPERM ENODEV", CONTROL, ("join", "join6", "join_sources", "session_send"), f"{n}+{n}")
      for n in (1, 2, 3, 4, 5, 6, 7, 9, 11)),
    Case("setsockopt", "ENOBUFS EADDRNOTAVAIL EINVAL EIO EADDRINUSE", CONTROL,
         ("join", "join_sources", "host_send", "subscribe"), "1+4"),
    Case("getsockopt", "ENOMEM EIO EINVAL", ("mcgw-call", "mcgw-shard"), ("join", "join6", "subscribe", "channels")),
    Case("socket", "EMFILE ENFILE ENOMEM ENOBUFS EACCES EAFNOSUPPORT", CONTROL,
         ("join", "join6", "session_send", "host_send")),
    Case("socket", "EMFILE ENOMEM EPERM", ("mcgw-look", "mcgw-control"), ("interfaces", "doctor", "flap", "channels")),
    Case("bind", "EADDRINUSE EADDRNOTAVAIL EACCES ENOMEM EINVAL", CONTROL,
         ("join", "join6", "join_sources", "session_send")),
    Case("getsockname,ioctl", "ENOBUFS EIO ENODEV", ALL, ("session_send", "join", "interfaces", "doctor")),
    Case("sendto", "ENOBUFS ENOMEM EPERM EIO EINTR", ("mcgw-look", "mcgw-control"),
         ("interfaces", "doctor", "flap", "describe")),
    Case("recvmsg", "ENOBUFS ENOMEM EIO EINTR", ("mcgw-look", "mcgw-control"),
         ("interfaces", "doctor", "flap")),
    Case("epoll_ctl", "ENOSPC ENOMEM", ("mcgw-shard",), ("join", "subscribe", "join6")),
    # The third in this thread would be gRPC's, for a connection that it then never reads.
    Case("epoll_ctl", "ENOSPC ENOMEM", ("mcgw-accept",), ("health", "interfaces"), "1..2", connects=True),
    Case("epoll_wait,epoll_pwait2,epoll_pwait", "EINTR ENOMEM", ("mcgw-shard", "mcgw-control", "mcgw-accept"),
         ("join", "subscribe", "flap"), "1+5"),
    Case("poll,ppoll,epoll_wait", "EINTR ENOMEM", ("mcgw-send",), ("send_much", "host_send", "send_much"), "1+2"),
    Case("accept4", "EMFILE ENFILE ENOMEM ENOBUFS ECONNABORTED EPERM EINTR EPROTO ENETDOWN EAGAIN", ("mcgw-accept",),
         ("health", "interfaces"), connects=True),
    Case("fcntl", "EMFILE ENOMEM", ("mcgw-accept",), ("health", "interfaces"), connects=True),
    Case("openat,open", "EMFILE ENFILE EACCES ENOENT ENOMEM", ("mcgw-look", "mcgw-control", "mcgw-call"),
         ("channels", "doctor", "interfaces", "join")),
    Case("read,pread64", "EIO ENOMEM", ("mcgw-look",), ("channels", "doctor")),
    # Neither brk, which never gives an error to the program, nor the threads of gRPC: Abseil's own allocator ends the
    # process when the host refuses it memory.
    Case("mmap,madvise,mprotect,munmap", "ENOMEM", ("mcgw-shard", "mcgw-call", "mcgw-look", "mcgw-send"),
         ("many", "subscribe", "send_much", "doctor", "many", "wait", "many"), "1+1"),
    Case("write,fsync", "ENOSPC EIO EPIPE", ("mcgw-log",), ("join", "join6", "subscribe")),
]


def threads_of(pid, names):
    """The ids of the threads whose names begin with one of these."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith(names):
            found.append(task.name)
    return found


def _traced(pid, thread):
    with contextlib.suppress(FileNotFoundError):  # It may end, and then needs no tracer.
        return "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text()
    return True


@contextlib.contextmanager
def injecting(pid, case, error, directory):
    """Errors are injected in here. Gives a function that tells how many so far."""
    out = directory / "strace"
    out.write_text("")
    threads = threads_of(pid, case.threads)
    command = ["strace", "-qq", "-o", out, "-e", f"trace={_known(case.calls)}",
               "-e", f"inject={_known(case.calls)}:error={error}:when={case.when}"]
    for thread in threads:
        command += ["-p", thread]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: strace.poll() is not None or all(_traced(pid, thread) for thread in threads), "strace")
        assert strace.poll() is None, strace.stderr.read()
        yield lambda: out.read_text(errors="replace").count("(INJECTED)")
    finally:
        strace.send_signal(signal.SIGTERM)
        strace.communicate()


def _known(calls):
    """Those that this machine has (open and the like are missing on some)."""
    return ",".join(f"?{call}" for call in calls.split(","))


class World:
    """A gateway with traffic, a stream that reads it, a receiver of what is sent, and clients that do things."""

    def __init__(self, network, directory, *arguments):
        network.add_link()
        self.directory = directory
        self.daemon = Daemon("--shards", "2", "--log-level", "debug", "--drain-grace", "1s",
                             "--keep-after-leave", "1s", "--channel-log-bytes", "100000000", *arguments)
        self.mcgw = Mcgw(self.daemon.address)
        self.reader = Reader(self.daemon.address, channel(TRAFFIC, PORT, "a0"))
        self.reader.wait_subscribed()
        self.receiver = Receiver(SENT, PORT, "b0", host="peer")
        self.receiver6 = Receiver("ff15::6:2", PORT, "b0", host="peer")
        self.traffic = NumberedSender([TRAFFIC], 1 << 40, 1000, size=1000)
        self.traffic.start()
        self.broken, self.injected, self.by_call = [], 0, {}
        self.accepted, self.serial, self.slowest_s = 0, 0, 0.0

    # -- what clients do; each returns the results of its calls ------------------------------------------------------

    def act(self, name):
        self.serial += 1
        return getattr(self, f"_{name}")(self.serial)

    def _join_and_leave(self, *channels):
        joined = self.mcgw.run("join", *channels)
        session = re.search(r"(?m)^session (\S+)", joined.stdout)
        return [joined, self.mcgw.run("leave", "--session", session[1])] if session else [joined]

    def _wait(self, _):
        last = self.reader.last()
        wait_until(lambda: self.reader.last() > last + 50, "the traffic to go on")
        return []

    def _join(self, n):
        return self._join_and_leave(channel(f"239.8.{n % 250}.1", PORT, "a0"))

    def _join6(self, n):
        return self._join_and_leave(channel(f"ff15::8:{n}", PORT, "a0"))

    def _join_sources(self, n):
        return self._join_and_leave(f"10.0.0.2,10.0.0.3@232.8.{n % 250}.1:{PORT}%a0")

    def _many(self, n):
        return self._join_and_leave(*(channel(f"239.9.{n % 250}.{i}", PORT, "a0") for i in range(1, 101)))

    def _subscribe(self, _):
        return [self.mcgw.run("sub", channel(TRAFFIC, PORT, "a0"), "--count", "5")]

    def _pub(self, *arguments, count=20):
        result = self.mcgw.run("pub", *arguments, stdin=b"".join(b"%d\n" % i for i in range(count)))
        if sent := re.search(r"sent (\d+) datagrams, failed (\d+)(, unknown)?", result.stderr):
            if int(sent[1]) + int(sent[2]) != count or sent[3]:
                self.broken.append(f"pub does not account for its {count} datagrams: {result.stderr}")
            return int(sent[1]), result
        return 0, result

    def _send(self, _):
        sent, result = self._pub(channel(SENT, PORT, "a0"))
        self.accepted += sent
        return [result]

    def _send_much(self, _):
        """Takes so long that the loop of waiting sends finishes it."""
        sent, result = self._pub(channel(SENT, PORT, "a0"), count=5000)
        self.accepted += sent
        return [result]

    def _send6(self, _):
        sent, result = self._pub(channel("ff15::6:2", PORT, "a0"))
        self.accepted += sent
        return [result]

    def _host_send(self, n):
        return [self._pub(channel(f"239.7.{n % 250}.1", PORT, "a0"), "--ttl", "0")[1]]

    def _session_send(self, n):
        joined = self.mcgw.run("join", channel(f"239.8.{n % 250}.2", PORT, "a0"))
        session = re.search(r"(?m)^session (\S+)", joined.stdout)
        if not session:
            return [joined]
        sent, result = self._pub(channel(SENT, PORT, "a0"), "--session", session[1])
        self.accepted += sent
        return [joined, result, self.mcgw.run("leave", "--session", session[1])]

    def _flap(self, _):
        ip("link", "set", "a1", "down")
        results = self._join_and_leave(channel("239.8.8.8", PORT, "a0"))
        ip("link", "set", "a1", "up")
        return [*results, self.mcgw.run("interfaces")]

    def _interfaces(self, _):
        return [self.mcgw.run("interfaces")]

    def _channels(self, _):
        return [self.mcgw.run("channels"), self.mcgw.run("ledger")]

    def _describe(self, _):
        return [self.mcgw.run("describe", TRAFFIC)]

    def _health(self, _):
        return [self.mcgw.run("health")]

    def _doctor(self, _):
        result = self.mcgw.run("doctor")
        if result.stdout:
            result.returncode = 0  # What it finds is no failure of the call.
        return [result]

    # -- what must hold ----------------------------------------------------------------------------------------------

    def judge_answer(self, case, error, result):
        """A call succeeds, or says what failed, with the reason that the error has."""
        if result.returncode == 0:
            return
        said = result.stderr.strip()
        where = f"{case.calls} {error}: mcgw {' '.join(result.args[1:])}: "
        if case.connects and ("no gateway answers" in said or "broke" in said or "did not answer in time" in said):
            return
        reasons = ALL_REASONS & set(re.findall(r"[A-Z_]+", said))
        if not reasons:
            self.broken.append(f"{where}no reason: {said}")
        known = (SEND_REASONS if case.calls == "sendmmsg" else REASONS).get(error, set())
        for reason in reasons - known:
            if reason != "KERNEL_ERROR" or os.strerror(getattr(errno, error)) not in said:
                self.broken.append(f"{where}{said}")
        if "KERNEL_ERROR" in reasons and error in SHORTAGES:
            self.broken.append(f"{where}a shortage is HOST_LIMIT: {said}")

    def judge_recovery(self, where):
        """Joins, sends and streams work in attempts that begin within a second of the last error."""
        end = time.monotonic()
        received = self.reader.last()
        for name in ("join", "send", "subscribe"):
            while True:
                began = time.monotonic()
                results = self.act(name)
                if all(result.returncode == 0 for result in results):
                    break
                if began > end + RECOVERY_S:
                    self.broken.append(f"{where}: not back after {RECOVERY_S} s: {results[-1].stderr}")
                    break
        wait_until(lambda: self.reader.last() > received, f"{where}: the stream to go on")
        self.slowest_s = max(self.slowest_s, time.monotonic() - end)

    def run(self, case, error):
        where = f"{case.calls} {error} {case.when}"
        with injecting(self.daemon.popen.pid, case, error, self.directory) as injected:
            for name in case.acts:
                try:
                    results = self.act(name)
                except subprocess.TimeoutExpired as late:
                    raise AssertionError(f"{where}: no answer: {late}\n{self.daemon.errors()[-3000:]}") from late
                for result in results:
                    self.judge_answer(case, error, result)
            if self.daemon.popen.poll() is not None:
                raise AssertionError(f"{where}: the gateway ended with {self.daemon.popen.returncode}:\n"
                                     f"{self.daemon.errors()[-3000:]}")
        count = injected()
        self.injected += count
        self.by_call[case.calls] = self.by_call.get(case.calls, 0) + count
        if count == 0:
            self.broken.append(f"{where}: nothing was injected")
        self.judge_recovery(where)

    def judge_rest(self):
        """No datagram is unaccounted for, nothing is held that has no holder."""
        self.traffic.close()
        _, broken = judge_ledger(self.mcgw, {TRAFFIC: self.traffic.numbers[0]})
        self.broken += broken + judge_numbers(self.reader, "the stream")
        wait_until(lambda: self.reader.last() == self.traffic.numbers[0], "the stream to have everything")
        arrived = wait_until(lambda: max(len(self.receiver.payloads()) + len(self.receiver6.payloads()),
                                         0 if self.accepted else 1), "what was sent")
        if arrived != self.accepted:
            self.broken.append(f"{self.accepted} datagrams were accepted, {arrived} arrived")

        def left():
            groups = [*igmp_users("a0"), *mld_users("a0")]
            return not [group for group in groups if group.startswith(("239.8.", "239.9.", "232.8.", "ff15::8:"))]

        wait_until(left, "the groups to be left")
        if users_of(TRAFFIC, "a0") != 1:
            self.broken.append(f"{users_of(TRAFFIC, 'a0')} memberships of {TRAFFIC}")
        if "write,fsync" in self.by_call and "log lines are missing here: they could not be written: No space left" not in self.daemon.errors():
            self.broken.append("what the log lost is not said")

    def close(self):
        self.traffic.close()
        self.reader.end()
        self.receiver.close()
        self.receiver6.close()
        self.daemon.close()


def run(network, directory, cases=None):
    """All cases; (what was measured, what was broken)."""
    world = World(network, directory)
    try:
        for case in cases or CASES:
            for error in case.errors.split():
                world.run(case, error)
        world.judge_rest()
        measured = {"injected": world.injected, "by call": world.by_call, "accepted sends": world.accepted,
                    "datagrams": world.traffic.numbers[0],
                    "join, send and subscribe done again": f"{world.slowest_s:.2f} s at most"}
        return measured, world.broken
    finally:
        world.close()
