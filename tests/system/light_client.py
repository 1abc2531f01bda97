"""Many gRPC calls over one connection, at the level of HTTP/2 frames: a client that costs so little that a test can have
ten thousand of them. It answers what a server must have answered, and takes all that comes.
"""
import base64
import collections
import socket
import struct

import hpack
from raw_client import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, field,
                        membership)

GATEWAY = "/multicast.gateway.v1.MulticastGatewayService/"
PORT = 5000
_HEAD = struct.Struct(">HBBBI")
_WIDE = (1 << 31) - 1
# A widest window for each call.
_SETTINGS = struct.pack(">HI", 4, _WIDE)


def frame(kind, flags, stream, body):
    return _HEAD.pack(len(body) >> 8, len(body) & 0xff, kind, flags, stream) + body


def _text(value):
    return bytes([len(value)]) + value.encode()


def request_headers(path):
    """The header block of a call; no text is longer than 126 bytes."""
    literals = ((":path", path), (":authority", "x"), ("content-type", "application/grpc"), ("te", "trailers"))
    return b"\x83\x86" + b"".join(b"\0" + _text(name) + _text(value) for name, value in literals)


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(message):
    """(number, value) of each field of a protobuf message; bytes for what has a length or a fixed size."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            if size is None:
                size, at = _varint(message, at)
            value = message[at:at + size]
            at += size
        yield tag >> 3, value


class Link:
    """One connection. `receive` never waits: select on it."""

    MESSAGE, END = "message", "end"

    def __init__(self, address, source=None):
        if address.startswith("unix:"):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(address.removeprefix("unix:"))
        else:
            host, port = address.rsplit(":", 1)
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout=20,
                                                    source_address=(source, 0) if source else None)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out = bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, _SETTINGS)
                              + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _WIDE - 65535)))
        self._in = b""
        self._table = hpack.Decoder()
        self._window = 65535  # For all that is sent. No call sends as much as a window of its own.
        self._waiting = collections.deque()
        self._partial = {}
        self._next = 1

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def begin(self, block, message):
        """Opens a call with its only message; its number. Sent with the next flush."""
        stream, self._next = self._next, self._next + 2
        data = b"\0" + struct.pack(">I", len(message)) + message
        self._waiting.append((frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, data),
                              len(data)))
        return stream

    def flush(self):
        while self._waiting and self._waiting[0][1] <= self._window:
            frames, size = self._waiting.popleft()
            self._window -= size
            self._out += frames
        if self._out:
            self._socket.sendall(self._out)
            self._out.clear()

    def receive(self, most=1 << 18):
        """[(call, MESSAGE, bytes) or (call, END, headers)] of what has come. ConnectionError at the connection's end."""
        got = self._socket.recv(most)
        if not got:
            raise ConnectionError("the gateway has closed the connection")
        data, at, events = self._in + got, 0, []
        while len(data) - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            end = at + 9 + (high << 8 | low)
            if end > len(data):
                break
            body, at = data[at + 9:end], end
            if kind == DATA:
                self._take(stream, body, events)
            elif kind == HEADERS:
                found = self._headers(body)
                if flags & END_STREAM:
                    events.append((stream, self.END, found))
                    self._partial.pop(stream, None)
            elif kind == RST_STREAM:
                events.append((stream, self.END, {"reset": body}))
                self._partial.pop(stream, None)
            elif kind == SETTINGS and not flags & ACK:
                self._out += frame(SETTINGS, ACK, 0, b"")
            elif kind == PING and not flags & ACK:
                self._out += frame(PING, ACK, 0, body)
            elif kind == WINDOW_UPDATE and stream == 0:
                self._window += int.from_bytes(body, "big")
        self._in = data[at:]
        if self._out or self._waiting:
            self.flush()
        return events

    def _headers(self, block):
        """{name: value} of a header block; values are bytes."""
        found = {}
        for name, value in self._table.decode(block, raw=True):
            if name.endswith(b"-bin"):
                value = base64.b64decode(value + b"=" * (-len(value) % 4))
            found[name.decode(errors="replace")] = value
        return found

    def _take(self, stream, body, events):
        body = self._partial.pop(stream, b"") + body
        while len(body) >= 5 and len(body) >= 5 + (size := int.from_bytes(body[1:5], "big")):
            events.append((stream, self.MESSAGE, body[5:5 + size]))
            body = body[5 + size:]
        if body:
            self._partial[stream] = body


class Stream:
    """What one Subscribe stream has told its client."""

    DATAGRAM, EVENT = 1, 2
    SUBSCRIBED, GAP, POSITION, LEDGER, DRAINING = 1, 6, 7, 8, 9
    OTHER_EPOCH = 4

    def __init__(self, group, interface):
        self.group, self.interface = group, interface
        self.datagrams = 0
        self.position = None  # (epoch, next sequence), as they came.
        self.grace_ms = None  # Of its Draining.
        self.ledger = None    # If it was the last that came: {field: value}.
        self.gaps = collections.Counter()  # By cause.
        self.open = False
        self.end = None       # The headers of its end.

    def request(self, retain_s=0):
        """A SubscribeRequest, which resumes where the stream has been."""
        body = field(1, membership(self.interface, self.group, PORT))
        if self.position is not None:
            epoch, sequence = self.position
            point = (field(1, self.interface) + field(2, self.group) + field(3, PORT) + b"\x21" + epoch
                     + field(5, sequence))
            body += field(3, field(4, field(1, point)))
        return body + (field(4, field(6, field(1, retain_s))) if retain_s else b"")

    def take(self, message):
        for number, value in fields(message):
            if number == self.DATAGRAM:
                self.datagrams += 1
                self.ledger = None
                self.position = (self.position[0], dict(fields(value))[2] + 1)
            else:
                kind, event = next(fields(value))
                self.ledger = None
                self._take_event(kind, event)

    def _take_event(self, kind, event):
        if kind == self.SUBSCRIBED:
            self.open = True
            for number, state in fields(event):
                if number == 2:
                    at = dict(fields(dict(fields(state))[1]))
                    if self.position is None or self.position[0] != at[6]:
                        self.position = (at[6], at.get(7, 1))
        elif kind == self.GAP:
            self.gaps[dict(fields(event)).get(2, 0)] += 1
        elif kind == self.DRAINING:
            grace = dict(fields(dict(fields(event)).get(1, b"")))
            self.grace_ms = grace.get(1, 0) * 1000 + grace.get(2, 0) // 1_000_000
        elif kind == self.LEDGER:
            self.ledger = dict(fields(event))

    def ended_by_drain(self):
        """Whether it was told of the stop, got its ledger last, which agrees with what came, and the reason."""
        return (self.grace_ms is not None and self.ledger is not None and self.ledger.get(4, 0) == self.datagrams
                and self.end is not None and self.end.get("grpc-status") == b"14"
                and b"DRAINING" in self.end.get("grpc-status-details-bin", b""))
