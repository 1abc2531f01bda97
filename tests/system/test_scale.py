"""Thousands of groups, as an ordinary user and with the kernel's default settings."""
import collections
import contextlib
import pathlib
import random
import re
import signal

from mcgw_testlib import BIN, Daemon, Mcgw, Process, channel, igmp_users, mld_users, sender_to, wait_until

PORT = 5000
SAMPLES = 40
PATIENCE_S = 120


def groups4(count):
    return [f"239.10.{n // 250}.{1 + n % 250}" for n in range(count)]


def groups6(count):
    return [f"ff15::10:{n + 1:x}" for n in range(count)]


def may_change_user():
    """Whether the namespace knows other users than the one that made it."""
    return any(int(line.split()[2]) > 65532 for line in pathlib.Path("/proc/self/uid_map").read_text().splitlines())


class OrdinaryDaemon(Daemon):
    """mcgwd without any capability, and if it may be as another user; with `files` as its limit of open files."""

    def __init__(self, *arguments, files=None):
        self.address = "127.0.0.1:50051"
        user = ["--reuid", "65532", "--regid", "65532", "--clear-groups"] if may_change_user() else []
        limit = ["prlimit", f"--nofile={files}:{files}"] if files else []
        Process.__init__(self, [*limit, "setpriv", *user, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
                                BIN / "mcgwd", "--log-level", "warning", *arguments])
        wait_until(lambda: Mcgw(self.address).run("health").returncode == 0, "the gateway to serve")
        capabilities = pathlib.Path(f"/proc/{self.popen.pid}/status").read_text()
        assert re.search(r"CapEff:\s*0+$", capabilities, re.M), capabilities


def members(groups):
    users = {**igmp_users("a0"), **mld_users("a0")}
    return [group for group in groups if users.get(group, 0) > 0]


def subscribe(mcgw, groups, port=PORT):
    process = mcgw.start("sub", "-o", "raw", *(channel(group, port, "a0") for group in groups))
    process.wait_error_line(rf"subscribed to {re.escape(channel(groups[-1], port))} on", PATIENCE_S)
    return process


def stop(subscribers):
    for subscriber in subscribers:
        subscriber.signal(signal.SIGINT)
    for subscriber in subscribers:
        assert subscriber.wait(PATIENCE_S) == 0, subscriber.errors()[-2000:]


def send_samples(groups, seed):
    """Sends a datagram to some of the groups, and to neighbours without a member; what must come."""
    sample = random.Random(seed).sample(groups, min(SAMPLES, len(groups)))
    for family in (":", "."):
        chosen = [group for group in sample if family in group]
        if not chosen:
            continue
        with sender_to(chosen[0], "b0") as sender:
            for group in chosen:
                sender.send(group, PORT + 1, b"to another port\n")
                sender.send(group, PORT, f"to {group}\n".encode())
    return sorted(f"to {group}" for group in sample)


def lines_of(subscriber, count):
    subscriber.stdout.wait(lambda lines: len(lines) >= count, f"{count} lines", PATIENCE_S)
    return sorted(subscriber.stdout.items())


def test_one_client_and_ten_thousand_groups(net, binaries):
    del net, binaries
    groups = groups4(5000) + groups6(5000)
    with OrdinaryDaemon() as daemon:
        mcgw = Mcgw(daemon.address)
        with subscribe(mcgw, groups) as subscriber:
            assert members(groups) == groups
            expected = send_samples(groups, 1)
            assert lines_of(subscriber, SAMPLES) == expected
            stop([subscriber])
        wait_until(lambda: not members(groups), "all groups to be left", PATIENCE_S)


def test_a_hundred_clients_and_ten_thousand_groups(net, binaries):
    """Each group is held by two of them."""
    del net, binaries
    groups = groups4(5000) + groups6(5000)
    random.Random(2).shuffle(groups)
    with OrdinaryDaemon() as daemon, contextlib.ExitStack() as stack:
        mcgw = Mcgw(daemon.address)
        shares = [(groups + groups[:100])[i * 100:i * 100 + 200] for i in range(100)]
        subscribers = [stack.enter_context(mcgw.start("sub", "-o", "raw", *(channel(group, PORT, "a0")
                                                                          for group in share))) for share in shares]
        for subscriber, share in zip(subscribers, shares):
            subscriber.wait_error_line(rf"subscribed to {re.escape(channel(share[-1], PORT))} on", PATIENCE_S)
        assert members(groups) == groups
        users = igmp_users("a0")
        assert {users[group] for group in groups if ":" not in group} == {1}
        expected = send_samples(groups, 3)
        for subscriber, share in zip(subscribers, shares):
            wanted = [line for line in expected if line.removeprefix("to ") in share]
            assert lines_of(subscriber, len(wanted)) == wanted
        stop(subscribers)
        wait_until(lambda: not members(groups), "all groups to be left", PATIENCE_S)


def test_few_descriptors_and_six_thousand_groups(net, binaries):
    """Channels share sockets, connections are served all the same, and past that the gateway says what to do."""
    del net, binaries
    groups = groups4(3000) + groups6(3000)
    with OrdinaryDaemon("--max-connections", "20", files=800) as daemon:
        mcgw = Mcgw(daemon.address)
        with subscribe(mcgw, groups) as subscriber:
            assert members(groups) == groups
            descriptors = len(list(pathlib.Path(f"/proc/{daemon.popen.pid}/fd").iterdir()))
            assert descriptors < 800
            facts = [info["fact"] for info in mcgw.json("channels")]
            assert len(facts) == 6000
            sharing = collections.Counter(fact["socket_inodes"][0] for fact in facts)
            assert max(sharing.values()) <= 20
            assert all(fact.get("shared", False) for fact in facts if sharing[fact["socket_inodes"][0]] > 1)
            assert sum(fact.get("shared", False) for fact in facts) > 5000
            expected = send_samples(groups, 4)
            assert lines_of(subscriber, SAMPLES) == expected

            refused = [result for port in range(6000, 6100)
                       if (result := mcgw.run("join", channel("239.11.1.1", port, "a0"))).returncode != 0]
            assert refused
            assert all("HOST_LIMIT" in result.stderr and "limit of open files" in result.stderr for result in refused)
            with contextlib.ExitStack() as stack:
                for _ in range(10):
                    stack.enter_context(subscribe(mcgw, groups[:2]))
                assert mcgw.run("health").returncode == 0
            stop([subscriber])
        wait_until(lambda: not members(groups), "all groups to be left", PATIENCE_S)
