"""`mcgw describe`: what it prints, its exit codes, and that it touches nothing."""
import json

import pytest

from mcgw_testlib import Capture, fence, igmp_users


def test_text_tells_scope_name_mac_and_hop_limit(mcgw):
    text = mcgw.ok("describe", "239.255.255.250").stdout
    for words in ("SSDP", "239.255.255.250/32", "UPnP", "local scope", "at most 31", "01:00:5e:7f:ff:fa",
                  "224.127.255.250", "may be joined and sent to"):
        assert words in text, text
    text = mcgw.ok("describe", "ff05::101").stdout
    for words in ("NTP", "ff05::101/128", "RFC 5905", "site-local", "33:33:00:00:01:01"):
        assert words in text, text


def test_json_is_the_answer_of_the_api(mcgw):
    group = json.loads(mcgw.ok("describe", "239.1.1.1", "-o", "json").stdout)
    assert group["scope"] == "GROUP_SCOPE_ADMINISTERED"
    assert group["well_known_name"]["range"] == "239.0.0.0/8"
    assert len(set(group["mac"]["aliases"])) == 31
    assert {"224.1.1.1", "239.129.1.1"} <= set(group["mac"]["aliases"])
    assert (group["send_refused"], group["join_refused"], group["warnings"]) == (False, False, [])


@pytest.mark.parametrize(("ttl", "code"), [
    ("unrestricted", "GROUP_WARNING_CODE_HOP_LIMIT_EXCEEDS_SCOPE"), ("33", "GROUP_WARNING_CODE_HOP_LIMIT_EXCEEDS_SCOPE"),
    ("site", None), ("2", None), ("subnet", "GROUP_WARNING_CODE_HOP_LIMIT_BELOW_SCOPE"),
    ("host", "GROUP_WARNING_CODE_HOP_LIMIT_BELOW_SCOPE")])
def test_a_hop_limit_that_contradicts_the_scope_is_a_warning(mcgw, ttl, code):
    group = json.loads(mcgw.ok("describe", "239.255.1.1", "--ttl", ttl, "-o", "json").stdout)
    assert [warning["code"] for warning in group["warnings"]] == ([code] if code else [])


def test_what_is_refused_is_said_as_the_gateway_does_it(mcgw):
    assert "may be joined, but not sent to" in mcgw.ok("describe", "224.0.0.251").stdout
    assert mcgw.run("pub", "224.0.0.251:5353%a0", stdin=b"x\n").returncode == 1
    for group, channel in (("ff0f::1", "[ff0f::1]:5000%a0"), ("224.0.0.1", "224.0.0.1:5000%a0"),
                           ("ff01::1", "[ff01::1]:5000%a0"), ("ff02::1", "[ff02::1]:5000%a0")):
        assert "may be neither joined nor sent to" in mcgw.ok("describe", group).stdout
        assert "GROUP_RESERVED" in mcgw.run("join", channel).stderr, channel
        assert mcgw.run("join", channel).returncode == 1


@pytest.mark.parametrize(("arguments", "reason"), [
    (["240.0.0.1"], "NOT_A_MULTICAST_GROUP"), (["10.0.0.1"], "NOT_A_MULTICAST_GROUP"),
    (["255.255.255.255"], "NOT_A_MULTICAST_GROUP"), (["::ffff:239.1.1.1"], "INVALID_ADDRESS"),
    (["239.1.1"], "INVALID_ADDRESS"), (["239.1.1.1", "--ttl", "256"], "INVALID_HOP_LIMIT"),
    (["239.1.1.1", "--ttl", "galaxy"], "INVALID_HOP_LIMIT")])
def test_what_is_no_group_is_bad_input(mcgw, arguments, reason):
    result = mcgw.run("describe", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert reason in result.stderr
    assert arguments[-1] in result.stderr


def test_nothing_is_joined_or_sent(net, mcgw):
    del net
    before = igmp_users("a0")
    with Capture("b0") as capture:
        mcgw.ok("describe", "239.1.1.1")
        fence(capture)
        assert not capture.records("239.1.1.1")
    assert igmp_users("a0") == before
