"""Which interface a user's words mean, and which address the gateway sends from."""
import socket
import subprocess

import pytest

from mcgw_testlib import BIN, Capture, Daemon, Mcgw, channel, ip, sender_to

GROUP = "239.7.7.7"


def source_of(frame):
    """The IP source of an Ethernet frame."""
    if frame[12:14] == b"\x86\xdd":
        return socket.inet_ntop(socket.AF_INET6, frame[22:38])
    return socket.inet_ntop(socket.AF_INET, frame[26:30])


def kernels_choice(group):
    """Sends from a socket that names the interface and no source, as most programs do."""
    with sender_to(group, "a0", host="gw") as sender:
        sender.send(group, 5001, b"the kernel's choice")


@pytest.mark.parametrize("group, source", [("239.1.1.2", "10.1.0.1"), ("224.0.0.200", "169.254.7.1"),
                                           ("ff15::2", "2001:db8:1::1"), ("ff12::2", None)])
def test_a_send_leaves_from_the_address_that_the_kernel_would_take(net, binaries, group, source):
    del net, binaries
    ip("address", "flush", "dev", "a0", "scope", "global")
    ip("address", "add", "169.254.7.1/16", "scope", "link", "dev", "a0")
    ip("address", "add", "10.1.0.1/24", "dev", "a0")
    ip("address", "add", "2001:db8:1::1/64", "dev", "a0", "nodad")
    ip("address", "add", "2001:db8:2::1/64", "dev", "a0", "nodad", "preferred_lft", "0")
    with Daemon() as daemon, Capture("b0") as capture:
        mcgw = Mcgw(daemon.address)
        mcgw.ok("pub", channel(group, 5001, "a0"), stdin=b"the gateway's choice\n")
        kernels_choice(group)
        for whose in (b"the gateway's choice", b"the kernel's choice"):
            capture.wait_frame(lambda frame, whose=whose: frame.endswith(whose), whose.decode())
        sources = {source_of(frame) for frame in capture.frames() if frame.endswith(b"'s choice")}
        assert len(sources) == 1
        if source:
            assert sources == {source}
            shown = mcgw.json("interfaces", "a0")[0]["addresses"]
            assert [address.split("/")[0] for address in shown][0] == "10.1.0.1"
            assert next(address for address in shown if ":" in address) == "2001:db8:1::1/64"


def test_an_address_that_two_interfaces_have_is_refused_with_both(net, mcgw):
    net.add_link()
    ip("address", "add", "10.8.0.1/32", "dev", "lo")
    ip("address", "add", "10.8.0.1", "peer", "10.8.0.2", "dev", "a1")
    try:
        for command, stdin in (("sub", b""), ("join", b""), ("pub", b"nowhere\n")):
            result = mcgw.run(command, channel(GROUP, 5000, "10.8.0.1"), stdin=stdin)
            assert result.returncode == 2, result.stderr
            assert "INTERFACE_AMBIGUOUS" in result.stderr and "(lo, a1)" in result.stderr
        assert "lo, a1" in mcgw.run("doctor", channel(GROUP, 5000, "10.8.0.1")).stdout
        listed = {interface["name"] for interface in mcgw.json("interfaces", "10.8.0.1")}
        assert listed == {"lo", "a1"}
    finally:
        ip("address", "del", "10.8.0.1/32", "dev", "lo")


def test_the_only_interface_of_a_pod_is_no_hosts_side_of_a_container(net, mcgw):
    del net
    ip("address", "flush", "dev", "a0", "scope", "global")
    ip("address", "add", "10.42.0.5/32", "dev", "a0")
    ip("route", "add", "169.254.1.1", "dev", "a0", "scope", "link")
    ip("route", "add", "default", "via", "169.254.1.1", "dev", "a0")
    with mcgw.subscribe(channel(GROUP, 5000, "*"), "-o", "raw", "--count", "1") as subscriber:
        subscriber.wait_error_line(rf"subscribed to {GROUP}:5000 on a0")
        mcgw.ok("pub", channel(GROUP, 5000, "*"), stdin=b"from the pod\n")
        assert subscriber.wait() == 0, subscriber.errors()
    assert "takes no interface" not in mcgw.run("doctor", channel(GROUP, 5000, "*")).stdout


def test_where_the_default_route_leads_is_no_hosts_side_of_a_container(net, mcgw):
    net.add_link()
    ip("address", "flush", "dev", "a0", "scope", "global")
    ip("address", "add", "10.42.0.5/32", "dev", "a0")
    assert "CONTAINER_VETH" in mcgw.ok("interfaces", "a0", "--long").stdout
    ip("route", "add", "169.254.1.1", "dev", "a0", "scope", "link")
    ip("route", "add", "default", "via", "169.254.1.1", "dev", "a0")
    assert "CONTAINER_VETH" not in mcgw.ok("interfaces", "a0", "--long").stdout


def test_the_star_says_what_it_leaves_out_and_why(net, mcgw):
    del net
    ip("link", "set", "a0", "down")
    why = "lo (without the MULTICAST flag, the loopback), a0 (down"
    with mcgw.subscribe(channel(GROUP, 5000, "*")) as subscriber:
        subscriber.wait_error_line(r"there is no channel yet")
        subscriber.wait_error_line(r"takes no interface for IPv4; it leaves out lo ")
        assert why in subscriber.errors()
        subscriber.signal(2)
        subscriber.wait()
    joined = mcgw.ok("join", channel(GROUP, 5000, "*"))
    assert why in joined.stderr
    sent = mcgw.run("pub", channel(GROUP, 5000, "*"), stdin=b"nowhere\n")
    assert "INTERFACE_NOT_FOUND" in sent.stderr and "a0 (it is down" in sent.stderr
    assert "a0 (it is down" in mcgw.run("doctor", channel(GROUP, 5000, "*")).stdout


def test_an_alternative_name_is_a_name_everywhere(net, binaries):
    net.add_link()
    ip("link", "property", "add", "dev", "a0", "altname", "enp5s0")
    with Daemon("--interface", "enp5s0", "--default-interface", "enp5s0") as daemon:
        assert "no interface" not in daemon.errors()
        mcgw = Mcgw(daemon.address)
        for selector in ("enp5s0", "a0", None, "*"):
            with mcgw.subscribe(channel(GROUP, 5000, selector), "-o", "raw", "--count", "1") as subscriber:
                subscriber.wait_error_line(rf"subscribed to {GROUP}:5000 on a0")
                mcgw.ok("pub", channel(GROUP, 5000, selector), stdin=b"x\n")
                assert subscriber.wait() == 0, subscriber.errors()
        assert "INTERFACE_NOT_ALLOWED" in mcgw.run("sub", channel(GROUP, 5000, "a1")).stderr
        assert "enp5s0" in mcgw.ok("interfaces", "--long").stdout
        assert [interface["name"] for interface in mcgw.json("interfaces", "enp5s0")] == ["a0"]
        assert "interface a0 exists" in mcgw.run("doctor", "--interface", "enp5s0", "--all").stdout


def test_an_alternative_name_that_comes_is_joined(net, mcgw):
    del net
    with mcgw.start("sub", channel(GROUP, 5000, "enp5s0"), "-o", "raw", "--count", "1",
                    "--wait-for-interface") as subscriber:
        subscriber.wait_error_line(rf"waiting for {GROUP}:5000 on enp5s0")
        ip("link", "property", "add", "dev", "a0", "altname", "enp5s0")
        subscriber.wait_error_line(rf"subscribed to {GROUP}:5000 on a0")
        mcgw.ok("pub", channel(GROUP, 5000, "a0"), stdin=b"x\n")
        assert subscriber.wait() == 0, subscriber.errors()


def test_a_configured_interface_that_does_not_exist_is_a_warning(net, binaries):
    del net, binaries
    arguments = ["--interface", "a0", "--interface", "enp5s0", "--default-interface", "enp6s0"]
    with Daemon(*arguments) as daemon:
        for name in ("enp5s0", "enp6s0"):
            daemon.wait_error_line(rf"the host has no interface {name} \(it has lo, a0\)")
    checked = subprocess.run([BIN / "mcgwd", "--check-config", *arguments], capture_output=True, text=True, timeout=30,
                             check=False)
    assert checked.returncode == 0
    assert "the configuration is good" in checked.stdout
    assert "no interface enp5s0" in checked.stderr and "no interface enp6s0" in checked.stderr
