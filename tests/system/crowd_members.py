"""A crowd of light clients in a process of its own, which a scenario starts, asks and kills (crowd.py).

    crowd_members.py '{"address": …, "connections": …, "streams": …, …}'

It opens `connections`, each with `streams` of Subscribe, and says in lines of JSON what happened: {"open": count} once
all are subscribed, {"back": count, "at": time} whenever all are subscribed again after a lost connection (with
"resume"), {"ended": …} when all have ended. A line on its standard input asks for {"now": …}.
"""
import collections
import json
import select
import sys
import time

from light_client import GATEWAY, Link, Stream, request_headers

_SUBSCRIBE = request_headers(GATEWAY + "Subscribe")
RETRY_S = 0.02


class _Members:
    def __init__(self, spec):
        self._address, self._retain_s = spec["address"], spec.get("retain_s", 0)
        self._resume, self._leaves = spec.get("resume", False), spec.get("leave_at_draining", False)
        base, groups = spec.get("base", "239.90."), spec.get("groups", 1)
        self.streams, self._links, self._calls = [], {}, {}
        self._to_open = collections.deque()
        self._poll = select.epoll()
        self._said_open = 0
        for number in range(spec["connections"]):
            mine = []
            for stream in range(spec["streams"]):
                group = (spec["first"] + number * spec["streams"] + stream) % groups
                mine.append(Stream(f"{base}{group // 250}.{1 + group % 250}", spec.get("interface", "a0")))
            self.streams += mine
            self._to_open.append(mine)

    def run(self):
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        while True:
            self._open_waiting()
            for fd, _ in self._poll.poll(RETRY_S if self._to_open else -1):
                if fd == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    self._say({"now": self.summary()})
                elif fd in self._links:
                    self._take(fd)
            self._tell()

    def _open_waiting(self):
        for _ in range(min(len(self._to_open), 8)):  # What comes on the others is taken in between.
            mine = self._to_open[0]
            try:
                link = Link(self._address)
                calls = {link.begin(_SUBSCRIBE, stream.request(self._retain_s)): stream for stream in mine}
                link.flush()
            except OSError:
                if not self._resume:
                    raise
                return
            self._to_open.popleft()
            self._links[link.fileno()], self._calls[link.fileno()] = link, calls
            self._poll.register(link.fileno(), select.EPOLLIN)

    def _take(self, fd):
        link, calls = self._links[fd], self._calls[fd]
        try:
            for call, kind, value in link.receive():
                if kind == Link.MESSAGE:
                    calls[call].take(value)
                else:
                    calls[call].end, calls[call].open = value, False
        except OSError:
            self._drop(fd)
            return
        if self._leaves and all(stream.grace_ms is not None for stream in calls.values()):
            self._drop(fd)

    def _drop(self, fd):
        self._poll.unregister(fd)
        self._links.pop(fd).close()
        mine = list(self._calls.pop(fd).values())
        for stream in mine:
            stream.open = False
            stream.end = stream.end or {"closed": b""}
        if self._resume:
            for stream in mine:
                stream.end = None
            self._to_open.append(mine)

    def _tell(self):
        is_open = sum(stream.open for stream in self.streams)
        if is_open == len(self.streams) and self._said_open != is_open:
            self._say({"back" if self._said_open == -1 else "open": is_open, "at": time.monotonic()})
            self._said_open = is_open
        elif is_open == 0 and self._said_open > 0:
            self._said_open = -1 if self._resume else 0
            if not self._resume:
                self._say({"ended": self.summary(), "at": time.monotonic()})
        elif is_open < self._said_open and self._resume:
            self._said_open = -1

    def summary(self):
        ends = collections.Counter("open" if stream.end is None else f"status {stream.end['grpc-status'].decode()}"
                                   if "grpc-status" in stream.end else min(stream.end) for stream in self.streams)
        graces = [stream.grace_ms for stream in self.streams if stream.grace_ms is not None]
        gaps = sum((stream.gaps for stream in self.streams), collections.Counter())
        return {"streams": len(self.streams), "open": sum(stream.open for stream in self.streams),
                "datagrams": sum(stream.datagrams for stream in self.streams), "ends": ends, "gaps": gaps,
                "draining": len(graces), "grace_ms": max(graces, default=0),
                "ended by drain": sum(stream.ended_by_drain() for stream in self.streams)}

    @staticmethod
    def _say(what):
        print(json.dumps(what), flush=True)


if __name__ == "__main__":
    _Members(json.loads(sys.argv[1])).run()
