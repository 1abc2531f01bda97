#!/usr/bin/env python3
"""CPU time of a Python client and of the gateway for each datagram, by max_batching_delay.

Usage: tests/support/in_namespace bench/python_client.py MCGWD, with the client's package installed (client/python).
"""
import os
import socket
import subprocess
import sys
import time

import grpc
from mcgw.v1 import gateway_service_pb2 as messages
from mcgw.v1 import gateway_service_pb2_grpc as services
from mcgw.v1 import membership_pb2

GROUP, PORT = "239.9.9.9", 5000
RATE, SECONDS = 5000, 6
PAYLOAD = bytes(200)


def cpu_seconds(process):
    """Of the whole process, from /proc."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        start = time.monotonic()
        for number in range(RATE * SECONDS):
            sender.sendto(PAYLOAD, (GROUP, PORT))
            while time.monotonic() < start + (number + 1) / RATE:
                time.sleep(0.0002)  # The pace is what is asked for.


def measure(gateway, delay_ms):
    request = messages.SubscribeRequest(
        memberships=[membership_pb2.Membership(interface="lo", group=GROUP, port=PORT)])
    if delay_ms is not None:
        request.options.max_batching_delay.FromMilliseconds(delay_ms)
    with grpc.insecure_channel("127.0.0.1:50051") as channel:
        stream = services.MulticastGatewayServiceStub(channel).Subscribe(request)
        next(stream)
        sender = subprocess.Popen([sys.executable, __file__, "--send"])
        datagrams = received = 0
        begin = None
        for message in stream:
            if begin is None and message.datagrams:
                begin = time.monotonic(), time.process_time(), cpu_seconds(gateway)
            if begin is None:
                continue
            datagrams += len(message.datagrams)
            received += bool(message.datagrams)
            if time.monotonic() - begin[0] > SECONDS - 1.5:
                break
        client_us = (time.process_time() - begin[1]) / datagrams * 1e6
        gateway_us = (cpu_seconds(gateway) - begin[2]) / datagrams * 1e6
        stream.cancel()
        sender.kill()
        sender.wait()
    print(f"{delay_ms} ms: {datagrams / received:.1f} datagrams a message, client {client_us:.1f} us, "
          f"gateway {gateway_us:.1f} us for each", flush=True)


def main():
    if sys.argv[1:] == ["--send"]:
        return send()
    for command in ("link set lo up multicast on", "route add 224.0.0.0/4 dev lo"):
        subprocess.run(["ip", *command.split()], check=False, stderr=subprocess.DEVNULL)
    gateway = subprocess.Popen([sys.argv[1], "--interface", "lo"], stderr=subprocess.PIPE)
    try:
        while b"ready" not in gateway.stderr.readline():
            pass
        for delay_ms in (None, 1, 5, 10) * 2:
            measure(gateway, delay_ms)
    finally:
        gateway.terminate()
        gateway.wait()


if __name__ == "__main__":
    main()
