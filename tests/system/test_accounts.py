"""The gateway's accounts against those of the sender and of the clients, under what goes wrong."""
import pytest

import accounting
from mcgw_testlib import needs


def expect_kept(result):
    measured, broken = result
    print(measured)
    assert not broken, "\n".join(broken)
    return measured


def test_the_ledger_adds_up_through_kills_stalls_and_reconnects():
    expect_kept(accounting.churn(datagrams=200_000, disturbances=50))


@pytest.mark.parametrize("shards", [2, 4])
def test_the_ledger_adds_up_over_several_shards(shards):
    expect_kept(accounting.churn(datagrams=30_000, disturbances=15, shards=shards))


def test_a_resumed_reader_gets_nothing_twice_and_hears_of_each_hole():
    expect_kept(accounting.resume(breaks=50, restarts=3))


def test_overload_numbers_each_drop_where_it_happened():
    measured = expect_kept(accounting.overload(datagrams=20_000))
    assert measured["dropped"] > measured["sent"] * 0.4


def test_what_is_lost_upstream_is_not_the_gateways():
    needs("nft")
    measured = expect_kept(accounting.upstream(datagrams=20_000))
    assert measured["lost upstream"] > 0


def test_a_hundred_stalled_readers_hurt_nobody():
    expect_kept(accounting.stalled(readers=100, seconds=3))


def test_two_gateways_bridged_both_ways_carry_each_datagram_once():
    expect_kept(accounting.bridge(datagrams=20_000))


def test_three_hundred_killed_clients_leave_nothing_behind():
    expect_kept(accounting.kills(clients=300, judge_s=3))


def test_resuming_subscribers_are_back_after_a_kill():
    expect_kept(accounting.restart(subscribers=500, restarts=1, serving_ms=10_000))


def test_a_stop_is_over_within_its_grace():
    expect_kept(accounting.stops(streams=100, rounds=1, grace_s=2))


def test_descriptors_that_run_out_cost_no_open_stream_anything():
    expect_kept(accounting.descriptors(rounds=3, judge_s=5))
