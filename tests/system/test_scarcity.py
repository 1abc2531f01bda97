"""A host that refuses memory or threads: the daemon serves, or ends with a sentence and exit code 1."""
import re
import resource
import signal
import subprocess

import pytest

from mcgw_testlib import BIN, Process

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
