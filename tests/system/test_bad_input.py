"""Bad input of every kind has its own clear error: an exit code, and a text that names the value and the remedy."""
import re
import socket
import subprocess

import pytest

from mcgw_testlib import BIN, Daemon, Mcgw, channel, igmp_users, ip, users_of

FAILED, BAD_INPUT, NO_GATEWAY = 1, 2, 3  # The exit codes of mcgw, as its help has them.
PUB = ["pub", "239.1.1.1:5000%a0"]

INVALID = [
    # id, arguments, what the text must name (regular expressions, without regard to case)
    ("no-address", ["sub", "not-an-address:5000%a0"], ["not-an-address", "address"]),
    ("no-port", ["sub", "239.1.1.1%a0"], [r"239\.1\.1\.1", "port"]),
    ("unicast-ipv4", ["sub", "10.1.2.3:5000%a0"], [r"10\.1\.2\.3", "multicast"]),
    ("unicast-ipv6", ["sub", "[fd00::9]:5000%a0"], ["fd00::9", "multicast"]),
    ("class-e", ["sub", "240.0.0.1:5000%a0"], [r"240\.0\.0\.1", "multicast"]),
    ("broadcast", ["sub", "255.255.255.255:5000%a0"], [r"255\.255\.255\.255", "multicast"]),
    ("mapped-ipv4", ["sub", "[::ffff:239.1.1.1]:5000%a0"], ["ffff", "multicast|ipv4"]),
    ("port-0", ["sub", "239.1.1.1:0%a0"], [r"\b0\b", "port", "65535"]),
    ("port-65536", ["sub", "239.1.1.1:65536%a0"], ["65536", "port", "65535"]),
    ("port-word", ["sub", "239.1.1.1:http%a0"], ["http", "port"]),
    ("source-multicast", ["sub", "239.1.1.2@232.1.1.1:5000%a0"], [r"239\.1\.1\.2", "source", "unicast|multicast"]),
    ("source-unspecified", ["sub", "0.0.0.0@232.1.1.1:5000%a0"], [r"0\.0\.0\.0", "source"]),
    ("source-other-family-4", ["sub", "fd00::2@232.1.1.1:5000%a0"], ["fd00::2", "source", "ipv4|family"]),
    ("source-other-family-6", ["sub", "10.0.0.2@[ff35::1]:5000%a0"], [r"10\.0\.0\.2", "source", "ipv6|family"]),
    ("any-source-in-232", ["sub", "232.1.1.1:5000%a0"], [r"232\.1\.1\.1", r"write SOURCE@GROUP:PORT"]),
    ("any-source-in-ff3x", ["sub", "[ff35::1]:5000%a0"], ["ff35::1", r"write SOURCE@GROUP:PORT"]),
    ("link-local-scope", ["sub", "[ff02::1:3]:5000"], ["ff02::1:3", r"write GROUP:PORT%INTERFACE"]),
    ("hop-limit-256", [*PUB, "--ttl", "256"], ["256", "ttl|hop", "255"]),
    ("hop-limit-negative", [*PUB, "--ttl", "-1"], ["-1", "ttl|hop", "255"]),
    ("dscp-64", [*PUB, "--dscp", "64"], ["64", "dscp", "63"]),
    ("source-not-local", [*PUB, "--source", "10.0.0.77"], [r"10\.0\.0\.77", "source"]),
    ("unknown-format", ["sub", "239.1.1.1:5000%a0", "-o", "xml"], ["xml", "raw"]),
    ("unknown-option", ["sub", "239.1.1.1:5000%a0", "--nosuch"], ["nosuch"]),
    ("unknown-command", ["nosuch"], ["nosuch"]),
    ("no-channel", ["sub"], ["channel"]),
]


def says(text, patterns):
    for pattern in patterns:
        assert re.search(pattern, text, re.IGNORECASE), f"no /{pattern}/ in: {text}"


def refused(mcgw, code, arguments, patterns):
    """Runs mcgw and holds that it fails with the exit code, silent on standard output and clear on standard error."""
    result = mcgw.run(*arguments, stdin=b"x\n")
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    says(result.stderr, patterns)


@pytest.mark.parametrize("arguments, patterns", [pytest.param(*case[1:], id=case[0]) for case in INVALID])
def test_bad_arguments(net, mcgw, arguments, patterns):
    del net
    refused(mcgw, BAD_INPUT, arguments, patterns)
    assert not [group for group in igmp_users("a0") if group != "224.0.0.1"]


@pytest.mark.parametrize("arguments, patterns", [pytest.param(["join", *case[1][1:]], case[2], id=case[0])
                                                 for case in INVALID if case[1][0] == "sub" and len(case[1]) == 2
                                                 and case[0] != "unknown-option"])
def test_bad_arguments_of_join(net, mcgw, arguments, patterns):
    del net
    refused(mcgw, BAD_INPUT, arguments, patterns)


def test_what_is_not_held_is_not_left_and_not_counted(net, mcgw):
    del net
    session = re.search(r"session (\w+)", mcgw.ok("join", "239.1.1.1:5000%a0").stdout)[1]
    failed = mcgw.run("leave", "--session", session, "239.1.1.9:5000%a0")
    assert failed.returncode == FAILED
    says(failed.stderr, ["NOT_JOINED"])
    assert "memberships" not in failed.stderr
    partly = mcgw.run("leave", "--session", session, "239.1.1.9:5000%a0", "239.1.1.1:5000%a0")
    assert partly.returncode == FAILED
    says(partly.stderr, ["NOT_JOINED", "left 1 membership\n"])
    says(mcgw.ok("leave", "--session", session).stderr, ["left 0 memberships"])  # The session itself was there.


def test_messages_do_not_speak_the_language_of_the_api(net, mcgw):
    del net
    for arguments in (["sub", "232.1.1.1:5000%a0"], ["join", "[ff35::1]:5000%a0"]):
        assert "INCLUDE" not in mcgw.run(*arguments).stderr


def test_what_a_terminal_would_obey_is_escaped(net, mcgw):
    del net
    for arguments in (["sub", "239.1.1.1:5000%\x1b[2J"], ["join", "239.1.1.1:5000%\x1b[2J", "--wait-for-interface"],
                      ["leave", "--session", "\x1b[2J"], ["interfaces", "\x1b[2J"]):
        result = mcgw.run(*arguments)
        assert result.returncode != 0
        assert "\x1b" not in result.stderr + result.stdout, arguments
        assert "x1b[2J" in result.stderr, arguments


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_interface_whose_name_a_terminal_would_obey(net, binaries, log_format):
    """The kernel allows such names; they come out escaped everywhere."""
    del net, binaries
    evil, shown = "x\x1b[2Jy", r"x\x1b[2Jy"
    for arguments in (["link", "add", evil, "type", "veth", "peer", "name", "y0"], ["link", "set", "y0", "up"],
                      ["link", "set", evil, "up"], ["address", "add", "10.0.77.1/24", "dev", evil]):
        ip(*arguments)
    try:
        with Daemon("--log-format", log_format) as daemon:
            mcgw = Mcgw(daemon.address)
            joined = mcgw.ok("join", f"239.1.1.1:5000%{evil}").stdout
            tables = [mcgw.run(*command).stdout for command in (
                ["interfaces"], ["interfaces", "--long"], ["channels"], ["doctor", "--interface", evil, "--all"])]
            daemon.wait_error_line(r"joined 239\.1\.1\.1")
        for text in [joined, *tables, daemon.errors()]:
            assert "\x1b" not in text
        for text in [joined, *tables]:
            assert shown in text
        assert r"x\u001b[2Jy" in daemon.errors()
    finally:
        ip("link", "delete", evil)


def test_an_unknown_interface(net, mcgw):
    del net
    for command in ("sub", "join", "pub"):
        refused(mcgw, FAILED, [command, "239.1.1.1:5000%nosuch0"], ["INTERFACE_NOT_FOUND", "nosuch0", "interface"])


@pytest.mark.parametrize("group, most", [("239.1.1.1", 65507), ("ff15::1", 65527)], ids=["ipv4", "ipv6"])
def test_a_payload_over_the_maximum(net, mcgw, tmp_path, group, most):
    del net
    file = tmp_path / "payload"
    file.write_bytes(bytes(most + 1))
    refused(mcgw, BAD_INPUT, ["pub", channel(group, 5000, "a0"), "--file", file, "--size", most + 1], [str(most)])
    file.write_bytes(bytes(most))
    mcgw.ok("pub", channel(group, 5000, "a0"), "--file", file, "--size", most)


def test_a_narrow_ipv6_scope_without_interface(net, binaries):
    """Two interfaces could be meant, so one has to be named."""
    del binaries
    net.add_link()
    with Daemon() as daemon:
        mcgw = Mcgw(daemon.address)
        refused(mcgw, BAD_INPUT, ["sub", "[ff02::abcd]:5000"], ["ff02::abcd", "interface"])
        with mcgw.subscribe("[ff02::abcd]:5000%a1", "-o", "raw"):
            assert users_of("ff02::abcd", "a1") == 1


def test_a_reserved_group(net, mcgw):
    del net
    for group in ("224.0.0.1", "224.0.0.5", "224.0.0.22"):
        refused(mcgw, FAILED, ["pub", f"{group}:5000%a0"], ["GROUP_RESERVED", re.escape(group)])


def test_leaving_what_is_not_held(net, mcgw):
    del net
    session = mcgw.ok("join", "239.1.1.1:5000%a0").stdout.split()[1]
    refused(mcgw, FAILED, ["leave", "239.1.1.2:5000%a0", "--session", session], ["NOT_JOINED", r"239\.1\.1\.2"])
    refused(mcgw, FAILED, ["leave", "239.1.1.1:5001%a0", "--session", session], ["NOT_JOINED", "5001"])
    assert users_of("239.1.1.1", "a0") == 1


@pytest.mark.parametrize("command", ["sub", "join", "leave"])
def test_an_unknown_session(net, mcgw, command):
    del net
    refused(mcgw, FAILED, [command, "239.1.1.1:5000%a0", "--session", "00" * 16], ["SESSION_NOT_FOUND"])
    assert users_of("239.1.1.1", "a0") == 0


def test_a_port_held_by_another_process(net, mcgw):
    del net
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("0.0.0.0", 5000))
        refused(mcgw, FAILED, ["sub", "239.1.1.1:5000%a0"], ["PORT_IN_USE", "5000"])


def test_no_gateway_listening(net, binaries):
    del net, binaries
    mcgw = Mcgw("127.0.0.1:59999")
    for arguments in (["health"], ["channels"], ["interfaces"], ["sub", "239.1.1.1:5000%a0"], PUB):
        refused(mcgw, NO_GATEWAY, arguments, [r"127\.0\.0\.1:59999", "gateway"])


@pytest.mark.parametrize("arguments", [["--nosuch"], ["--listen"], ["--listen", "nonsense"], ["--log-level", "loud"]])
def test_bad_arguments_of_the_daemon(net, binaries, arguments):
    del net, binaries
    result = subprocess.run([BIN / "mcgwd", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode > 0
    assert arguments[-1].lstrip("-") in result.stderr, result.stderr
