"""A `mcgw sub` under observation: what it got, what the gateway announced as missing, and whether the two agree."""
import base64
import re
import signal
import struct
import subprocess
import threading

from mcgw_testlib import BIN, Process

HEADER = struct.Struct("!QQQ")  # Index of the channel, number, unused; 24 bytes are 32 of base64 without padding.
HEADER_BASE64 = 32

_DATAGRAM = re.compile(rb'"sequence":(\d+),"size":\d+,"payload":"([A-Za-z0-9+/]{%d})' % HEADER_BASE64)
_GAP = re.compile(r"gap in (\S+): \d+ datagrams? lost, sequence (\d+)(?: to (\d+))?, (.*)")
_UNKNOWN_GAP = re.compile(r"gap in (\S+): .* lost before sequence (\d+), (.*)")
_FAULT = re.compile(r"announced no gap|twice or out of order")
_CHUNK = 1 << 18


class Track:
    """What one client got of one channel."""

    def __init__(self):
        self.first = self.last = 0
        self.count = 0
        self.holes = []  # (first, last) of sequences that did not come.
        self.shift = 0   # Number minus sequence: what was lost before the gateway could see it.
        self.disorder = []  # What contradicts the sender's numbering or the order, in words.

    def take(self, sequence, number):
        if self.count == 0:
            self.first = sequence
        elif sequence <= self.last:
            self.disorder.append(f"sequence {sequence} after {self.last}")
            return
        elif sequence > self.last + 1:
            self.holes.append((self.last + 1, sequence - 1))
        if number - sequence < self.shift:
            self.disorder.append(f"sequence {sequence} is the sender's {number}, {self.shift} were missing before")
        self.shift = number - sequence
        self.last = sequence
        self.count += 1


class Client:
    """One life of a subscriber, from its start to its end. `channels`: {name: index}, the names with their sources."""

    def __init__(self, mcgw, channels):
        self.channels = {name.split("@")[-1]: index for name, index in channels.items()}
        self.tracks = {index: Track() for index in channels.values()}
        self.faults = []
        self.stopped = False
        self._lock = threading.Lock()
        arguments = [BIN / "mcgw", "sub", *channels, "-o", "json"]
        self.process = Process(arguments, stdout=subprocess.PIPE, env=mcgw.env)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_subscribed(self, deadline_s=30):
        self.process.stderr.wait(lambda lines: sum("subscribed to" in line for line in lines) >= len(self.channels),
                                 "the subscription", deadline_s)

    def _read(self):
        pipe, rest = self.process.popen.stdout, b""
        while chunk := pipe.read1(_CHUNK):
            text = rest + chunk
            end = text.rfind(b"\n") + 1
            rest = text[end:]
            found = _DATAGRAM.findall(text, 0, end)
            headers = base64.b64decode(b"".join(payload for _, payload in found))
            with self._lock:
                if len(found) != text.count(b"\n", 0, end):
                    self.faults.append("a line without a datagram of the sender")
                for (sequence, _), (index, number, _) in zip(found, HEADER.iter_unpack(headers)):
                    if index in self.tracks:
                        self.tracks[index].take(int(sequence), number)
                    else:
                        self.faults.append(f"a datagram of channel {index}, which was not asked for")

    def progress(self, index):
        """The last sequence that came or that a gap covers."""
        with self._lock:
            last = self.tracks[index].last
        return max([last, *(end for _, end in self.ranges().get(index, []))])

    def ranges(self, cause=""):
        """{index: [(first, last)]} of the sequences that gaps announced as missing, all or those of a cause."""
        found = {}
        for line in self.process.stderr.items():
            if (match := _GAP.search(line)) and cause in match[4]:
                first = int(match[2])
                found.setdefault(self.channels[match[1]], []).append((first, int(match[3] or first)))
        return found

    def unknowns(self):
        """{index: [cause]} of the gaps of unknown extent."""
        found = {}
        for line in self.process.stderr.items():
            if match := _UNKNOWN_GAP.search(line):
                found.setdefault(self.channels[match[1]], []).append(match[3])
        return found

    def causes(self):
        """{cause: datagrams} of what gaps announced."""
        found = {}
        for line in self.process.stderr.items():
            if match := _GAP.search(line):
                size = int(match[3] or match[2]) - int(match[2]) + 1
                found[match[4]] = found.get(match[4], 0) + size
        return found

    def stall(self):
        self.stopped = True
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.stopped = False
        self.process.signal(signal.SIGCONT)

    def end(self, number):
        """Ends it by a signal and returns the exit code."""
        if self.stopped and number != signal.SIGKILL:
            self.go_on()
        if self.process.popen.poll() is None:
            self.process.signal(number)
        code = self.process.wait(30)
        self._thread.join(30)
        return code

    def judge(self, expected_first, unknown_causes=()):
        """What is wrong, as lines; after the end. `expected_first`: {index: the latest sequence that may be first}.
        `unknown_causes`: which gaps of unknown extent there may be.
        """
        wrong = list(self.faults)
        for line in self.process.stderr.items():
            if _FAULT.search(line):
                wrong.append(line)
            elif (match := _UNKNOWN_GAP.search(line)) and match[3] not in unknown_causes:
                wrong.append(f"a loss of unknown extent where every loss has one: {line}")
        ranges = self.ranges()
        for name, index in self.channels.items():
            track, announced = self.tracks[index], sorted(ranges.get(index, []))
            wrong += [f"{name}: {text}" for text in track.disorder[:3]]
            if any(a[1] >= b[0] for a, b in zip(announced, announced[1:])):
                wrong.append(f"{name}: ranges overlap")
            begins = [(track.first, track.last)] if track.count else []
            begin = min([part[0] for part in begins + announced], default=None)
            if begin is not None and begin > expected_first.get(index, begin):
                wrong.append(f"{name}: begins at {begin}, though it was subscribed from {expected_first[index]} on")
            holes = list(track.holes)
            if track.count and begin < track.first:
                holes.insert(0, (begin, track.first - 1))
            missing = [hole for hole in minus(holes, announced) if hole[0] <= track.last]
            if missing:
                wrong.append(f"{name}: not announced: {missing[:5]} ({len(missing)} holes)")
            delivered = [part for part in minus(announced, holes) if part[0] <= track.last]
            if delivered:
                wrong.append(f"{name}: announced as missing, but delivered: {delivered[:5]}")
        return wrong


def minus(ranges, others):
    """The parts of the sorted ranges that none of the others, sorted too, covers."""
    left, at = [], 0
    for first, last in ranges:
        while at < len(others) and others[at][1] < first:
            at += 1
        place = at
        while first <= last and place < len(others) and others[place][0] <= last:
            if others[place][0] > first:
                left.append((first, others[place][0] - 1))
            first = max(first, others[place][1] + 1)
            place += 1
        if first <= last:
            left.append((first, last))
    return left
