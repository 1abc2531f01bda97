"""Accounts held against each other: the gateway's ledger, the sender's numbers, and what clients counted."""
import itertools
import subprocess

import pytest

from mcgw_testlib import wait_until
from soak_client import minus

QUIET_S = 30
KERNEL = "dropped by the kernel"
CAUSES = {"kernel_dropped": KERNEL, "lagged": "too slow", "expired": "no longer in"}


def ledger(mcgw, *arguments):
    return mcgw.json("ledger", *arguments)[0]


def count(message, field):
    return int(message.get(field, 0))


def difference(entry):
    """What a subscriber's ledger leaves unaccounted for."""
    parts = ["written", "filtered", "kernel_dropped", "lagged", "expired", "in_flight", "pending", "abandoned"]
    return count(entry, "offered_datagrams") - sum(count(entry, f"{part}_datagrams") for part in parts)


def judge_ledger(mcgw, sent_by_group=None):
    """Waits until all is quiet; then what does not add up, as lines."""
    def quiet():
        accounts = ledger(mcgw)["gateway"]
        waiting = count(accounts["subscribers"], "pending_datagrams") + count(accounts["subscribers"],
                                                                             "in_flight_datagrams")
        return accounts if waiting == 0 and accounts == ledger(mcgw)["gateway"] else None

    accounts = wait_until(quiet, "the streams to take what is there", QUIET_S)
    broken = []
    if difference(accounts["subscribers"]) != 0:
        broken.append(f"all subscribers: {difference(accounts['subscribers'])} unaccounted for")
    channels = accounts["channels"]
    if count(channels, "read_datagrams") != count(channels, "logged_datagrams") + count(channels,
                                                                                        "mismatched_datagrams"):
        broken.append(f"all channels: read is not logged and mismatched: {channels}")
    for entry in mcgw.json("channels"):
        place, own = entry["state"]["channel"], entry["ledger"]
        numbered = count(own, "logged_datagrams") + count(own, "kernel_dropped_datagrams")
        if int(place["next_sequence"]) - 1 != numbered:
            broken.append(f"{place['group']}: next_sequence {place['next_sequence']}, but {numbered} accounted for")
        sent = (sent_by_group or {}).get(place["group"])
        if sent is not None and sent != numbered:
            broken.append(f"{place['group']}: {sent} were sent, {numbered} are accounted for")
    for subscriber in mcgw.json("subscribers"):
        if difference(subscriber["ledger"]) != 0:
            broken.append(f"stream {subscriber['subscriber_id']}: {difference(subscriber['ledger'])} unaccounted for")
    return accounts, broken


def within(ranges, parts):
    """What of the sorted ranges lies in the parts."""
    return minus(sorted(ranges), minus(sorted(ranges), parts))


def compare_with_clients(mcgw, clients):
    """What clients counted themselves against what the gateway says of their streams: each channel of each, and each
    cause of a loss, and the gaps.
    """
    def theirs(client, index):
        ranges = client.ranges().get(index, [])
        own = {"written_datagrams": client.tracks[index].count, "range_gaps": len(ranges),
               "unknown_gaps": len(client.unknowns().get(index, []))}
        for field, cause in CAUSES.items():
            own[f"{field}_datagrams"] = sum(last - first + 1 for first, last in client.ranges(cause).get(index, []))
        return own

    def differences():
        ids = {subscriber["peer"].rpartition(":")[2]: subscriber["subscriber_id"]
               for subscriber in mcgw.json("subscribers")}
        groups = {entry["state"]["channel"]["channel_id"]: entry["state"]["channel"]["group"]
                  for entry in mcgw.json("channels")}
        found = []
        for client in clients:
            indexes = {name[:name.rindex(":")].strip("[]"): index for name, index in client.channels.items()}
            for entry in ledger(mcgw, "--subscriber", ids[_local_port(client.process.popen.pid)])["subscribers"]:
                own = theirs(client, indexes[groups[entry["channel_id"]]])
                gateways = {field: count(entry, field) for field in own}
                if own != gateways:
                    found.append(f"a client counted {own}, the gateway {gateways}")
        return found

    last = []

    def agree():
        last[:] = differences()
        return not last

    try:
        wait_until(agree, "clients and gateway to agree", QUIET_S)
    except pytest.fail.Exception:
        return last
    return []


def _local_port(pid):
    """Of a client's connection to its gateway."""
    lines = subprocess.run(["ss", "-Htnp", "state", "established"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[2].rpartition(":")[2] for line in lines.splitlines() if f"pid={pid}," in line)


def epochs(reader):
    """How often it was told that the log started again."""
    return sum("log started again" in cause for cause in reader.unknowns())


def judge_numbers(reader, name, filtered=False):
    """What is wrong with what a reader got, by the sender's numbers; as lines."""
    broken = [f"{name}: {line}" for line in reader.faults()]
    backwards = [(a, b) for a, b in itertools.pairwise(reader.numbers) if b <= a]
    if backwards:
        broken.append(f"{name}: a datagram came twice or out of order: {backwards[:3]}")
    ranges, anew = reader.ranges(), epochs(reader)
    holes, shifts, missing = 0, 0, []
    received = itertools.pairwise(zip(reader.sequences, reader.numbers))
    for (sequence, number), (next_sequence, next_number) in received:
        if next_number == number + 1:
            continue
        if filtered:
            holes += 1  # Sequences belong to the filter too; what is missing is told by the number alone.
        elif next_sequence - sequence != next_number - number:
            shifts += 1  # Another epoch.
        else:
            missing.append((sequence + 1, next_sequence - 1))
    announced = sorted((first, last) for first, last, _ in ranges)
    if unannounced := minus(sorted(missing), announced):
        broken.append(f"{name}: not announced: {unannounced[:5]}")
    if not filtered and anew == 0 and reader.sequences:
        if any(a[1] >= b[0] for a, b in itertools.pairwise(announced)):
            broken.append(f"{name}: ranges overlap")
        if delivered := within(minus(announced, missing), [(reader.sequences[0], reader.sequences[-1])]):
            broken.append(f"{name}: announced as missing, but delivered: {delivered[:5]}")
    if shifts > anew:
        broken.append(f"{name}: numbers moved {shifts} times, but {anew} other epochs were announced")
    if filtered and holes > anew + len(ranges):
        broken.append(f"{name}: {holes} holes, but {anew} other epochs and {len(ranges)} ranges were announced")
    return broken
