"""A host that refuses memory or threads: the daemon serves, or ends with a sentence and exit code 1. And clients that
take memory."""
import re
import resource
import signal
import subprocess

import pytest

from mcgw_testlib import BIN, Process, channel, resident_bytes
from raw_client import GATEWAY, RawClient

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("mebibytes", [40, 60, 80, 100, 140, 180, 220, 300, 400, 700])
def test_too_little_address_space(net, binaries, mebibytes):
    del net, binaries
    limit = ["prlimit", f"--as={mebibytes * MEBIBYTE}"]
    with Process([*limit, BIN / "mcgwd", "--drain-grace", "0s"]) as daemon:
        lines = daemon.stderr.wait(
            lambda items: [line for line in items if re.search(r"\bready\b|^mcgwd: ", line)], "an outcome")
        if "ready" in lines[-1]:
            daemon.signal(signal.SIGTERM)
            # Memory may run out on the way down too.
            assert daemon.wait() in (0, 1), daemon.errors()
        else:
            assert daemon.wait() == 1, daemon.errors()


def test_no_descriptors(net, binaries):
    del net, binaries
    result = subprocess.run([BIN / "mcgwd"], capture_output=True, text=True, timeout=20, check=False,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)))
    assert result.returncode == 1 and re.search("(?m)^mcgwd: ", result.stderr), result


def announce_and_withhold(client):
    """Sends messages without their last byte until the gateway takes no more of them."""
    try:
        for _ in range(100):
            stream = client.begin(GATEWAY, "Publish")
            if not client.message(stream, bytes((1 << 20) - 1), announced=1 << 20):
                return
    except ConnectionError:
        pass  # The gateway has closed the connection in the middle of a message.


def test_messages_that_never_end_take_bounded_memory(net, daemon, mcgw):
    """Each of 400 streams announces a message of a megabyte, and sends all of it but the last byte."""
    del net
    before = resident_bytes(daemon)
    clients = []
    try:
        for _ in range(4):
            clients.append(RawClient(daemon.address))
            announce_and_withhold(clients[-1])
        mcgw.ok("health")
        mcgw.ok("pub", channel("239.7.7.1", 5000, "a0"), stdin=b"x\n")
        assert resident_bytes(daemon) - before < 320 << 20
    finally:
        for client in clients:
            client.close()
