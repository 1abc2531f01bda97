"""What the system tests stand on: networks, the programs of mcgw, captures, sockets and waiting.

Everything here runs inside tests/support/in_namespace: it changes interfaces and sysctls at will.
"""
import contextlib
import ctypes
import dataclasses
import ipaddress
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MCGW_BIN_DIR", ROOT / "build" / "bin"))
DEADLINE_S = 20
POLL_S = 0.02
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


# ------------------------------------------------------------------------------------------------------------- waiting


def wait_until(predicate, what, deadline_s=DEADLINE_S):
    """Returns predicate()'s first true value. The only place that polls: for changes without a notification."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s} s for {what}")
        time.sleep(POLL_S)


class Gathering:
    """A list that one thread fills and others wait on."""

    def __init__(self):
        self._items = []
        self._ended = False
        self._changed = threading.Condition()

    def add(self, item):
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def end(self):
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def items(self):
        with self._changed:
            return list(self._items)

    def wait(self, predicate, what, deadline_s=DEADLINE_S):
        """Waits until predicate(list of all items) is true and returns its value."""
        end = time.monotonic() + deadline_s
        with self._changed:
            while True:
                value = predicate(self._items)
                if value:
                    return value
                left = end - time.monotonic()
                if left <= 0 or self._ended:
                    reason = "the source ended" if self._ended else f"waited {deadline_s} s"
                    seen = "\n  ".join(str(item) for item in self._items[-40:])
                    pytest.fail(f"{what}: {reason}; seen:\n  {seen}")
                self._changed.wait(left)


# ------------------------------------------------------------------------------------------------------------ networks


def ip(*arguments):
    subprocess.run(["ip", *map(str, arguments)], check=True)


def sysctl(name, value):
    pathlib.Path("/proc/sys", name.replace(".", "/")).write_text(str(value))


def in_peer(command):
    """The command, to be run on the peer host."""
    return ["nsenter", "--net=/run/netns/peer", *map(str, command)]


def peer(command, **options):
    """Runs a command on the peer host and returns what it prints."""
    result = subprocess.run(in_peer(command), capture_output=True, text=True, timeout=60, check=False, **options)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


_QUIET_SYSCTLS = """
net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
net.ipv6.conf.default.accept_ra=0 net.ipv4.igmp_qrv=1
""".split()


@dataclasses.dataclass(frozen=True)
class Link:
    """A cable between the gateway's host and the peer."""

    gw: str
    peer: str
    gw_ip4: str
    peer_ip4: str
    gw_ip6: str
    peer_ip6: str

    def peer_ip(self, group):
        return self.peer_ip6 if ":" in group else self.peer_ip4

    def gw_ip(self, group):
        return self.gw_ip6 if ":" in group else self.gw_ip4


def wait_up(interface, host="peer"):
    """Waits until the kernel of a host other than this one calls the link up, which it does some time after the fact."""
    command = ["ip", "-n", host, "-j", "link", "show", "dev", interface]

    def is_up():
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return json.loads(shown)[0]["operstate"] == "UP"

    wait_until(is_up, f"the link {interface} of {host}")


class Network:
    """The gateway's host (this namespace) and a peer host, joined by cables.

    IGMP reports are sent once, not twice (igmp_qrv), so that tests can count them; addresses are usable at once.
    """

    def __init__(self):
        self.links = []
        for setting in _QUIET_SYSCTLS:
            sysctl(*setting.split("="))
        ip("netns", "add", "peer")
        for setting in _QUIET_SYSCTLS:
            name, value = setting.split("=")
            peer(["sh", "-c", f"echo {value} > /proc/sys/{name.replace('.', '/')}"])
        peer(["ip", "link", "set", "lo", "up"])
        self.a0 = self.add_link()

    def add_link(self):
        n = len(self.links)
        prefix6 = "fd00:" if n == 0 else f"fd00:{n}:"
        link = Link(f"a{n}", f"b{n}", f"10.0.{n}.1", f"10.0.{n}.2", f"{prefix6}:1", f"{prefix6}:2")
        ip("link", "add", link.gw, "type", "veth", "peer", "name", link.peer, "netns", "peer")
        for run, name, ip4, ip6 in ((lambda c: ip(*c[1:]), link.gw, link.gw_ip4, link.gw_ip6),
                                    (peer, link.peer, link.peer_ip4, link.peer_ip6)):
            run(["ip", "address", "add", f"{ip4}/24", "dev", name])
            run(["ip", "address", "add", f"{ip6}/64", "dev", name, "nodad"])
            run(["ip", "link", "set", name, "up"])
        self.links.append(link)
        wait_until(lambda: "UP" in pathlib.Path(f"/sys/class/net/{link.gw}/operstate").read_text().upper(),
                   f"the carrier of {link.gw}")
        wait_up(link.peer)
        return link

    def close(self):
        for link in self.links:
            subprocess.run(["ip", "link", "del", link.gw], check=False, capture_output=True)
        ip("netns", "del", "peer")


# ----------------------------------------------------------------------------------------------- what the kernel holds


def _proc(name, host):
    return peer(["cat", f"/proc/net/{name}"]) if host == "peer" else pathlib.Path("/proc/net", name).read_text()


def igmp_users(interface, host="gw"):
    """{group: users} of an interface, from /proc/net/igmp."""
    users, current = {}, None
    for line in _proc("igmp", host).splitlines()[1:]:
        if not line.startswith("\t"):
            current = line.split()[1]
        elif current == interface:
            fields = line.split()
            address = ipaddress.IPv4Address(struct.pack("<I", int(fields[0], 16)))
            users[str(address)] = int(fields[1])
    return users


def mld_users(interface, host="gw"):
    """{group: users} of an interface, from /proc/net/igmp6."""
    users = {}
    for line in _proc("igmp6", host).splitlines():
        _, name, address, count = line.split()[:4]
        if name == interface:
            users[str(ipaddress.IPv6Address(bytes.fromhex(address)))] = int(count)
    return users


def users_of(group, interface, host="gw"):
    """How many sockets hold the group on the interface; 0 if none."""
    table = mld_users if ":" in group else igmp_users
    return table(interface, host).get(str(ipaddress.ip_address(group)), 0)


def source_filters(interface, host="gw"):
    """{(group, source): (including sockets, excluding sockets)} from /proc/net/mcfilter and mcfilter6."""
    found = {}
    for line in _proc("mcfilter", host).splitlines()[1:]:
        _, name, group, source, including, excluding = line.split()
        if name == interface:
            key = tuple(str(ipaddress.IPv4Address(int(text, 16))) for text in (group, source))
            found[key] = (int(including), int(excluding))
    for line in _proc("mcfilter6", host).splitlines()[1:]:
        _, name, group, source, including, excluding = line.split()
        if name == interface:
            key = tuple(str(ipaddress.IPv6Address(bytes.fromhex(text))) for text in (group, source))
            found[key] = (int(including), int(excluding))
    return found


def ip_maddr(interface):
    """The groups that `ip maddr` shows for an interface."""
    lines = subprocess.run(["ip", "maddr", "show", "dev", interface], capture_output=True, text=True, check=True).stdout
    return {line.split()[1] for line in lines.splitlines() if line.split()[0] in ("inet", "inet6")}


def wait_member(group, interface, users=1, host="gw"):
    wait_until(lambda: users_of(group, interface, host) >= users, f"{users} member(s) of {group} on {interface}")


def wait_no_member(group, interface, host="gw"):
    wait_until(lambda: users_of(group, interface, host) == 0, f"no member of {group} on {interface}")


# ------------------------------------------------------------------------------------------------------------- sockets


def socket_in(host, *arguments):
    """A socket of the gateway's host ("gw") or of another one, by the name of its namespace."""
    if host == "gw":
        return socket.socket(*arguments)
    result = []

    def make():
        with open(f"/run/netns/{host}", "rb") as namespace:
            if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                result.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            result.append(socket.socket(*arguments))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=make)  # Changes the namespace of its own thread only, which then ends.
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def _family(group):
    return socket.AF_INET6 if ":" in group else socket.AF_INET


def _index(interface, host):
    if host == "gw":
        return socket.if_nametoindex(interface)
    return int(peer(["cat", f"/proc/net/dev_snmp6/{interface}"]).split()[1])


def _sockaddr(address):
    """A struct sockaddr_storage."""
    if ":" in address:
        packed = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
    else:
        packed = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_pton(socket.AF_INET, address))
    return packed.ljust(128, b"\0")


IP_MULTICAST_ALL = 49
MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP = 42, 46


class Receiver:
    """A plain multicast receiver, and so the yardstick: a socket, the kernel, nothing of mcgw."""

    def __init__(self, group, port, interface, source=None, host="gw"):
        family = _family(group)
        index = _index(interface, host)
        self.socket = socket_in(host, family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        level = socket.IPPROTO_IPV6 if family == socket.AF_INET6 else socket.IPPROTO_IP
        if family == socket.AF_INET6:
            self.socket.setsockopt(level, socket.IPV6_V6ONLY, 1)
        else:
            self.socket.setsockopt(level, IP_MULTICAST_ALL, 0)  # Not what others joined on other interfaces.
        self.socket.bind((group, port, 0, index) if family == socket.AF_INET6 else (group, port))
        request = struct.pack("=I4x", index) + _sockaddr(group)
        if source:
            self.socket.setsockopt(level, MCAST_JOIN_SOURCE_GROUP, request + _sockaddr(source))
        else:
            self.socket.setsockopt(level, MCAST_JOIN_GROUP, request)
        self._datagrams = Gathering()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                payload, address = self.socket.recvfrom(65536)
                if self._thread is None:
                    break
                self._datagrams.add((payload, address[0], address[1]))
        self._datagrams.end()

    def payloads(self):
        return [datagram[0] for datagram in self._datagrams.items()]

    def wait_count(self, count, deadline_s=DEADLINE_S):
        self._datagrams.wait(lambda items: len(items) >= count, f"{count} datagrams", deadline_s)
        return self.payloads()

    def wait_payload(self, payload, deadline_s=DEADLINE_S):
        self._datagrams.wait(lambda items: any(item[0] == payload for item in items), f"{payload!r}", deadline_s)
        return self.payloads()

    def close(self):
        thread, self._thread = self._thread, None
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # Wakes the reader, though a datagram socket answers ENOTCONN.
        thread.join(5)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sender:
    """A plain multicast sender."""

    def __init__(self, interface, host="peer", family=socket.AF_INET, source=None):
        index = _index(interface, host)
        self.socket = socket_in(host, family, socket.SOCK_DGRAM)
        self._family = family
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            request = struct.pack("=4s4sI", bytes(4), bytes(4), index)  # struct ip_mreqn
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        if source:
            self.socket.bind((source, 0))

    def send(self, group, port, *payloads):
        for payload in payloads:
            self.socket.sendto(payload, (group, port))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def sender_to(group, interface, host="peer", source=None):
    return Sender(interface, host, _family(group), source)


# ------------------------------------------------------------------------------------------------------------ captures


RECORD_TYPES = {1: "IS_IN", 2: "IS_EX", 3: "TO_IN", 4: "TO_EX", 5: "ALLOW", 6: "BLOCK"}


@dataclasses.dataclass(frozen=True)
class Record:
    """One group record of an IGMPv3 or MLDv2 report."""

    group: str
    kind: str
    sources: tuple = ()


def _records(body, address_type, size):
    """The group records of a report, from its byte 6 on."""
    count, offset = struct.unpack_from("!H", body)[0], 2
    for _ in range(count):
        kind, words, sources = struct.unpack_from("!BBH", body, offset)
        addresses = [str(address_type(body[at:at + size]))
                     for at in range(offset + 4, offset + 4 + size * (sources + 1), size)]
        yield Record(addresses[0], RECORD_TYPES.get(kind, str(kind)), tuple(sorted(addresses[1:])))
        offset += 4 + size * (sources + 1) + 4 * words


def report_records(frame):
    """The group records of an Ethernet frame, none if it is not a membership report."""
    ethertype = struct.unpack_from("!H", frame, 12)[0]
    if ethertype == 0x0800 and frame[23] == 2:
        igmp = frame[14 + 4 * (frame[14] & 15):]
        if igmp[0] == 0x22:
            return list(_records(igmp[6:], ipaddress.IPv4Address, 4))
    if ethertype == 0x86dd and frame[20] == 0 and frame[54] == 58:
        icmp = frame[54 + 8 * (frame[55] + 1):]
        if icmp[0] == 143:
            return list(_records(icmp[6:], ipaddress.IPv6Address, 16))
    return []


class Capture:
    """All frames of an interface, from construction on; `save` and `tshark` let another program judge them."""

    def __init__(self, interface, host="peer"):
        self.socket = socket_in(host, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((interface, 3))
        self._frames = Gathering()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self.socket.settimeout(0.2)
        while not self._closing:
            with contextlib.suppress(TimeoutError, OSError):
                self._frames.add((time.time(), self.socket.recv(65536)))
        self._frames.end()

    def timed_frames(self):
        """[(time.time() of capture, frame)]"""
        return self._frames.items()

    def frames(self):
        return [frame for _, frame in self._frames.items()]

    def records(self, group=None):
        found = [record for frame in self.frames() for record in report_records(frame)]
        return [record for record in found if group is None or record.group == str(ipaddress.ip_address(group))]

    def changes(self, group):
        """The group's records without the repetitions that MLD sends for safety (and IGMP too, unless told not to)."""
        records = self.records(group)
        return [record for at, record in enumerate(records) if at == 0 or record != records[at - 1]]

    def wait_record(self, group, kind, sources=(), count=1, deadline_s=DEADLINE_S):
        wanted = Record(str(ipaddress.ip_address(group)), kind, tuple(sorted(sources)))

        def seen(items):
            return sum(record == wanted for _, frame in items for record in report_records(frame)) >= count

        self._frames.wait(seen, f"{count} report(s) of {wanted}", deadline_s)

    def wait_frame(self, predicate, what, deadline_s=DEADLINE_S):
        self._frames.wait(lambda items: any(predicate(frame) for _, frame in items), what, deadline_s)

    def save(self, path):
        with open(path, "wb") as file:
            file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65536, 1))
            for when, frame in self._frames.items():
                file.write(struct.pack("=IIII", int(when), int(when % 1 * 1e6), len(frame), len(frame)) + frame)

    def tshark(self, display_filter, path):
        """How many frames the display filter matches. Saves the capture, which should be closed, as `path`."""
        needs("tshark")
        self.save(path)
        command = ["tshark", "-n", "-r", str(path), "-Y", display_filter, "-T", "fields", "-e", "frame.number"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                                env={**os.environ, "HOME": str(pathlib.Path(path).parent)})  # Not the user's settings.
        assert result.returncode == 0, result.stderr
        return len(result.stdout.split())

    def close(self):
        self._closing = True
        self._thread.join(5)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_fences = itertools.count(1)


def fence(capture, like="239.0.0.0", interface="a0"):
    """Returns once a report that was caused after all that came before has been seen on the wire.

    Lets a test say that something was not reported, without waiting for nothing. `like`: an address of the family.
    """
    group = f"ff15::fe:{next(_fences)}" if ":" in like else f"239.255.254.{next(_fences)}"
    with Receiver(group, 9, interface):
        capture.wait_record(group, "TO_EX")


# ------------------------------------------------------------------------------------------------------------ programs


def needs(*programs):
    """Skips the test if a program is missing; under CI a skip is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which ./dev setup installs")


class Process:
    """A program in the background. Gathers the lines of its standard error and, unless that is sent elsewhere, of its
    standard output.
    """

    def __init__(self, command, stdout=None, stdin=None, env=None):
        self.command = [str(part) for part in command]
        self.stdout, self.stderr = Gathering(), Gathering()
        self.popen = subprocess.Popen(self.command, stdin=stdin or subprocess.DEVNULL, stdout=stdout or subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=env)
        self._threads = [threading.Thread(target=self._gather, args=(self.popen.stderr, self.stderr), daemon=True)]
        if stdout is None:
            self._threads.append(
                threading.Thread(target=self._gather, args=(self.popen.stdout, self.stdout), daemon=True))
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _gather(pipe, gathering):
        for line in pipe:
            gathering.add(line.decode(errors="replace").rstrip("\n"))
        gathering.end()
        pipe.close()

    def errors(self):
        return "\n".join(self.stderr.items())

    def wait_error_line(self, pattern, deadline_s=DEADLINE_S):
        """Waits for a line on standard error and returns its match."""
        return self.stderr.wait(lambda lines: next(filter(None, (re.search(pattern, line) for line in lines)), None),
                                f"{self.command[0]} to say /{pattern}/", deadline_s)

    def wait_line(self, pattern, deadline_s=DEADLINE_S):
        return self.stdout.wait(lambda lines: next(filter(None, (re.search(pattern, line) for line in lines)), None),
                                f"{self.command[0]} to print /{pattern}/", deadline_s)

    def wait(self, deadline_s=DEADLINE_S):
        """The exit code; negative for a signal."""
        try:
            code = self.popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{' '.join(self.command)} did not end in {deadline_s} s; it said:\n{self.errors()}")
        for thread in self._threads:
            thread.join(5)
        return code

    def signal(self, number):
        """Sends a signal. After SIGSTOP every thread has stopped: the kernel stops them one after the other."""
        self.popen.send_signal(number)
        if number == signal.SIGSTOP:
            wait_until(self._is_stopped, "every thread to stop")

    def _is_stopped(self):
        states = set()
        for task in pathlib.Path(f"/proc/{self.popen.pid}/task").iterdir():
            try:
                states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
        return states == {"T"}

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def close(self):
        if self.popen.poll() is None:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_SANITIZER = re.compile(r"(Address|Leak|Thread)Sanitizer|runtime error:")


class Daemon(Process):
    """mcgwd, serving. `listen`: an address, or None for the daemon's default. On the peer host: a Unix socket, which
    clients reach from every network namespace.
    """

    def __init__(self, *arguments, listen=None, host="gw", env=None):
        if host == "peer":
            listen = listen or f"unix:/run/mcgw-{host}.sock"
        self.address = listen or "127.0.0.1:50051"
        command = [BIN / "mcgwd", *(["--listen", listen] if listen else []), *arguments]
        super().__init__(in_peer(command) if host == "peer" else command, env=env)
        self.wait_error_line(r"\bready\b")

    def stop(self, number=signal.SIGTERM):
        """Stops it as a service manager would, and holds that it went well."""
        self.signal(number)
        code = self.wait()
        assert code == 0, f"mcgwd ended with {code}:\n{self.errors()}"

    def close(self):
        if self.popen.poll() is None:
            self.stop()
        assert not _SANITIZER.search(self.errors()), self.errors()


def resident_bytes(daemon):
    status = pathlib.Path(f"/proc/{daemon.popen.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) << 10


class Mcgw:
    """The command-line client, speaking to one gateway."""

    def __init__(self, gateway="127.0.0.1:50051"):
        self.gateway = gateway
        self.env = {**os.environ, "MCGW_GATEWAY": gateway}

    def run(self, *arguments, stdin=b"", deadline_s=DEADLINE_S):
        """Runs it to its end: subprocess.CompletedProcess with text."""
        command = [str(BIN / "mcgw"), *map(str, arguments)]
        result = subprocess.run(command, input=stdin, capture_output=True, timeout=deadline_s, check=False,
                                env=self.env)
        result.stdout, result.stderr = (text.decode(errors="replace") for text in (result.stdout, result.stderr))
        assert not _SANITIZER.search(result.stderr), result.stderr
        return result

    def ok(self, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.returncode == 0, f"mcgw {' '.join(map(str, arguments))}: {result.returncode}\n{result.stderr}"
        return result

    def json(self, *arguments):
        """The JSON documents that it prints, one a line or one in all."""
        text = self.ok(*arguments, "-o", "json").stdout
        try:
            document = json.loads(text)
            return document if isinstance(document, list) else [document]
        except json.JSONDecodeError:
            return [json.loads(line) for line in text.splitlines()]

    def start(self, *arguments, stdout=None, stdin=None):
        return Process([BIN / "mcgw", *arguments], stdout=stdout, stdin=stdin, env=self.env)

    def subscribe(self, *arguments, stdout=None):
        """A `mcgw sub` that the gateway has accepted: what is sent from now on reaches it."""
        process = self.start("sub", *arguments, stdout=stdout)
        try:
            process.wait_error_line(r"(?i)\bsubscribed\b")
        except BaseException:
            process.close()
            raise
        return process


def channel(group, port, interface=None, source=None):
    """A channel as mcgw writes it: [SOURCE@]GROUP:PORT[%INTERFACE]."""
    host = f"[{group}]" if ":" in group else group
    return f"{f'{source}@' if source else ''}{host}:{port}{f'%{interface}' if interface else ''}"
