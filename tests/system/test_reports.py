"""What the gateway's joins and leaves look like on the wire: IGMPv3, IGMPv2 and MLDv2 reports, with tshark as witness."""
import json
import signal
import subprocess
import time

import pytest

from mcgw_testlib import (RECORD_TYPES, Capture, Mcgw, Receiver, Record, channel, fence, report_records, sysctl,
                          wait_no_member, wait_until)

GROUPS = pytest.mark.parametrize("group", ["239.3.3.3", "ff15::33"], ids=["igmp3", "mld2"])
SOURCE_SPECIFIC = pytest.mark.parametrize("group", ["232.3.3.3", "ff35::33"], ids=["igmp3", "mld2"])
V2_REPORT, V2_LEAVE, V3_REPORT = 0x16, 0x17, 0x22


QUIET_S = 0.3


@pytest.fixture
def reports(request):
    """A capture at the peer of reports that come without the usual random delay of up to a second.

    Begins when a0 has ended what IPv6 does on a new interface: it reports all groups, twice within its report interval,
    from when its link-local address may be used. Changes that fall into that time would be merged with these reports.
    """
    for setting in ("ipv4.conf.default.igmpv3", "ipv4.conf.default.igmpv2", "ipv6.conf.default.mldv2"):
        sysctl(f"net.{setting}_unsolicited_report_interval", 10)
    request.getfixturevalue("net")
    with Capture("b0") as capture:
        begin = time.monotonic()
        link_local = ["ip", "-j", "-6", "address", "show", "dev", "a0", "scope", "link", "-tentative"]

        def is_quiet():
            shown = json.loads(subprocess.run(link_local, capture_output=True, text=True, check=True).stdout)
            usable = any(address for entry in shown for address in entry.get("addr_info", []))
            newest = max((when for when, frame in capture.timed_frames() if report_records(frame)), default=0)
            return usable and time.monotonic() - begin > QUIET_S and time.time() - newest > QUIET_S

        wait_until(is_quiet, "the end of the reports of a new interface")
        yield capture


class Transitions:
    """Follows the reports of one group, change by change."""

    def __init__(self, capture, group):
        self.capture, self.group = capture, group
        self.expected = []

    def expect(self, kind, *sources):
        """The next change on the wire, and all its repetitions: one that is still to come would be merged with the
        change after it. IGMP reports are sent once here, MLD reports twice.
        """
        record = Record(self.group, kind, tuple(sorted(sources)))
        self.expected.append(record)
        times = self.expected.count(record) * (2 if ":" in self.group else 1)
        self.capture.wait_record(self.group, kind, sources, count=times)
        assert self.capture.changes(self.group) == self.expected

    def expect_nothing(self):
        fence(self.capture, like=self.group)
        assert self.capture.changes(self.group) == self.expected

    def conclude(self, path):
        """Closes the capture, and lets tshark find the same."""
        self.expect_nothing()
        self.capture.close()
        v6 = ":" in self.group
        address, kind = (("icmpv6.mldr.mar.multicast_address", "icmpv6.mldr.mar.record_type") if v6 else
                         ("igmp.maddr", "igmp.record_type"))
        for number, name in RECORD_TYPES.items():
            ours = sum(any(record.group == self.group for record in records) and
                       any(record.kind == name for record in records)
                       for records in map(report_records, self.capture.frames()))
            assert self.capture.tshark(f"{address} == {self.group} && {kind} == {number}", path) == ours, name


def stop(subscriber):
    subscriber.signal(signal.SIGINT)
    assert subscriber.wait() == 0, subscriber.errors()


def sources_for(group):
    return ("fd00::2", "fd00::77") if ":" in group else ("10.0.0.2", "10.0.0.77")


@GROUPS
def test_any_source(reports, mcgw, tmp_path, group):
    seen, where = Transitions(reports, group), channel(group, 5000, "a0")
    with mcgw.subscribe(where, "-o", "raw") as first:
        seen.expect("TO_EX")
        with mcgw.subscribe(where, "-o", "raw") as second:
            seen.expect_nothing()
            stop(first)
            seen.expect_nothing()
            stop(second)
    seen.expect("TO_IN")
    seen.conclude(tmp_path / "reports.pcap")


@GROUPS
def test_another_port_of_the_group_is_the_same_membership(reports, mcgw, tmp_path, group):
    seen = Transitions(reports, group)
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as first:
        seen.expect("TO_EX")
        with mcgw.subscribe(channel(group, 5001, "a0"), "-o", "raw") as second:
            stop(first)
            seen.expect_nothing()
            stop(second)
    seen.expect("TO_IN")
    seen.conclude(tmp_path / "reports.pcap")


@GROUPS
def test_any_source_over_sources_and_back(reports, mcgw, tmp_path, group):
    one, other = sources_for(group)
    seen = Transitions(reports, group)
    with mcgw.subscribe(channel(group, 5000, "a0", one), "-o", "raw") as first:
        seen.expect("ALLOW", one)
        with mcgw.subscribe(channel(group, 5000, "a0", other), "-o", "raw") as second:
            seen.expect("ALLOW", other)
            with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as any_source:
                seen.expect("TO_EX")
                stop(any_source)
            seen.expect("TO_IN", one, other)
            stop(second)
        seen.expect("BLOCK", other)
        stop(first)
    seen.expect("BLOCK", one)
    seen.conclude(tmp_path / "reports.pcap")


@GROUPS
def test_sources_under_any_source_change_nothing(reports, mcgw, tmp_path, group):
    seen = Transitions(reports, group)
    with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as any_source:
        seen.expect("TO_EX")
        with mcgw.subscribe(channel(group, 5000, "a0", sources_for(group)[0]), "-o", "raw") as first:
            seen.expect_nothing()
            stop(first)
            seen.expect_nothing()
        stop(any_source)
    seen.expect("TO_IN")
    seen.conclude(tmp_path / "reports.pcap")


@SOURCE_SPECIFIC
def test_source_specific_groups_never_exclude(reports, mcgw, tmp_path, group):
    one, other = sources_for(group)
    seen = Transitions(reports, group)
    with mcgw.subscribe(channel(group, 5000, "a0", one), "-o", "raw") as first:
        seen.expect("ALLOW", one)
        with mcgw.subscribe(channel(group, 5000, "a0", one), "-o", "raw") as again:
            seen.expect_nothing()
            with mcgw.subscribe(channel(group, 5000, "a0", other), "-o", "raw") as second:
                seen.expect("ALLOW", other)
                stop(second)
            seen.expect("BLOCK", other)
            stop(again)
            seen.expect_nothing()
        stop(first)
    seen.expect("BLOCK", one)
    seen.conclude(tmp_path / "reports.pcap")
    assert {record.kind for record in reports.records(group)} == {"ALLOW", "BLOCK"}


def igmp_messages(capture, group):
    """The IGMP types of the frames that name the group (versions 1 and 2), without repetitions."""
    found = []
    for frame in capture.frames():
        if frame[12:14] == b"\x08\x00" and frame[23] == 2:
            igmp = frame[14 + 4 * (frame[14] & 15):]
            if igmp[0] != V3_REPORT and ".".join(map(str, igmp[4:8])) == group and found[-1:] != [igmp[0]]:
                found.append(igmp[0])
    return found


def fence_v2(capture, number):
    group = f"239.255.253.{number}"
    with Receiver(group, 9, "a0"):
        capture.wait_frame(lambda _: igmp_messages(capture, group), "the report of the fence")


def test_igmp_version_2(reports, daemon, tmp_path):
    """Where a network forces IGMPv2, the kernel reports without sources, and a leave goes to all routers."""
    group, mcgw = "239.3.3.4", Mcgw(daemon.address)
    sysctl("net.ipv4.conf.all.force_igmp_version", 2)
    try:
        with mcgw.subscribe(channel(group, 5000, "a0"), "-o", "raw") as first:
            reports.wait_frame(lambda _: igmp_messages(reports, group) == [V2_REPORT], "a version 2 report")
            with mcgw.subscribe(channel(group, 5000, "a0", "10.0.0.2"), "-o", "raw") as second:
                stop(first)
                fence_v2(reports, 1)
                assert igmp_messages(reports, group) == [V2_REPORT]
                stop(second)
        reports.wait_frame(lambda _: igmp_messages(reports, group) == [V2_REPORT, V2_LEAVE], "a leave")
        wait_no_member(group, "a0")
        fence_v2(reports, 2)
        leaves = [frame for frame in reports.frames() if frame[12:14] == b"\x08\x00" and frame[23] == 2 and
                  frame[14 + 4 * (frame[14] & 15)] == V2_LEAVE and frame[-4:] == bytes([239, 3, 3, 4])]
        assert leaves
        assert all(frame[30:34] == bytes([224, 0, 0, 2]) for frame in leaves)
        reports.close()
        path = tmp_path / "reports.pcap"
        assert reports.tshark(f"igmp.type == {V2_LEAVE:#x} && igmp.maddr == {group}", path) == len(leaves)
        assert reports.tshark(f"igmp.type == {V2_REPORT:#x} && igmp.maddr == {group}", path) >= 1
        assert reports.tshark(f"igmp.type == {V3_REPORT:#x} && igmp.maddr == {group}", path) == 0
    finally:
        sysctl("net.ipv4.conf.all.force_igmp_version", 0)
