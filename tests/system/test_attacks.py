"""What a peer that may speak HTTP/2 can do to the gateway by frames alone: its memory stays bounded, others are served."""
import socket
import struct

import pytest

from light_client import GATEWAY, frame, request_headers
from mcgw_testlib import Mcgw, channel, resident_bytes
from raw_client import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS,
                        WINDOW_UPDATE)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GROWN_BYTES = 64 << 20
ROUNDS = 50_000
JOIN = request_headers(GATEWAY + "Join")
SUBSCRIBE = request_headers(GATEWAY + "Subscribe")


def odd(count):
    return range(1, 2 * count, 2)


def rapid_reset():
    for stream in odd(ROUNDS):
        yield frame(HEADERS, END_HEADERS, stream, SUBSCRIBE) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def pings():
    for _ in range(4 * ROUNDS):
        yield frame(PING, 0, 0, b"01234567")


def settings():
    for _ in range(4 * ROUNDS):
        yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535))


def many_settings():
    yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535) * 2000)


def continuations():
    yield frame(HEADERS, 0, 1, JOIN)
    for _ in range(ROUNDS):
        yield frame(CONTINUATION, 0, 1, b"\0\x01a\x01b")


def header_bomb():
    """A long value in the table, and then many references to it."""
    yield frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84" + b"\x40\x01a\x7f\x81\x1e" + b"x" * 4000)
    for stream in odd(2000):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream + 2, b"\x83\x86\x84" + b"\xbe" * 16000)


def header_string():
    """A value of 64 MiB."""
    yield frame(HEADERS, 0, 1, b"\x83\x86\x84\x40\x01a\x7f\x81\xff\xff\x1f" + b"x" * 16000)
    for _ in range(4096):
        yield frame(CONTINUATION, 0, 1, b"x" * 16384)


def empty_frames():
    yield frame(HEADERS, END_HEADERS, 1, JOIN)
    for _ in range(4 * ROUNDS):
        yield frame(DATA, 0, 1, b"")


def window_updates():
    for _ in range(4 * ROUNDS):
        yield frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))


def without_a_window():
    """Answers that cannot be sent."""
    yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    for stream in odd(ROUNDS):
        yield frame(HEADERS, END_HEADERS, stream, JOIN) + frame(DATA, END_STREAM, stream, bytes(5))


def without_acknowledging_settings():
    """More calls than the gateway allows."""
    for stream in odd(ROUNDS):
        yield frame(HEADERS, END_HEADERS, stream, SUBSCRIBE)


ATTACKS = [rapid_reset, pings, settings, many_settings, continuations, header_bomb, header_string, empty_frames,
           window_updates, without_a_window, without_acknowledging_settings]

def attack(address, frames):
    """Sends all frames, as long as the gateway takes them, and reads nothing. The connection."""
    host, port = address.rsplit(":", 1)
    link = socket.create_connection((host, int(port)), timeout=5)
    try:
        link.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(SETTINGS, ACK, 0, b""))
        waiting = bytearray()
        for each in frames:
            waiting += each
            if len(waiting) > 1 << 16:
                link.sendall(waiting)
                waiting.clear()
        link.sendall(waiting)
    except (ConnectionError, TimeoutError):
        pass  # It has had enough.
    return link

@pytest.mark.parametrize("frames", ATTACKS, ids=lambda function: function.__name__)
def test_memory_stays_bounded_and_others_are_served(net, daemon, mcgw, frames):
    del net
    mcgw.ok("health")
    before = resident_bytes(daemon)
    links = [attack(daemon.address, frames()) for _ in range(2)]
    try:
        mcgw.ok("health")
        mcgw.ok("pub", channel("239.7.7.1", 5000, "a0"), stdin=b"x\n")
        assert resident_bytes(daemon) - before < GROWN_BYTES
    finally:
        for link in links:
            link.close()

def test_connections_that_say_nothing_hold_nobody_up(net, daemon, mcgw):
    del net
    host, port = daemon.address.rsplit(":", 1)
    before = resident_bytes(daemon)
    links = [socket.create_connection((host, int(port))) for _ in range(500)]
    try:
        for link in links[::2]:
            link.sendall(PREFACE[:10])
        Mcgw(daemon.address).ok("health")
        mcgw.ok("health")
        assert resident_bytes(daemon) - before < GROWN_BYTES
    finally:
        for link in links:
            link.close()
