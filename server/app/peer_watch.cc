#include "server/app/peer_watch.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace mcgw::app {
namespace {

// A connection that is filled again as soon as its peer reads looks as if nothing had been read to most checks of a
// Unix socket. So there are many, and at uneven times.
constexpr int kLeastStalledChecks = 64;
constexpr absl::Duration kMostMean = absl::Seconds(1);

// A peer has vanished after so much silence, if the kernel has asked in vain for a part of it. With the distance of the
// checks that is less than 20 s.
constexpr absl::Duration kMostSilence = absl::Seconds(17);
constexpr absl::Duration kAskedInVain = absl::Seconds(8);
// The kernel asks, by data or else by probes; an idle connection ends after 9 + 3 * 3 s.
constexpr int kIdleSeconds = 9;
constexpr int kProbeSeconds = 3;
constexpr int kProbes = 3;

}  // namespace

PeerChecks PeerChecks::For(absl::Duration stall_timeout) {
  const absl::Duration mean = std::min(stall_timeout / kLeastStalledChecks, kMostMean);
  const auto count = [mean](absl::Duration time) { return static_cast<int>(absl::Ceil(time, mean) / mean); };
  return {.mean = mean, .stalled = count(stall_timeout), .vanished = count(kAskedInVain)};
}

void ProbeWhenIdle(int tcp_fd) {
  const std::pair<int, int> options[] = {
      {TCP_KEEPIDLE, kIdleSeconds}, {TCP_KEEPINTVL, kProbeSeconds}, {TCP_KEEPCNT, kProbes}};
  for (const auto& [option, value] : options) setsockopt(tcp_fd, IPPROTO_TCP, option, &value, sizeof(value));
  const int on = 1;
  setsockopt(tcp_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

PeerWatch::Sample PeerWatch::Look(int fd, absl::Duration interval, bool writable) {
  if (unix_socket_) {
    // A slow reader may leave the buffer too full to count as writable (unix(7)), but what it has not read changes.
    int queued_bytes = 0;
    ioctl(fd, SIOCOUTQ, &queued_bytes);
    const bool moved =
        std::exchange(taken_, static_cast<uint64_t>(queued_bytes)) != static_cast<uint64_t>(queued_bytes);
    return {.waiting = queued_bytes > 0, .progress = writable || moved};
  }
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  // Probes of an idle connection, or of a closed window, count until they are answered.
  const bool owes = info.tcpi_unacked > 0 || info.tcpi_probes > 0;
  const absl::Duration silent = absl::Milliseconds(info.tcpi_last_ack_recv);
  return {.waiting = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0,
          .progress = std::exchange(taken_, info.tcpi_bytes_acked) != info.tcpi_bytes_acked,
          .unanswered = owes && silent >= interval,
          .silent = silent};
}

PeerWatch::Finding PeerWatch::Judge(const Sample& sample, const PeerChecks& checks) {
  stalled_checks_ = sample.waiting && !sample.progress ? stalled_checks_ + 1 : 0;
  unanswered_checks_ = sample.unanswered ? unanswered_checks_ + 1 : 0;
  if (unanswered_checks_ >= checks.vanished && sample.silent >= kMostSilence) return Finding::kVanished;
  return stalled_checks_ >= Patience(unix_socket_) * checks.stalled ? Finding::kStalled : Finding::kAlive;
}

}  // namespace mcgw::app
