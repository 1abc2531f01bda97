"""Fixtures of the system tests, and the rule that under CI a skip is a failure."""
import os

import pytest

from mcgw_testlib import BIN, Daemon, Mcgw, Network


def pytest_configure(config):
    if os.path.realpath("/proc/1/exe") == os.path.realpath("/proc/self/exe"):
        return
    with open("/proc/1/cmdline", "rb") as file:
        if b"in_namespace" not in file.read():
            raise pytest.UsageError(
                "these tests change interfaces: run them by ./dev test or tests/support/in_namespace")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {reason}"


@pytest.fixture
def net():
    """Two hosts joined by one cable: a0 here, b0 on the peer. `net.add_link()` adds a1 and b1."""
    network = Network()
    yield network
    network.close()


@pytest.fixture
def binaries():
    missing = [name for name in ("mcgwd", "mcgw") if not (BIN / name).exists()]
    assert not missing, f"{BIN} lacks {', '.join(missing)}: ./dev build makes them"


@pytest.fixture
def daemon(net, binaries):
    """A gateway on the network, stopped at the end, which must go well."""
    del net, binaries
    with Daemon() as process:
        yield process


@pytest.fixture
def mcgw(daemon):
    return Mcgw(daemon.address)
