"""Receives from and sends to a multicast group through a gateway.

Prints every event and every datagram on its own line, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import sys

import grpc
from google.protobuf import empty_pb2, text_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mcgw.v1 import datagram_pb2, gateway_service_pb2, gateway_service_pb2_grpc, membership_pb2


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mcgw-example", description=__doc__)
    parser.add_argument("group", help="the multicast group")
    parser.add_argument("port", type=int, help="the UDP port")
    parser.add_argument(
        "--gateway",
        default=os.environ.get("MCGW_GATEWAY", "127.0.0.1:50051"),
        metavar="ADDRESS",
        help="the gateway: HOST:PORT or unix:/PATH (default: MCGW_GATEWAY, else 127.0.0.1:50051)",
    )
    parser.add_argument(
        "--interface", default="", metavar="NAME", help="the gateway's interface (default: the gateway chooses)"
    )
    parser.add_argument("--source", metavar="ADDRESS", help="receive from this source only")
    parser.add_argument("--session", action="store_true", help="join in a session, which outlives a broken stream")
    parser.add_argument("--send", metavar="TEXT", help="send this text to the group once subscribed")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N datagrams (default: at Ctrl-C)")
    return parser.parse_args()


def requested(options: argparse.Namespace) -> membership_pb2.Membership:
    membership = membership_pb2.Membership(interface=options.interface, group=options.group, port=options.port)
    if options.source:
        membership.source_filter.mode = membership_pb2.SOURCE_FILTER_MODE_INCLUDE
        membership.source_filter.sources.append(options.source)
    return membership


def run(client: gateway_service_pb2_grpc.MulticastGatewayServiceStub, options: argparse.Namespace) -> None:
    if not options.session:
        # A membership of the stream always ends with the stream.
        receive(client, gateway_service_pb2.SubscribeRequest(memberships=[requested(options)]), options)
        return
    # A session's membership lives until Leave or until its lease expires.
    joined = client.Join(gateway_service_pb2.JoinRequest(membership=requested(options)))
    try:
        receive(client, gateway_service_pb2.SubscribeRequest(session_id=joined.session_id), options)
    finally:
        leave = gateway_service_pb2.LeaveRequest(session_id=joined.session_id, whole_session=empty_pb2.Empty())
        client.Leave(leave, timeout=5)


def receive(
    client: gateway_service_pb2_grpc.MulticastGatewayServiceStub,
    request: gateway_service_pb2.SubscribeRequest,
    options: argparse.Namespace,
) -> None:
    """Subscribes and prints what comes, until the stream ends or `count` datagrams have come."""
    received = 0
    stream = client.Subscribe(request)
    try:
        for response in stream:
            # All events of a message precede all its datagrams.
            for event in response.events:
                print("event", text_format.MessageToString(event, as_one_line=True), flush=True)
                if event.HasField("subscribed") and not event.subscribed.continued and options.send is not None:
                    # Every channel is joined now, so datagrams sent from here on come back too.
                    send(client, options)
            for datagram in response.datagrams:
                show(datagram)
                received += 1
                if received == options.count:
                    return
    finally:
        stream.cancel()  # Ends the stream, also if an exception such as Ctrl-C ended the loop.


def send(client: gateway_service_pb2_grpc.MulticastGatewayServiceStub, options: argparse.Namespace) -> None:
    destination = datagram_pb2.Destination(interface=options.interface, group=options.group, port=options.port)
    request = gateway_service_pb2.SendRequest(destination=destination, payload=options.send.encode())
    for result in client.Send(request).results:
        print(f"sent interface={result.interface_name} source={result.source_address} port={result.source_port}")


def show(datagram: datagram_pb2.Datagram) -> None:
    address = ipaddress.ip_address(datagram.source_address)  # 4 or 16 bytes.
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    print(
        f"datagram channel={datagram.channel_id} sequence={datagram.sequence} source={host}:{datagram.source_port}"
        f" hop_limit={datagram.hop_limit} received_unix_ns={datagram.receive_time_unix_ns}"
        f" payload={datagram.payload!r}",
        flush=True,
    )


def describe(error: grpc.RpcError) -> str:
    """Formats an RPC's error: the canonical code, the gateway's stable reason, the text, and the fields at fault.

    A program branches on the reason, never on the text.
    """
    reason, remedy, fields = "", "", []
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, remedy = info.reason, info.metadata.get("remedy", "")
        elif detail.Unpack(bad_request):
            fields = [violation.field for violation in bad_request.field_violations]
    text = f"{error.code().name}{f' {reason}' if reason else ''}: {error.details()}"
    if fields:
        text += f" (in {', '.join(fields)})"
    if remedy:
        text += f"; remedy: {remedy}"
    return text


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Like Ctrl-C.
    try:
        # A gateway listens without TLS on the loopback and on Unix sockets only.
        with grpc.insecure_channel(options.gateway) as channel:
            run(gateway_service_pb2_grpc.MulticastGatewayServiceStub(channel), options)
    except KeyboardInterrupt:
        return 0
    except grpc.RpcError as error:
        print("error:", describe(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
