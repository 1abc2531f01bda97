"""Two hosts with a router between them: this host, a0 - r0 router r1 - b0, the peer host. Each end can run a gateway.

The peer's namespace is called "peer", as in mcgw_testlib.Network, so that its helpers serve here too.
"""
import pathlib
import subprocess

import pytest

from mcgw_testlib import Process, ip, needs, wait_until, wait_up

_SYSCTLS = """
net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
net.ipv6.conf.default.accept_ra=0
""".split()
_FORWARDING = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]

GW_IP = {4: "10.1.0.1", 6: "fd01::1"}
PEER_IP = {4: "10.2.0.2", 6: "fd02::2"}
_ROUTER_IP = {"r0": ("10.1.0.254/24", "fd01::fe/64"), "r1": ("10.2.0.254/24", "fd02::fe/64")}


def family(group):
    return 6 if ":" in group else 4


def run(host, *command):
    """Runs a command on a host ("gw", "router", "peer") and returns what it prints."""
    inside = [] if host == "gw" else ["nsenter", f"--net=/run/netns/{host}"]
    result = subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def set_sysctls(host, settings):
    for setting in settings:
        name, value = setting.split("=")
        run(host, "sh", "-c", f"echo {value} > /proc/sys/{name.replace('.', '/')}")


def quiet(host):
    """Makes addresses usable at once, and the kernel send nothing that a test did not ask for."""
    set_sysctls(host, _SYSCTLS)


class RoutedNetwork:
    def __init__(self):
        for host in ("router", "peer"):
            ip("netns", "add", host)
        for host in ("gw", "router", "peer"):
            quiet(host)
            run(host, "ip", "link", "set", "lo", "up")
        set_sysctls("router", _FORWARDING)
        ip("link", "add", "a0", "type", "veth", "peer", "name", "r0", "netns", "router")
        run("peer", "ip", "link", "add", "b0", "type", "veth", "peer", "name", "r1", "netns", "router")
        self._address("gw", "a0", f"{GW_IP[4]}/24", f"{GW_IP[6]}/64")
        self._address("peer", "b0", f"{PEER_IP[4]}/24", f"{PEER_IP[6]}/64")
        for name, addresses in _ROUTER_IP.items():
            self._address("router", name, *addresses)
        for host, via4, via6 in (("gw", "10.1.0.254", "fd01::fe"), ("peer", "10.2.0.254", "fd02::fe")):
            run(host, "ip", "route", "add", "default", "via", via4)
            run(host, "ip", "-6", "route", "add", "default", "via", via6)
        wait_until(lambda: pathlib.Path("/sys/class/net/a0/operstate").read_text() == "up\n", "the carrier of a0")
        for host, name in (("peer", "b0"), ("router", "r0"), ("router", "r1")):
            wait_up(name, host)

    @staticmethod
    def _address(host, name, ip4, ip6):
        run(host, "ip", "address", "add", ip4, "dev", name)
        run(host, "ip", "address", "add", ip6, "dev", name, "nodad")
        run(host, "ip", "link", "set", name, "up")

    def close(self):
        subprocess.run(["ip", "link", "del", "a0"], check=False, capture_output=True)
        for host in ("peer", "router"):
            ip("netns", "del", host)


class Smcroute(Process):
    """smcrouted on the router, forwarding the groups both ways.

    `threshold`: datagrams leave by r1 only with more hops left than that. The kernel has thresholds for IPv4 only.
    """

    def __init__(self, directory, groups, threshold=1):
        needs("smcrouted")
        lines = ["phyint r0 enable", f"phyint r1 enable ttl-threshold {threshold}"]
        for group in groups:
            lines += [f"mroute from r0 group {group} to r1", f"mroute from r1 group {group} to r0"]
        path = directory / "smcroute.conf"
        path.write_text("\n".join(lines) + "\n")
        super().__init__(["nsenter", "--net=/run/netns/router", "smcrouted", "-n", "-N", "-l", "debug", "-f", path, "-P",
                          directory / "smcroute.pid", "-u", directory / "smcroute.sock"])
        self.wait_error_line("Ready, waiting for client request")


def needs_ipv6_routing():
    """Skips the test if the kernel does not route IPv6 multicast; under CI a skip is a failure."""
    if not pathlib.Path("/proc/net/ip6_mr_vif").exists():
        pytest.skip("the kernel is built without CONFIG_IPV6_MROUTE: /proc/net/ip6_mr_vif is missing")
