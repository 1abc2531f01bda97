"""Two hosts on a switch that snoops: this host, a0 - s0 bridge s1 - b0, the peer host.

The bridge is its own querier, for IGMPv3 and MLDv2, with intervals that are short enough for tests.
"""
import ipaddress
import json
import pathlib
import subprocess

from mcgw_testlib import ip, wait_until, wait_up
from routed_network import quiet, run

GW_IP = {4: "10.0.0.1", 6: "fd00::1"}
PEER_IP = {4: "10.0.0.2", 6: "fd00::2"}
_PORTS = {"a0": "s0", "b0": "s1"}
# In this order: the time until the querier counts as active is that of the response interval when it is switched on.
_BRIDGE = ["mcast_snooping 1", "mcast_igmp_version 3 mcast_mld_version 2", "mcast_query_response_interval 50",
           "mcast_startup_query_interval 100", "mcast_query_interval 500", "mcast_last_member_interval 20",
           "mcast_querier 1"]


class SwitchedNetwork:
    def __init__(self):
        for host in ("switch", "peer"):
            ip("netns", "add", host)
        for host in ("gw", "switch", "peer"):
            quiet(host)
            run(host, "ip", "link", "set", "lo", "up")
        run("switch", "ip", "link", "add", "br0", "type", "bridge")
        for settings in _BRIDGE:
            run("switch", "ip", "link", "set", "br0", "type", "bridge", *settings.split())
        for host, name, ip4, ip6 in (("gw", "a0", GW_IP[4], GW_IP[6]), ("peer", "b0", PEER_IP[4], PEER_IP[6])):
            run(host, "ip", "link", "add", name, "type", "veth", "peer", "name", _PORTS[name], "netns", "/run/netns/switch")
            run("switch", "ip", "link", "set", _PORTS[name], "master", "br0", "up")
            run(host, "ip", "address", "add", f"{ip4}/24", "dev", name)
            run(host, "ip", "address", "add", f"{ip6}/64", "dev", name, "nodad")
            run(host, "ip", "link", "set", name, "up")
        run("switch", "ip", "link", "set", "br0", "up")
        wait_until(lambda: pathlib.Path("/sys/class/net/a0/operstate").read_text() == "up\n", "the carrier of a0")
        wait_up("b0")
        for port in ("s0", "s1", "br0"):
            wait_up(port, "switch")

    def close(self):
        subprocess.run(["ip", "link", "del", "a0"], check=False, capture_output=True)
        for host in ("peer", "switch"):
            ip("netns", "del", host)


def mdb(port="s0"):
    """{(group, source or None): (filter mode, sources)} of a port of the switch, as `bridge -d mdb` shows them.

    Without what every IPv6 host joins for its own addresses.
    """
    shown = json.loads(run("switch", "bridge", "-d", "-j", "mdb", "show", "dev", "br0"))
    entries = {}
    for entry in shown[0]["mdb"]:
        group = ipaddress.ip_address(entry["grp"])
        if entry["port"] != port or group in ipaddress.ip_network("ff02::/16"):
            continue
        sources = tuple(sorted(source["address"] for source in entry.get("source_list", [])))
        entries[(str(group), entry.get("src"))] = (entry.get("filter_mode"), sources)
    return entries
