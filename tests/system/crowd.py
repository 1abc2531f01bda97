"""Crowds of light clients, each in a process of its own (crowd_members.py)."""
import json
import pathlib
import subprocess
import sys

from mcgw_testlib import Process

MEMBERS = pathlib.Path(__file__).with_name("crowd_members.py")


class Crowd(Process):
    """One of them. Of the options, `groups` says how many groups there are, which the streams take in turn."""

    def __init__(self, address, connections, streams, **options):
        spec = {"address": address, "connections": connections, "streams": streams, **options}
        super().__init__([sys.executable, "-B", MEMBERS, json.dumps(spec)], stdin=subprocess.PIPE)
        self._asked = 0

    def wait_for(self, key, count=1, deadline_s=60):
        """The value of the count-th line with the key."""
        lines = self.stdout.wait(lambda items: (found := [line for line in items if line.startswith(f'{{"{key}"')])
                                 and len(found) >= count and found, f"a crowd that says {key}", deadline_s)
        return json.loads(lines[count - 1])

    def ask(self):
        """What its streams have been told so far."""
        self._asked += 1
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()
        return self.wait_for("now", self._asked)["now"]


def crowds(address, clients, streams, processes, **options):
    """Starts that many clients, with so many streams on each connection, in several processes; all subscribed."""
    connections = -(-clients // streams)
    processes = min(processes, connections)
    started, first = [], 0
    for process in range(processes):
        count = connections * (process + 1) // processes - first // streams
        started.append(Crowd(address, count, streams, first=first, **options))
        first += count * streams
    for crowd in started:
        crowd.wait_for("open")
    return started
