// The names of cases, subjects and parameters, as they stand on the command line and in the JSON.

#ifndef MCGW_BENCH_NAMES_H_
#define MCGW_BENCH_NAMES_H_

#include <array>

namespace mcgw::bench {

// What is measured. Those that are not mcgw are references; the files in reference/ hold them.
inline constexpr char kDirect[] = "direct";       // A multicast socket for each reader.
inline constexpr char kTcp[] = "tcp";             // A TCP gateway, a send per datagram.
inline constexpr char kTcpBatch[] = "tcp-batch";  // The same, a send per batch received.
inline constexpr char kTcpRing[] = "tcp-ring";    // A contiguous ring, 64 datagrams per send, a cursor for each reader.
inline constexpr char kGrpcSingle[] = "grpc-single";      // A gRPC server, one datagram per message.
inline constexpr char kNats[] = "nats";                   // nats-server, fed over TCP.
inline constexpr char kZmq[] = "zmq";                     // A relay to a ZeroMQ publisher.
inline constexpr char kGrpcEmpty[] = "grpc-empty";        // A gRPC server that answers unary calls with nothing.
inline constexpr char kGrpcSend[] = "grpc-send";          // A gRPC server that does one send for each unary call.
inline constexpr char kGrpcGso[] = "grpc-gso";            // A gRPC stream that hands batches to the kernel unchecked.
inline constexpr char kGateway[] = "mcgw";                // mcgwd over TCP.
inline constexpr char kGatewayAtOnce[] = "mcgw-at-once";  // mcgwd, whose readers forbid it to hold datagrams back.
inline constexpr char kGatewayUnix[] = "mcgw-unix";       // mcgwd over a socket in the file system,
inline constexpr char kGatewayTls[] = "mcgw-tls";         // and over TLS.
inline constexpr char kGatewayBatch[] = "mcgw-batch";  // mcgwd, whose readers allow it to hold datagrams back for 5 ms.

inline constexpr char kReplayCase[] = "replay";
inline constexpr char kSaturatedCase[] = "saturated";
inline constexpr char kLiveCase[] = "live";
inline constexpr char kLatencyCase[] = "latency";
inline constexpr char kPacedCase[] = "paced";
inline constexpr char kLossFreeCase[] = "loss-free";
inline constexpr char kSendCase[] = "send";
inline constexpr char kPublishCase[] = "publish";
inline constexpr char kJoinsCase[] = "joins";
inline constexpr char kChannelsCase[] = "channels";
inline constexpr char kStalledCase[] = "stalled";
inline constexpr char kCursorsCase[] = "cursors";
inline constexpr char kControlCase[] = "control";
inline constexpr char kMemoryCase[] = "memory";
inline constexpr char kFlatMemoryCase[] = "flat-memory";
inline constexpr char kStartUpCase[] = "start-up";
inline constexpr char kTransportCase[] = "transport";

inline constexpr char kPayloadBytes[] = "payload_bytes";
inline constexpr char kSubscribers[] = "subscribers";
inline constexpr char kRate[] = "datagrams_per_second";
inline constexpr char kPerMessage[] = "datagrams_per_message";
inline constexpr char kMixed[] = "mixed_sizes";  // 1: every other payload has another size.
inline constexpr char kInFlight[] = "in_flight";
inline constexpr char kChannels[] = "channels";
inline constexpr char kActive[] = "active_channels";
inline constexpr char kFamily[] = "ip_version";

// Rates that are to be reached without loss.
struct LossFreeGoal {
  int payload_bytes;
  int subscribers;
  double rate;
};
inline constexpr std::array kLossFreeGoals = {
    LossFreeGoal{200, 1, 300'000},  LossFreeGoal{200, 8, 200'000},  LossFreeGoal{200, 64, 30'000},
    LossFreeGoal{1316, 1, 200'000}, LossFreeGoal{1316, 8, 100'000}, LossFreeGoal{1316, 64, 20'000},
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_NAMES_H_
