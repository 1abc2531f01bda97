// The names of what is measured, as they stand in the JSON, and how tables show them.

#ifndef MCGW_BENCH_METRICS_H_
#define MCGW_BENCH_METRICS_H_

#include <array>

namespace mcgw::bench {

// Of the server process, all threads: user and system time unless it says user.
inline constexpr char kCpuPerDelivery[] = "cpu_ns_per_delivery";
inline constexpr char kUserCpuPerDatagram[] = "user_cpu_ns_per_datagram";  // Received by the server.
inline constexpr char kCpuPerDatagram[] = "cpu_ns_per_datagram";           // Received, or sent, by the server.
inline constexpr char kCpuPerCall[] = "cpu_us_per_call";
inline constexpr char kReceiveThread[] = "receive_thread_us_per_second";  // Of CPU, while nothing happens.
inline constexpr char kControlThread[] = "control_thread_us_per_second";
inline constexpr char kCpuPerFlap[] = "cpu_ms_per_flap";      // Over what the server takes while nothing happens.
inline constexpr char kSwitches[] = "switches_per_delivery";  // Voluntary context switches.
inline constexpr char kServerBusy[] = "server_busy";          // 0 to 1: of its core.

// From the sender's clock before its send to the reader's after its read.
inline constexpr char kP50[] = "p50_us";
inline constexpr char kP90[] = "p90_us";
inline constexpr char kP99[] = "p99_us";
inline constexpr char kP999[] = "p999_us";
inline constexpr char kMax[] = "max_us";
// From the kernel's receive timestamp, where the protocol carries it.
inline constexpr char kKernelP50[] = "kernel_p50_us";
inline constexpr char kKernelP99[] = "kernel_p99_us";

inline constexpr char kDeliveries[] = "deliveries";  // A delivery is one datagram that one reader got.
inline constexpr char kMissing[] = "missing";        // By the sender's numbering, over all readers.
inline constexpr char kAnnounced[] = "announced";    // Of those, announced by the gateway.
inline constexpr char kSentRate[] = "sent_per_second";
inline constexpr char kDeliveryRate[] = "deliveries_per_second";
inline constexpr char kLossFreeRate[] = "loss_free_per_second";
inline constexpr char kItemRate[] = "items_per_second";
inline constexpr char kCallRate[] = "calls_per_second";

inline constexpr char kResident[] = "server_resident_bytes";
inline constexpr char kBytesPerSubscriber[] = "bytes_per_subscriber";
inline constexpr char kBytesPerCursor[] = "bytes_per_cursor";
inline constexpr char kBytesPerChannel[] = "bytes_per_channel";
inline constexpr char kGrowth[] = "resident_growth_bytes";
inline constexpr char kSetUp[] = "set_up_ms";
inline constexpr char kStartUp[] = "start_up_ms";

// Of the core of sender and readers, 0 to 1: its busy time, the benchmark's own part, time that went to low priority.
inline constexpr char kClientBusy[] = "client_core_busy";
inline constexpr char kClientOwn[] = "client_core_own";
inline constexpr char kLowPriority[] = "client_core_low_priority";
inline constexpr char kOthers[] = "others_on_server_core";  // 0 to 1: time of the server's core that it did not use.

enum class Shown { kNo, kYes, kWithRatio };

struct Metric {
  const char* name;
  const char* label;
  Shown shown;
};

// In the order of the columns.
inline constexpr std::array kMetrics = {
    Metric{kLossFreeRate, "loss-free/s", Shown::kWithRatio},
    Metric{kCpuPerDelivery, "CPU ns/delivery", Shown::kWithRatio},
    Metric{kCpuPerDatagram, "CPU ns/datagram", Shown::kWithRatio},
    Metric{kUserCpuPerDatagram, "user CPU ns/datagram", Shown::kWithRatio},
    Metric{kCpuPerCall, "CPU us/call", Shown::kWithRatio},
    Metric{kReceiveThread, "receive thread us/s", Shown::kYes},
    Metric{kControlThread, "control thread us/s", Shown::kYes},
    Metric{kCpuPerFlap, "CPU ms/flap", Shown::kYes},
    Metric{kP50, "p50 us", Shown::kWithRatio},
    Metric{kP90, "p90 us", Shown::kYes},
    Metric{kP99, "p99 us", Shown::kWithRatio},
    Metric{kP999, "p99.9 us", Shown::kYes},
    Metric{kKernelP50, "kernel p50 us", Shown::kYes},
    Metric{kKernelP99, "kernel p99 us", Shown::kYes},
    Metric{kSwitches, "switches/delivery", Shown::kYes},
    Metric{kCallRate, "calls/s", Shown::kWithRatio},
    Metric{kItemRate, "datagrams/s", Shown::kWithRatio},
    Metric{kDeliveryRate, "deliveries/s", Shown::kYes},
    Metric{kMissing, "missing", Shown::kYes},
    Metric{kAnnounced, "announced", Shown::kYes},
    Metric{kBytesPerSubscriber, "bytes/subscriber", Shown::kWithRatio},
    Metric{kBytesPerCursor, "bytes/cursor", Shown::kYes},
    Metric{kBytesPerChannel, "bytes/channel", Shown::kYes},
    Metric{kGrowth, "growth, bytes", Shown::kYes},
    Metric{kSetUp, "set-up ms", Shown::kYes},
    Metric{kStartUp, "start-up ms", Shown::kWithRatio},
    Metric{kServerBusy, "server core", Shown::kYes},
    Metric{kClientBusy, "client core", Shown::kYes},
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_METRICS_H_
