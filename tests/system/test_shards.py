"""What must hold whichever shard a channel and its stream belong to: with 1, 2 and 4 of them."""
import re
import time

import pytest

import accounting
from mcgw_testlib import Daemon, Mcgw, channel, sender_to
from test_accounts import expect_kept

SHARDS = pytest.mark.parametrize("shards", [1, 2, 4])


def send_in_turn(senders, payloads, rate):
    """So many datagrams of 1000 bytes, to the groups in turn."""
    begin, groups = time.monotonic(), list(senders)
    for number in range(payloads):
        group = groups[number % len(groups)]
        senders[group].send(group, 5000, b"x" * 1000)
        if number % 16 == 15:
            time.sleep(max(0, begin + number / rate - time.monotonic()))


@SHARDS
def test_silent_channels_take_nothing_from_those_that_are_read(net, binaries, shards):
    del net, binaries
    groups = [f"239.1.1.{number}" for number in range(1, 49)]
    silent, live = groups[0::2], groups[1:8:2]  # Channels go to the shards in turn.
    count = 4000
    with Daemon("--shards", shards, "--channel-log-bytes", 1 << 20, "--total-log-bytes", 8 << 20) as daemon:
        mcgw = Mcgw(daemon.address)
        mcgw.ok("join", *(channel(group, 5000, "a0") for group in groups))
        live_channels = [channel(group, 5000, "a0") for group in live]
        with mcgw.subscribe(*live_channels, "-o", "raw", "--count", count) as reader, sender_to(live[0], "b0") as sender:
            send_in_turn({group: sender for group in silent}, 20_000, 20_000)  # They fill the budget.
            send_in_turn({group: sender for group in live}, count, 2000)
            assert reader.wait() == 0, reader.errors()
            assert "gap" not in reader.errors()


@SHARDS
def test_a_live_stream_hears_of_nothing_older_than_itself(net, binaries, shards):
    del net, binaries
    with Daemon("--shards", shards) as daemon:
        mcgw = Mcgw(daemon.address)
        for _ in range(15):
            result = mcgw.run("sub", channel("239.1.1.1", 5000, "a0"), "--wait", "0.1")
            assert not re.search(r"\bgap\b|lost", result.stderr), result.stderr


@pytest.mark.parametrize("shards", [2, 4])
@pytest.mark.parametrize("scenario", [
    (accounting.resume, {"breaks": 10, "restarts": 1}),
    (accounting.overload, {"datagrams": 5000}),
    (accounting.stalled, {"readers": 100, "seconds": 2}),
    (accounting.bridge, {"datagrams": 5000}),
], ids=["resume", "overload", "stalled", "bridge"])
def test_the_accounts_hold_over_several_shards(shards, scenario):
    run, sizes = scenario
    expect_kept(run(shards=shards, **sizes))
