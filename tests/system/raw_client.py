"""A gRPC client at the level of HTTP/2 frames: it can do what no library would, and says what came when."""
import socket
import struct
import time

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
GATEWAY = "multicast.gateway.v1.MulticastGatewayService"
INSPECTION = "multicast.gateway.v1.InspectionService"
HEALTH = "grpc.health.v1.Health"


def field(number, value):
    """A field of a protobuf message: text, bytes or a number."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def membership(interface, group, port):
    return field(1, interface) + field(2, group) + field(3, port)


def _varint(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def _literal(name, value):
    """A header that is not indexed (RFC 7541, 6.2.2); both shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class RawClient:
    """One connection. What a server sends is read only while a method waits for it."""

    def __init__(self, address, timeout_s=20):
        if address.startswith("unix:"):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout_s)
            self._socket.connect(address.removeprefix("unix:"))
        else:
            host, port = address.rsplit(":", 1)
            self._socket = socket.create_connection((host, int(port)), timeout=timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self._frame(SETTINGS, 0, 0, b""))
        self._next_stream = 1
        self._stream_window, self._connection_window = 65535, 65535
        self._windows = {}

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open_windows(self):
        """From now on the gateway may send as much as the socket takes."""
        self._socket.sendall(self._frame(SETTINGS, 0, 0, struct.pack(">HI", 4, (1 << 31) - 1))
                             + self._frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535)))

    def take(self, most):
        """At most so many bytes of what has come, as they are; none at the end."""
        return self._socket.recv(most)

    def begin(self, service, method):
        """Opens a call; its number."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        headers = b"\x83\x86" + b"".join(
            _literal(name, value) for name, value in [(":path", f"/{service}/{method}"), (":authority", "x"),
                                                      ("content-type", "application/grpc"), ("te", "trailers")])
        self._windows[stream] = self._stream_window
        self._socket.sendall(self._frame(HEADERS, END_HEADERS, stream, headers))
        return stream

    def message(self, stream, body, announced=None, last=False):
        """Sends a message, or what of one that is announced longer; as fast as the windows open."""
        data = b"\0" + struct.pack(">I", len(body) if announced is None else announced) + body
        while data:
            room = min(16384, self._windows[stream], self._connection_window)
            if room <= 0:
                if not self.read():
                    return False
                continue
            part, data = data[:room], data[room:]
            self._windows[stream] -= len(part)
            self._connection_window -= len(part)
            self._socket.sendall(self._frame(DATA, END_STREAM if last and not data else 0, stream, part))
        return True

    def call(self, service, method, body=b"", until_end=True):
        """Makes a call and waits for its end, or its first message; how long that took, in seconds."""
        began = time.monotonic()
        stream = self.begin(service, method)
        self.message(stream, body, last=True)
        while True:
            frame = self.read()
            if not frame:
                raise ConnectionError("the server has closed the connection")
            kind, flags, of, _ = frame
            if of != stream:
                continue
            if kind == RST_STREAM:
                raise ConnectionError(f"{method} was reset")
            if (flags & END_STREAM if until_end else kind == DATA):
                return time.monotonic() - began

    def read(self):
        """The next frame, (kind, flags, stream, body), or None at the end; answers what must be."""
        head = self._exact(9)
        if head is None:
            return None
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7fffffff
        body = self._exact(length)
        if kind == SETTINGS and not flags & ACK:
            for key, value in struct.iter_unpack(">HI", body):
                if key == 4:  # The window that a stream begins with.
                    for one in self._windows:
                        self._windows[one] += value - self._stream_window
                    self._stream_window = value
            self._socket.sendall(self._frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._socket.sendall(self._frame(PING, ACK, 0, body))
        elif kind == WINDOW_UPDATE:
            if stream == 0:
                self._connection_window += int.from_bytes(body, "big")
            elif stream in self._windows:
                self._windows[stream] += int.from_bytes(body, "big")
        elif kind == DATA and length > 0:
            for window in (0, stream):
                self._socket.sendall(self._frame(WINDOW_UPDATE, 0, window, struct.pack(">I", length)))
        return kind, flags, stream, body

    def _exact(self, count):
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                return None
            data += part
        return data

    @staticmethod
    def _frame(kind, flags, stream, body):
        return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body
