"""Crowds of clients whose gateway stops in order, or is killed and started again."""
import signal
import subprocess
import time

from accounting_judging import count, ledger
from accounting_traffic import PORT, NumberedSender, in_a_network
from crowd import crowds
from mcgw_testlib import Daemon, Mcgw, channel, igmp_users, wait_until
from raw_client import HEALTH, RawClient, field, membership
from raw_client import GATEWAY as SERVICE

STREAMS_PER_CONNECTION = 100


def _groups_held():
    return [group for group in igmp_users("a0") if group.startswith("239.")]


def _stalled(daemon, group):
    """A client that subscribes and then reads nothing: HTTP/2 lets a gateway write 64 KiB to it."""
    client = RawClient(daemon.address)
    client.call(SERVICE, "Subscribe", field(1, membership("a0", group, PORT)), until_end=False)
    return client


def _one_stop(streams, grace_s, early, shards):
    """Stops a gateway with that many streams, a stalled one and a publisher: (seconds until its exit, what is wrong)."""
    with Daemon("--drain-grace", f"{grace_s}s", "--shards", shards) as daemon:
        crowd = crowds(daemon.address, streams, STREAMS_PER_CONNECTION, 2, groups=streams // 4,
                       leave_at_draining=early)
        stalled = None if early else _stalled(daemon, "239.90.0.1")
        mcgw = Mcgw(daemon.address)
        publisher = mcgw.start("pub", channel("239.91.0.1", PORT, "a0"), stdin=subprocess.PIPE)
        sender = NumberedSender(["239.90.0.1"], 150, 1, size=1000)
        try:
            publisher.popen.stdin.write(b"x\n")
            publisher.popen.stdin.flush()
            sender.send(150)
            wait_until(lambda: sum(one.ask()["datagrams"] for one in crowd) >= 4 * 150, "the datagrams")
            wait_until(lambda: count(ledger(mcgw)["gateway"], "sent_datagrams") == 1, "the publisher's datagram")
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            code = daemon.wait(grace_s + 30)
            took = time.monotonic() - began
            broken = [] if code == 0 else [f"mcgwd ended with {code}"]
            ends = [one.wait_for("ended")["ended"] for one in crowd]
            told = sum(end["draining" if early else "ended by drain"] for end in ends)
            if told < streams:
                broken.append(f"{told} of {streams} streams were told of the stop, and of its end: {ends}")
            if took > (1.5 if early else grace_s):
                broken.append(f"mcgwd took {took:.2f} s")
            if publisher.wait() == 0 or "DRAINING" not in publisher.errors() + " ".join(publisher.stdout.items()):
                broken.append(f"a publisher heard nothing of the stop: {publisher.errors()}")
            if left := _groups_held():
                broken.append(f"{len(left)} groups were not left")
            return took, broken
        finally:
            for one in [*crowd, publisher, *([stalled] if stalled else []), sender]:
                one.close()


@in_a_network
def stops(network, streams=100, rounds=1, grace_s=2, shards=1):
    """SIGTERM with many open streams: they hear of it, get their last ledger and the reason; all is over in the grace.

    Beside them a client that reads nothing, and a publisher. At the end, once more with clients that leave when they
    hear of the stop: it is over within 1.5 s.
    """
    times, broken = [], []
    for _ in range(rounds):
        took, wrong = _one_stop(streams, grace_s, False, shards)
        times.append(took)
        broken += wrong
    early, wrong = _one_stop(streams, grace_s + 20, True, shards)
    kept = sum(took <= grace_s for took in times)
    return {"within the grace": f"{kept} of {rounds}", "grace (s)": grace_s, "streams": streams,
            "stops took (s)": f"{min(times):.2f} to {max(times):.2f}",
            "with clients that leave (s)": round(early, 2)}, broken + wrong


@in_a_network
def restart(network, subscribers=1000, restarts=3, processes=2, serving_ms=500, back_s=10.0, shards=1):
    """SIGKILL and start: serving within --serving-ms, and all resuming subscribers are back within --back-s."""
    groups, broken, started, back = 100, [], [], []
    arguments = ("--max-subscribers", max(10_000, subscribers), "--shards", shards)
    daemon = Daemon(*arguments)
    crowd = crowds(daemon.address, subscribers, STREAMS_PER_CONNECTION, processes, groups=groups, resume=True)
    sender = NumberedSender([f"239.90.0.{n + 1}" for n in range(groups)], 1 << 40, 1)

    def received():
        return sum(one.ask()["datagrams"] for one in crowd)

    try:
        sender.send(groups)
        wait_until(lambda: received() == subscribers, "a datagram for each")
        for turn in range(1, restarts + 1):
            daemon.kill()
            began = time.monotonic()
            daemon = Daemon(*arguments)
            with RawClient(daemon.address) as client:
                client.call(HEALTH, "Check")
            ready = time.monotonic()
            started.append(round((ready - began) * 1000))
            back.append(round(max(one.wait_for("back", turn)["at"] for one in crowd) - ready, 2))
            sender.send(groups)
            wait_until(lambda turn=turn: received() == subscribers * (turn + 1), "a datagram for each")
        gaps = sum(one.ask()["gaps"].get("4", 0) for one in crowd)
        if gaps != subscribers * restarts:
            broken.append(f"the other epoch was announced {gaps} times to {subscribers} subscribers")
        if max(started) > serving_ms:
            broken.append(f"serving after {max(started)} ms")
        if max(back) > back_s:
            broken.append(f"all were back after {max(back)} s")
        return {"subscribers": subscribers, "restarts": restarts, "serving after (ms)": started,
                "all back after (s)": back, "other epochs announced": gaps}, broken
    finally:
        for one in [*crowd, sender, daemon]:
            one.close()
