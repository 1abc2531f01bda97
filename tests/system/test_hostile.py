"""One hostile client: the gateway goes on serving, ends in order, and its log stays small."""
import contextlib
import os
import signal
import subprocess

import pytest

from mcgw_testlib import DEADLINE_S, Daemon, Mcgw, channel, resident_bytes, wait_until
from raw_client import DATA, HEALTH, RST_STREAM, RawClient, field

CALLS = int(os.environ.get("MCGW_FUZZ_CALLS", "400"))
OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 0, 1, 2, 3, 12, 13, 14


def fuzz(daemon, kind, calls, deadline_s):
    """Makes the calls and returns how many ended with each status."""
    result = subprocess.run([os.environ["MCGW_WIRE_FUZZER"], daemon.address, str(kind), str(calls)],
                            capture_output=True, text=True, timeout=deadline_s, check=False)
    assert result.returncode == 0, result.stderr + daemon.errors()
    return {int(status): int(count) for status, count in (line.split() for line in result.stdout.splitlines())}


def log_bytes(daemon):
    return sum(len(line.encode()) + 1 for line in daemon.stderr.items())


def test_mutated_calls_of_every_kind(net, binaries):
    del net, binaries
    with Daemon("--session-lease", "2s", "--keep-after-leave", "1s", "--drain-grace", "1s") as daemon:
        before = log_bytes(daemon)
        statuses = fuzz(daemon, 7, CALLS, deadline_s=DEADLINE_S + CALLS / 20)
        assert sum(statuses.values()) == CALLS
        assert statuses[OK] > 0 and statuses[INVALID_ARGUMENT] > CALLS / 10, statuses
        assert statuses.get(UNIMPLEMENTED, 0) == 0 and statuses.get(UNKNOWN, 0) == 0, statuses
        Mcgw(daemon.address).ok("health")
        daemon.stop()
        logged = log_bytes(daemon) - before
        print(f"{CALLS} calls: {logged} bytes of log, {logged / CALLS:.0f} for each; statuses {statuses}")
        assert logged < 64_000 + 100 * CALLS, daemon.errors()


def test_a_client_that_subscribes_and_cancels_does_not_fill_the_log(net, binaries):
    del net, binaries
    calls = 2000
    with Daemon() as daemon:
        before = log_bytes(daemon)
        fuzz(daemon, "cancel", calls, deadline_s=120)
        daemon.stop()
        logged = log_bytes(daemon) - before
        print(f"subscribe and cancel: {logged / calls:.1f} bytes of log for each of {calls}")
        assert logged < 20 * calls, daemon.errors()
        assert "more lines of this kind" in daemon.errors()


def test_many_sources_and_many_memberships_are_few_lines(net, binaries):
    del net, binaries
    sources = ",".join(f"10.{n // 250}.{n % 250}.9" for n in range(1000))
    with Daemon() as daemon:
        mcgw = Mcgw(daemon.address)
        before = log_bytes(daemon)
        session = mcgw.ok("join", f"{sources}@232.5.5.1:5000%a0").stdout.split()[1]
        mcgw.ok("leave", "--session", session)
        joined = log_bytes(daemon) - before
        groups = [channel(f"239.{n // 250}.{n % 250}.5", 5000, "a0") for n in range(1000)]
        before = log_bytes(daemon)
        with mcgw.subscribe(*groups, "-o", "raw") as subscriber:
            subscriber.signal(signal.SIGINT)
            subscriber.wait()
        wait_until(lambda: not mcgw.json("subscribers"), "the stream to go")
        subscribed = log_bytes(daemon) - before
        print(f"1,000 sources: {joined} bytes for one Join and Leave; 1,000 memberships: {subscribed} for one stream")
        assert joined < 5000 and subscribed < 10_000, daemon.errors()


def test_what_cannot_be_parsed_is_not_logged_past_level_and_format(net, binaries):
    """A text that is no UTF-8 makes protobuf itself complain."""
    del net, binaries
    with Daemon("--log-format", "json", "--log-level", "error") as daemon:
        fuzz(daemon, 11, 200, deadline_s=60)
        daemon.stop()
        for line in daemon.stderr.items():
            assert line.startswith('{"time":"') and line.endswith('"}'), line


@pytest.mark.parametrize(("service", "method", "body"), [
    (HEALTH, "Watch", b""), ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", field(7, ""))])
def test_streams_of_other_services_are_bounded_too(daemon, mcgw, service, method, body):
    """A connection has 100 calls at a time, whatever they are; what they cost is small and comes back."""
    before = resident_bytes(daemon)
    for _ in range(2):
        with contextlib.ExitStack() as clients:
            for _ in range(4):
                client = clients.enter_context(RawClient(daemon.address))
                client.call(HEALTH, "Check")  # From its answer on, what the gateway allows is agreed.
                waiting = set()
                for _ in range(100):
                    waiting.add(client.begin(service, method))
                    client.message(max(waiting), body)
                while waiting:
                    kind, _, stream, _ = client.read()
                    if kind == DATA:
                        waiting.discard(stream)
                with contextlib.suppress(ConnectionError):
                    client.message(client.begin(service, method), body)
                    while client.read():  # Until the gateway has closed the connection.
                        pass
            mcgw.ok("health")
    assert resident_bytes(daemon) - before < 30 << 20
