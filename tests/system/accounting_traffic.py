"""What the scenarios of accounting.py are made of: a numbered sender, readers, a proxy that cuts connections."""
import array
import base64
import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import threading
import time

from mcgw_testlib import BIN, Network, Process, sender_to, wait_until
from soak_client import HEADER

PORT = 5000
_GAP = re.compile(r"gap in (\S+): (\d+) datagrams? lost, sequence (\d+)(?: to (\d+))?, (.*)")
_UNKNOWN_GAP = re.compile(r"gap in (\S+): .* lost before sequence (\d+), (.*)")


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


def in_a_network(scenario):
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
