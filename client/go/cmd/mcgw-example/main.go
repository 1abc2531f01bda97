// Mcgw-example receives from and sends to a multicast group through a gateway.
//
//	mcgw-example [flags] GROUP PORT
//
// It prints every event and every datagram on its own line, until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/emptypb"

	gatewayv1 "mcgw/client/go/gen/multicast/gateway/v1"
)

type options struct {
	gateway    string
	membership *gatewayv1.Membership
	session    bool
	text       string
	count      int
}

func main() {
	options := parse()
	// The context is cancelled by Ctrl-C; every RPC that uses it then ends.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, "error:", describe(err))
		stop()
		os.Exit(1)
	}
}

func parse() options {
	var o options
	var networkInterface, source string
	gateway := os.Getenv("MCGW_GATEWAY")
	if gateway == "" {
		gateway = "127.0.0.1:50051"
	}
	flag.StringVar(&o.gateway, "gateway", gateway, "the gateway's `address`: HOST:PORT or unix:/PATH, else MCGW_GATEWAY")
	flag.StringVar(&networkInterface, "interface", "", "the gateway's interface, by `name` (default: the gateway chooses)")
	flag.StringVar(&source, "source", "", "receive from this source `address` only")
	flag.BoolVar(&o.session, "session", false, "join in a session, which outlives a broken stream")
	flag.StringVar(&o.text, "send", "", "send this `text` to the group once subscribed")
	flag.IntVar(&o.count, "count", 0, "end after `N` datagrams (default: at Ctrl-C)")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: mcgw-example [flags] GROUP PORT")
		flag.PrintDefaults()
	}
	flag.Parse()
	port, err := strconv.ParseUint(flag.Arg(1), 10, 32)
	if flag.NArg() != 2 || err != nil {
		flag.Usage()
		os.Exit(2)
	}
	o.membership = &gatewayv1.Membership{Interface: networkInterface, Group: flag.Arg(0), Port: uint32(port)}
	if source != "" {
		o.membership.SourceFilter = &gatewayv1.SourceFilter{
			Mode:    gatewayv1.SourceFilterMode_SOURCE_FILTER_MODE_INCLUDE,
			Sources: []string{source},
		}
	}
	return o
}

func run(ctx context.Context, o options) error {
	// A gateway listens without TLS on the loopback and on Unix sockets only.
	connection, err := grpc.NewClient(o.gateway, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := gatewayv1.NewMulticastGatewayServiceClient(connection)

	request := &gatewayv1.SubscribeRequest{}
	if o.session {
		// A session's membership lives until Leave or until its lease expires.
		joined, err := client.Join(ctx, &gatewayv1.JoinRequest{Membership: o.membership})
		if err != nil {
			return err
		}
		defer leave(client, joined.GetSessionId())
		request.SessionId = joined.GetSessionId()
	} else {
		// A membership of the stream always ends with the stream.
		request.Memberships = []*gatewayv1.Membership{o.membership}
	}
	err = receive(ctx, client, request, o)
	if ctx.Err() != nil {
		return nil // The user ended it.
	}
	return err
}

// receive subscribes and prints what comes, until the stream ends or o.count datagrams have come.
func receive(ctx context.Context, client gatewayv1.MulticastGatewayServiceClient,
	request *gatewayv1.SubscribeRequest, o options,
) error {
	// Ends the stream when this function returns.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Subscribe(ctx, request)
	if err != nil {
		return err
	}
	for received := 0; ; {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// All events of a message precede all its datagrams.
		for _, event := range response.GetEvents() {
			fmt.Println("event", prototext.MarshalOptions{}.Format(event))
			if subscribed := event.GetSubscribed(); subscribed != nil && !subscribed.GetContinued() && o.text != "" {
				// Every channel is joined now, so datagrams sent from here on come back too.
				if err := send(ctx, client, o); err != nil {
					return err
				}
			}
		}
		for _, datagram := range response.GetDatagrams() {
			show(datagram)
			if received++; received == o.count {
				return nil
			}
		}
	}
}

func send(ctx context.Context, client gatewayv1.MulticastGatewayServiceClient, o options) error {
	response, err := client.Send(ctx, &gatewayv1.SendRequest{
		Destination: &gatewayv1.Destination{
			Interface: o.membership.GetInterface(),
			Group:     o.membership.GetGroup(),
			Port:      o.membership.GetPort(),
		},
		Payload: []byte(o.text),
	})
	if err != nil {
		return err
	}
	for _, result := range response.GetResults() {
		fmt.Printf("sent interface=%s source=%s port=%d\n",
			result.GetInterfaceName(), result.GetSourceAddress(), result.GetSourcePort())
	}
	return nil
}

func leave(client gatewayv1.MulticastGatewayServiceClient, session string) {
	// Not with the program's context, which Ctrl-C has cancelled.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := client.Leave(ctx, &gatewayv1.LeaveRequest{
		SessionId: session,
		Target:    &gatewayv1.LeaveRequest_WholeSession{WholeSession: &emptypb.Empty{}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: leave:", describe(err))
	}
}

func show(datagram *gatewayv1.Datagram) {
	address, _ := netip.AddrFromSlice(datagram.GetSourceAddress()) // The gateway sends 4 or 16 bytes.
	fmt.Printf("datagram channel=%d sequence=%d source=%s hop_limit=%d received_unix_ns=%d payload=%q\n",
		datagram.GetChannelId(), datagram.GetSequence(),
		netip.AddrPortFrom(address, uint16(datagram.GetSourcePort())), datagram.GetHopLimit(),
		datagram.GetReceiveTimeUnixNs(), datagram.GetPayload())
}

// describe formats an RPC's error: the canonical code, the gateway's stable reason, the text, and the fields at fault.
// A program branches on the reason, never on the text.
func describe(err error) string {
	failure, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	reason, remedy := "", ""
	var fields []string
	for _, detail := range failure.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = " " + detail.GetReason()
			remedy = detail.GetMetadata()["remedy"]
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				fields = append(fields, violation.GetField())
			}
		}
	}
	text := fmt.Sprintf("%s%s: %s", failure.Code(), reason, failure.Message())
	if len(fields) != 0 {
		text += " (in " + strings.Join(fields, ", ") + ")"
	}
	if remedy != "" {
		text += "; remedy: " + remedy
	}
	return text
}
