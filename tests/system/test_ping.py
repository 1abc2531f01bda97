"""`mcgw ping` and `mcgw pong`: two gateways on two hosts of one network find each other."""
import json
import re
import signal

import pytest

from mcgw_testlib import Capture, Daemon, Mcgw, Receiver, channel, sender_to, wait_no_member, wait_until

GROUP = "239.255.7.7"
GROUPS = pytest.mark.parametrize("group", [GROUP, "ff15::77"], ids=["ipv4", "ipv6"])
PROBE = b"mcgw\x01\x01\x01\x00" + b"\x09" * 8 + bytes(12)
ANSWER = b"mcgw\x01\x02\x01\x01" + b"\x09" * 8 + bytes(4) + b"\x08" * 8


@pytest.fixture
def peer_mcgw(net, binaries):
    """The client of a gateway on the peer host."""
    del net, binaries
    with Daemon(host="peer") as daemon:
        yield Mcgw(daemon.address)


def pong(mcgw, *arguments):
    process = mcgw.start("pong", *arguments)
    try:
        process.wait_error_line("answering on")
    except BaseException:
        process.close()
        raise
    return process


@GROUPS
def test_the_first_ring_finds_who_is_on_the_network(net, mcgw, peer_mcgw, group):
    with pong(peer_mcgw, channel(group, 5000, "b0")) as answerer:
        result = mcgw.ok("ping", channel(group, 5000, "a0"))
        line, = result.stdout.splitlines()
        source = re.escape(f"[{net.a0.peer_ip(group)}]" if ":" in group else net.a0.peer_ip(group))
        assert re.fullmatch(rf"ring=1 {source}:\d+ time=[\d.]+ms routers=0 ttl=32 responder=[0-9a-f]{{16}}", line), line
        assert "1 probe sent, 1 answered, the nearest in ring 1" in result.stderr
        assert "foreign" not in result.stderr, result.stderr
        answerer.wait_line(r"ring=1 .* ttl=1 search=")
        answerer.signal(signal.SIGINT)
        assert answerer.wait() == 0
        assert "1 probes answered" in answerer.errors()
    wait_no_member(group, "a0")
    wait_no_member(group, "b0", host="peer")


@GROUPS
def test_ring_0_is_the_gateways_own_host(net, mcgw, peer_mcgw, group):
    """Whoever is on the network does not hear it."""
    del net
    with pong(peer_mcgw, channel(group, 5000, "b0")) as outside:
        assert mcgw.run("ping", channel(group, 5000, "a0"), "--min-ttl", "host", "--max-ttl", "host", "--timeout",
                        "0.2").returncode == 6
        with pong(mcgw, channel(group, 5000, "a0")):
            found = mcgw.ok("ping", channel(group, 5000, "a0"), "--min-ttl", "host").stdout
            assert found.startswith("ring=0 "), found
            assert " routers=0 " in found
        outside.signal(signal.SIGINT)
        assert outside.wait() == 0
        assert outside.stdout.items() == []


def test_json_tells_answers_and_a_summary(net, mcgw, peer_mcgw):
    with pong(peer_mcgw, channel(GROUP, 5000, "b0"), "-o", "json", "--count", "6") as answerer:
        text = mcgw.ok("ping", channel(GROUP, 5000, "a0"), "--all", "--max-ttl", "4", "--count", "2", "--timeout", "0.2",
                       "-o", "json").stdout
        assert answerer.wait() == 0
        probes = [json.loads(line) for line in answerer.stdout.items()]
    *answers, summary = [json.loads(line) for line in text.splitlines()]
    assert [(answer["type"], answer["ring"], answer["sequence"]) for answer in answers] == [
        ("answer", ring, number) for number, ring in enumerate([1, 1, 2, 2, 4, 4])]
    for answer in answers:
        assert (answer["source"], answer["interface"], answer["routers"]) == (net.a0.peer_ip4, "a0", 0)
        assert answer["hop_limit"] == 32
        assert answer["round_trip_ms"] > 0
    assert summary == {"type": "summary", "probes": 6, "responders": 1, "nearest_ring": 1, "duplicates": 0,
                       "other_searches": 0, "foreign": 0}
    assert [(probe["ring"], probe["hop_limit"], probe["interface"]) for probe in probes] == [
        (ring, ring, "b0") for ring in (1, 1, 2, 2, 4, 4)]
    assert {probe["source"] for probe in probes} == {net.a0.gw_ip4}


def test_nobody_answers(net, mcgw):
    del net
    with Capture("b0") as capture:
        result = mcgw.run("ping", channel(GROUP, 5000, "a0"), "--max-ttl", "6", "--timeout", "0.05")
        assert (result.returncode, result.stdout) == (6, "")
        assert "4 probes sent, no answer in rings 1 2 4 6" in result.stderr
        capture.wait_frame(lambda frame: frame[42:46] == b"mcgw" and frame[22] == 6, "the probe of the last ring")
        sent = [frame for frame in capture.frames() if frame[42:46] == b"mcgw"]
    assert [(frame[22], frame[48]) for frame in sent] == [(ring, ring) for ring in (1, 2, 4, 6)]
    result = mcgw.run("ping", channel(GROUP, 5000, "a0"), "--max-ttl", "1", "--timeout", "0.05", "-o", "json")
    assert result.returncode == 6
    assert json.loads(result.stdout)["nearest_ring"] is None


def test_an_interrupted_search_says_so(net, mcgw):
    del net
    with Receiver(GROUP, 5000, "b0", host="peer") as receiver:
        with mcgw.start("ping", channel(GROUP, 5000, "a0"), "--timeout", "60") as search:
            receiver.wait_count(1)
            search.signal(signal.SIGINT)
            assert search.wait() == 130


def test_several_pongs_are_told_apart_and_do_not_excite_each_other(net, mcgw, peer_mcgw):
    del net
    where = channel(GROUP, 5000, "b0")
    with pong(peer_mcgw, where) as first, pong(peer_mcgw, where) as second, pong(mcgw, channel(GROUP, 5000, "a0")) as own:
        result = mcgw.ok("ping", channel(GROUP, 5000, "a0"), "--timeout", "2")
        assert len(set(re.findall(r"responder=(\w+)", result.stdout))) == len(result.stdout.splitlines()) == 3
        assert "3 answered" in result.stderr
        for answerer in (first, second, own):
            answerer.signal(signal.SIGINT)
            assert answerer.wait() == 0
            assert "1 probes answered" in answerer.errors(), answerer.errors()
            # Its own answer and those of the other two.
            assert re.search("0 too many for --rate, 3 answers and 0 foreign", answerer.errors()), answerer.errors()


def test_foreign_datagrams_are_ignored_and_counted(net, mcgw, peer_mcgw):
    del net
    forged = ANSWER[:8] + b"\x00" * 8 + ANSWER[16:]
    with pong(peer_mcgw, channel(GROUP, 5000, "b0"), "--count", "1") as answerer:
        with Receiver(GROUP, 5000, "a0") as heard, mcgw.start("ping", channel(GROUP, 5000, "a0"), "--min-ttl", "1",
                                                              "--timeout", "3") as search:
            heard.wait_count(2)  # The probe and its answer: the search is in its ring.
            with sender_to(GROUP, "b0") as sender:
                sender.send(GROUP, 5000, b"", b"hello", PROBE[:-1], b"x" * 1400, ANSWER, forged)
            assert search.wait() == 0, search.errors()
            assert "ignored 2 datagrams of other searches; ignored 4 foreign datagrams" in search.errors()
            assert len(search.stdout.items()) == 1
        assert answerer.wait() == 0


def test_pong_ignores_what_is_no_probe_and_bounds_its_rate(net, peer_mcgw):
    del net
    burst = [PROBE[:16] + number.to_bytes(2, "big") + PROBE[18:] for number in range(50)]
    last = PROBE[:8] + b"\x0a" * 8 + PROBE[16:]
    impossible = PROBE[:6] + b"\x00" + PROBE[7:]  # Says that it left with no hops.
    with pong(peer_mcgw, channel(GROUP, 5000, "b0"), "--rate", "5") as answerer:
        def last_is_answered():
            sender.send(GROUP, 5000, last)
            return any("search=0a0a0a0a0a0a0a0a" in line for line in answerer.stdout.items())

        with sender_to(GROUP, "a0", host="gw") as sender:
            sender.send(GROUP, 5000, b"hello", ANSWER, impossible, *burst)
            wait_until(last_is_answered, "an answer within the rate again")
        answerer.signal(signal.SIGINT)
        assert answerer.wait() == 0
        counted = re.search(r"(\d+) probes answered, 0 not sent, (\d+) too many for --rate, (\d+) answers and 2 foreign",
                            answerer.errors())
        assert counted, answerer.errors()
        answered, refused, answers = map(int, counted.groups())
        assert answered == len(answerer.stdout.items())
        assert refused > 0
        assert answers >= 1  # The forged one; its own are heard too.


@pytest.mark.parametrize(("command", "arguments", "reason"), [
    ("ping", ["239.1.1.1"], "FIELD_REQUIRED"), ("ping", ["10.0.0.1:5000"], "NOT_A_MULTICAST_GROUP"),
    ("ping", [f"{GROUP}:5000", "--max-ttl", "256"], "INVALID_HOP_LIMIT"),
    ("ping", [f"{GROUP}:5000", "--min-ttl", "8", "--max-ttl", "subnet"], "INVALID_HOP_LIMIT"),
    ("ping", [f"{GROUP}:5000", "--count", "0"], "VALUE_OUT_OF_RANGE"),
    ("ping", [f"{GROUP}:5000", "--timeout", "never"], "VALUE_OUT_OF_RANGE"),
    ("pong", [f"{GROUP}:5000", "--ttl", "31"], "INVALID_HOP_LIMIT"),
    ("pong", [f"{GROUP}:5000", "--rate", "0"], "VALUE_OUT_OF_RANGE"),
    ("pong", [f"{GROUP}:5000", "--count", "-1"], "VALUE_OUT_OF_RANGE")])
def test_bad_input_is_named(mcgw, command, arguments, reason):
    result = mcgw.run(command, *arguments)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert reason in result.stderr


def test_a_group_of_the_network_itself_is_not_searched(net, mcgw):
    del net
    result = mcgw.run("ping", "224.0.0.251:5353%a0")
    assert result.returncode == 1
    assert "GROUP_RESERVED" in result.stderr
