package mcgw.example;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Empty;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.TextFormat;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Iterator;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import multicast.gateway.v1.Datagram;
import multicast.gateway.v1.Destination;
import multicast.gateway.v1.Event;
import multicast.gateway.v1.JoinRequest;
import multicast.gateway.v1.LeaveRequest;
import multicast.gateway.v1.MulticastGatewayServiceGrpc;
import multicast.gateway.v1.MulticastGatewayServiceGrpc.MulticastGatewayServiceBlockingStub;
import multicast.gateway.v1.SendRequest;
import multicast.gateway.v1.SendResult;
import multicast.gateway.v1.SubscribeRequest;
import multicast.gateway.v1.SubscribeResponse;

/** Receives from and sends to a multicast group through a gateway. See {@link Options#USAGE}. */
public final class Example {
  private final MulticastGatewayServiceBlockingStub gateway;
  private final Options options;

  private Example(MulticastGatewayServiceBlockingStub gateway, Options options) {
    this.gateway = gateway;
    this.options = options;
  }

  public static void main(String[] arguments) {
    Options options;
    try {
      options = Options.parse(arguments);
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage() + "\n" + Options.USAGE);
      System.exit(2);
      return;
    }
    // Every RPC made in this context ends when it is cancelled, as Ctrl-C does.
    Context.CancellableContext context = Context.current().withCancellation();
    CountDownLatch done = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      context.cancel(null);
      try {
        done.await(10, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }));
    // A gateway listens without TLS on the loopback and on Unix sockets only.
    ManagedChannel channel =
        Grpc.newChannelBuilder(options.gateway(), InsecureChannelCredentials.create()).build();
    int status = 0;
    try {
      Example example = new Example(MulticastGatewayServiceGrpc.newBlockingStub(channel), options);
      context.run(example::run);
    } catch (StatusRuntimeException e) {
      if (!context.isCancelled()) { // Otherwise the user ended it.
        System.err.println("error: " + describe(e));
        status = 1;
      }
    } finally {
      channel.shutdownNow();
      done.countDown();
    }
    System.exit(status);
  }

  private void run() {
    if (!options.session()) {
      // A membership of the stream always ends with the stream.
      receive(SubscribeRequest.newBuilder().addMemberships(options.membership()).build());
      return;
    }
    // A session's membership lives until Leave or until its lease expires.
    String session =
        gateway.join(JoinRequest.newBuilder().setMembership(options.membership()).build()).getSessionId();
    try {
      receive(SubscribeRequest.newBuilder().setSessionId(session).build());
    } finally {
      // Outside the program's context, which Ctrl-C has cancelled.
      Context.ROOT.run(() -> leave(session));
    }
  }

  /** Subscribes and prints what comes, until the stream ends or `count` datagrams have come. */
  private void receive(SubscribeRequest request) {
    // A separate context, which ends the stream when this method returns.
    try (Context.CancellableContext context = Context.current().withCancellation()) {
      context.run(() -> {
        long received = 0;
        Iterator<SubscribeResponse> stream = gateway.subscribe(request);
        while (stream.hasNext()) {
          SubscribeResponse response = stream.next();
          // All events of a message precede all its datagrams.
          for (Event event : response.getEventsList()) {
            System.out.println("event " + TextFormat.printer().shortDebugString(event));
            if (event.hasSubscribed() && !event.getSubscribed().getContinued() && options.text() != null) {
              // Every channel is joined now, so datagrams sent from here on come back too.
              send();
            }
          }
          for (Datagram datagram : response.getDatagramsList()) {
            show(datagram);
            if (++received == options.count()) {
              return;
            }
          }
        }
      });
    }
  }

  private void send() {
    SendRequest request =
        SendRequest.newBuilder()
            .setDestination(
                Destination.newBuilder()
                    .setInterface(options.membership().getInterface())
                    .setGroup(options.membership().getGroup())
                    .setPort(options.membership().getPort()))
            .setPayload(ByteString.copyFromUtf8(options.text()))
            .build();
    for (SendResult result : gateway.send(request).getResultsList()) {
      System.out.printf(
          "sent interface=%s source=%s port=%d%n",
          result.getInterfaceName(), result.getSourceAddress(), result.getSourcePort());
    }
  }

  private void leave(String session) {
    try {
      gateway
          .withDeadlineAfter(5, TimeUnit.SECONDS)
          .leave(
              LeaveRequest.newBuilder()
                  .setSessionId(session)
                  .setWholeSession(Empty.getDefaultInstance())
                  .build());
    } catch (StatusRuntimeException e) {
      System.err.println("error: leave: " + describe(e));
    }
  }

  private static void show(Datagram datagram) {
    System.out.printf(
        "datagram channel=%d sequence=%d source=%s:%d hop_limit=%d received_unix_ns=%d payload=\"%s\"%n",
        datagram.getChannelId(),
        datagram.getSequence(),
        host(datagram.getSourceAddress()),
        datagram.getSourcePort(),
        datagram.getHopLimit(),
        datagram.getReceiveTimeUnixNs(),
        TextFormat.escapeBytes(datagram.getPayload()));
  }

  private static String host(ByteString address) {
    try {
      String text = InetAddress.getByAddress(address.toByteArray()).getHostAddress(); // 4 or 16 bytes.
      return address.size() == 16 ? "[" + text + "]" : text;
    } catch (UnknownHostException e) {
      return "?";
    }
  }

  /**
   * An RPC's error: the canonical code, the gateway's stable reason, the text, and the fields at
   * fault. A program branches on the reason, never on the text.
   */
  private static String describe(StatusRuntimeException error) {
    String reason = "";
    StringBuilder rest = new StringBuilder(": ").append(error.getStatus().getDescription());
    if (error.getCause() != null) {
      rest.append(": ").append(error.getCause().getMessage());
    }
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          ErrorInfo info = detail.unpack(ErrorInfo.class);
          reason = " " + info.getReason();
          if (info.containsMetadata("remedy")) {
            rest.append("; remedy: ").append(info.getMetadataOrThrow("remedy"));
          }
        } else if (detail.is(BadRequest.class)) {
          for (BadRequest.FieldViolation violation :
              detail.unpack(BadRequest.class).getFieldViolationsList()) {
            rest.append(" (in ").append(violation.getField()).append(")");
          }
        }
      }
    } catch (InvalidProtocolBufferException e) {
      rest.append(" (with details that cannot be read)");
    }
    return error.getStatus().getCode() + reason + rest;
  }
}
