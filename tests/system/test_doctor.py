"""mcgw doctor against real faults: it names the fault, and its remedy brings the datagrams."""
import json
import shutil
import subprocess

import pytest

from mcgw_testlib import BIN, Mcgw, Process, channel, ip, needs, sender_to, sysctl, wait_until

GROUP = "239.6.6.6"
HERE = channel(GROUP, 5000, "a0")
FAULT_FOUND = 7


def doctor(mcgw, *arguments, code=FAULT_FOUND):
    """The findings, most grave first; holds the exit code, and that text and JSON agree on the errors."""
    result = mcgw.run("doctor", *arguments, "-o", "json")
    assert result.returncode == code, f"{result.returncode}\n{result.stdout}{result.stderr}"
    findings = json.loads(result.stdout)["findings"]
    text = mcgw.run("doctor", *arguments)
    assert text.returncode == code, text.stdout + text.stderr
    errors = [line for line in text.stdout.splitlines() if line.startswith("ERROR ")]
    assert len(errors) == sum(finding["severity"] == "FINDING_SEVERITY_ERROR" for finding in findings), text.stdout
    return findings


def only_error(findings, code):
    """The one error among the findings, which must be of this code and come first."""
    errors = [finding for finding in findings if finding["severity"] == "FINDING_SEVERITY_ERROR"]
    assert [error["code"] for error in errors] == [f"FINDING_CODE_{code}"], errors
    assert findings[0] == errors[0]
    print(f"fault: {errors[0]['seen']}\n  fix: {errors[0]['remedy_command'] or errors[0]['remedy']}")
    return errors[0]


def fix(finding):
    subprocess.run(["sh", "-c", finding["remedy_command"]], check=True)


def test_all_is_well_for_a_channel_that_receives(net, mcgw):
    del net
    with mcgw.subscribe(HERE, "-o", "raw") as subscriber, sender_to(GROUP, "b0") as sender:
        sender.send(GROUP, 5000, b"arrives\n")
        subscriber.wait_line("arrives")
        findings = doctor(mcgw, HERE, code=0)
        last, = [finding for finding in findings if finding["code"] == "FINDING_CODE_LAST_DATAGRAM"]
        assert "from 10.0.0.2" in last["seen"], last
        assert "OK last-datagram" in mcgw.ok("doctor", "--all", HERE).stdout
        assert "OK " not in mcgw.ok("doctor", HERE).stdout
        doctor(mcgw, code=0)


def test_an_interface_that_is_down(net, mcgw):
    with mcgw.subscribe(HERE, "-o", "raw") as subscriber:
        ip("link", "set", "a0", "down")
        fix(only_error(doctor(mcgw, HERE), "INTERFACE_UP"))
        wait_until(lambda: "10.0.0.2" in subprocess.run(["ip", "route", "get", net.a0.peer_ip4], capture_output=True,
                                                        text=True, check=False).stdout, "the way back")
        with sender_to(GROUP, "b0") as sender:
            wait_until(lambda: sender.send(GROUP, 5000, b"again\n") or any("again" in line for line in
                                                                           subscriber.stdout.items()), "a datagram")
        doctor(mcgw, HERE, code=0)


def test_an_interface_that_does_not_exist(mcgw):
    assert only_error(doctor(mcgw, channel(GROUP, 5000, "a9")), "INTERFACE_EXISTS")["interface_name"] == "a9"


def test_nobody_has_joined(net, mcgw):
    del net
    error = only_error(doctor(mcgw, HERE), "MEMBERSHIP_WISHED")
    assert error["remedy_command"] == f"mcgw sub {HERE}"


def test_the_wrong_source_filter(net, mcgw):
    with mcgw.subscribe(channel(GROUP, 5000, "a0", source="10.0.0.99"), "-o", "raw") as subscriber:
        with sender_to(GROUP, "b0") as sender:
            sender.send(GROUP, 5000, b"filtered\n")
        error = only_error(doctor(mcgw, channel(GROUP, 5000, "a0", source=net.a0.peer_ip4)), "MEMBERSHIP_WISHED")
        assert "10.0.0.99" in error["seen"]
        command = error["remedy_command"].split()
        assert command[:2] == ["mcgw", "sub"]
        with Process([BIN / "mcgw", *command[1:], "-o", "raw"], env=mcgw.env) as mended:
            mended.wait_error_line("(?i)subscribed")
            with sender_to(GROUP, "b0") as sender:
                sender.send(GROUP, 5000, b"passes\n")
            mended.wait_line("passes")
        assert subscriber.stdout.items() == []


def test_rp_filter_without_a_route_back(net, mcgw):
    ip("-n", "peer", "address", "add", "172.30.0.2/24", "dev", "b0")
    sysctl("net.ipv4.conf.all.rp_filter", 1)
    try:
        with mcgw.subscribe(HERE, "-o", "raw") as subscriber, sender_to(GROUP, "b0", source="172.30.0.2") as sender:
            sender.send(GROUP, 5000, b"dropped\n")
            error = only_error(doctor(mcgw, channel(GROUP, 5000, "a0", source="172.30.0.2")), "REVERSE_PATH")
            fix(error)
            sender.send(GROUP, 5000, b"arrives\n")
            subscriber.wait_line("arrives")
            assert subscriber.stdout.items() == ["arrives"]
            doctor(mcgw, channel(GROUP, 5000, "a0", source="172.30.0.2"), code=0)
    finally:
        sysctl("net.ipv4.conf.all.rp_filter", 0)
    del net


def test_a_firewall_that_keeps_datagrams_in(net, mcgw):
    needs("nft")
    del net
    rules = f"table inet t {{ chain out {{ type filter hook output priority 0; ip daddr {GROUP} drop; }}; }}"
    result = subprocess.run(["nft", rules], capture_output=True, check=False)
    if result.returncode != 0:
        pytest.skip("no nftables here")
    with mcgw.subscribe(HERE, "-o", "raw"):
        assert mcgw.run("pub", HERE, stdin=b"blocked\n").returncode != 0
        error = only_error(doctor(mcgw, HERE), "SEND_BLOCKED")
        assert GROUP in error["seen"]
        subprocess.run(["nft", "delete", "table", "inet", "t"], check=True)
        mcgw.ok("pub", HERE, stdin=b"passes\n")
        doctor(mcgw, HERE, code=0)


def test_the_loopback_and_ipv6(net, mcgw):
    del net
    here = channel("ff15::66", 5000, "lo")
    with mcgw.subscribe(here, "-o", "raw") as subscriber:
        fix(only_error(doctor(mcgw, here), "LOOPBACK"))
        mcgw.ok("pub", here, "--file", "-", stdin=b"arrives\n")
        subscriber.wait_line("arrives")
        doctor(mcgw, here, code=0)
    subprocess.run(["sh", "-c", "ip link set lo multicast off; ip -6 route del local ff00::/8 dev lo table local"],
                   check=True)


def test_it_works_without_any_privilege(net, binaries):
    """A daemon without capabilities cannot hear queriers, says so, and answers all the rest."""
    del net, binaries
    needs("setpriv")
    command = [shutil.which("setpriv"), "--bounding-set=-all", "--inh-caps=-all", str(BIN / "mcgwd")]
    with Process(command) as daemon:
        daemon.wait_error_line(r"\bready\b")
        mcgw = Mcgw()
        with mcgw.subscribe(HERE, "-o", "raw"):
            querier, = [finding for finding in doctor(mcgw, HERE, code=0) if finding["code"] == "FINDING_CODE_QUERIER"]
        assert querier["severity"] == "FINDING_SEVERITY_UNKNOWN"
        assert "CAP_NET_RAW" in querier["seen"] and "tcpdump" in querier["remedy_command"], querier


def test_bad_questions(mcgw):
    for arguments in (["10.0.0.1:5000"], ["239.1.1.1:99999"], ["239.1.1.1"], ["10.0.0.2,10.0.0.3@239.1.1.1:5000"],
                      ["239.1.1.1:5000%a0", "--interface", "a1"]):
        result = mcgw.run("doctor", *arguments)
        assert result.returncode == 2, (arguments, result.stdout, result.stderr)
        assert result.stderr.startswith("mcgw: ") and result.stdout == "", result


def test_no_gateway():
    assert Mcgw("127.0.0.1:1").run("doctor").returncode == 3
