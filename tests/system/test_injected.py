"""Errors of system calls, injected into the daemon at work."""
import re
import signal

import pytest

import injected

from mcgw_testlib import BIN, Process, needs, wait_until


def test_no_error_of_a_system_call_ends_it_or_loses_anything(net, binaries, tmp_path):
    del binaries
    needs("strace")
    measured, broken = injected.run(net, tmp_path)
    print(measured)
    assert not broken, "\n".join(broken)
    assert measured["injected"] >= 300, measured


@pytest.mark.parametrize(("call", "error"), [
    ("socket", "EMFILE"), ("socket", "ENOMEM"), ("bind", "EADDRINUSE"), ("bind", "EACCES"), ("listen", "EADDRINUSE"),
    ("setsockopt", "ENOMEM"), ("epoll_ctl", "ENOSPC"), ("sendto", "ENOBUFS"), ("recvmsg", "ENOMEM"),
    ("getsockname", "ENOBUFS"), ("openat", "EMFILE")])
def test_a_start_that_fails_says_why(net, binaries, tmp_path, call, error):
    """The n-th call of the main thread fails: the gateway serves, or ends with a sentence and exit code 1."""
    del net, binaries
    needs("strace")
    for n in range(1, 13):
        out = tmp_path / f"strace{n}"
        command = ["strace", "-D", "-o", out, "-e", f"trace={call}", "-e",
                   f"inject={call}:error={error}:when={n}", BIN / "mcgwd", "--drain-grace", "0s"]
        with Process(command) as daemon:  # -D: strace is the child, and mcgwd the process.
            said = daemon.stderr.wait(
                lambda lines: [line for line in lines if re.search(r"info ready|^mcgwd: ", line)], "an outcome", 5)[-1]
            if "info ready" in said:
                daemon.signal(signal.SIGTERM)
            assert daemon.wait() == (0 if "info ready" in said else 1), f"{call} {error} {n}: {daemon.errors()}"
        if "(INJECTED)" not in wait_until(lambda out=out: "exited" in out.read_text() and out.read_text(), "strace"):
            break
    assert n > 1, "nothing was injected"
