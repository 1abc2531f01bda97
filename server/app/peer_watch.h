// Finds connections whose peer has vanished, or takes nothing of what is sent to it.
//
// A ping of HTTP/2 cannot tell: it waits behind unread data, so a slow reader answers as late as a dead one.
// The kernel knows both what the peer has acknowledged and what it has read.

#ifndef MCGW_APP_PEER_WATCH_H_
#define MCGW_APP_PEER_WATCH_H_

#include <cstdint>

#include "absl/time/time.h"

namespace mcgw::app {

// How often, and for how long in a row. Checks are counted, not time: a gateway that was frozen has not given its peers
// a chance.
struct PeerChecks {
  absl::Duration mean;  // Between two checks of a connection, at uneven times.
  int stalled;          // So many checks (times Patience) must find that the peer has taken nothing,
  int vanished;         // or so many that it owes an answer.

  static PeerChecks For(absl::Duration stall_timeout);
};

// Makes the kernel ask the peer of an idle TCP connection now and then, and end the connection if it is gone.
void ProbeWhenIdle(int tcp_fd);

// Of one connection.
class PeerWatch {
 public:
  enum class Finding { kAlive, kStalled, kVanished };
  struct Sample {
    bool waiting = false;     // Something that was sent has not been taken.
    bool progress = false;    // Something has been taken since the last check.
    bool unanswered = false;  // The peer owes the kernel an answer, and has given none since the last check,
    absl::Duration silent;    // but this long ago.
  };

  // How many times stall_timeout a peer may take nothing. A TCP peer's kernel tells of what was read only when a good
  // part of its buffer is free again, so of two small reads one may stay unknown.
  static constexpr int Patience(bool unix_socket) { return unix_socket ? 1 : 2; }

  explicit PeerWatch(bool unix_socket) : unix_socket_(unix_socket) {}

  // The kernel's state of the connection. `interval`: since the last check. Of a Unix socket it does not tell all:
  // `writable`, whether it has been so since the last check.
  Sample Look(int fd, absl::Duration interval, bool writable);
  Finding Judge(const Sample& sample, const PeerChecks& checks);

 private:
  bool unix_socket_;
  uint64_t taken_ =
      0;  // At the last check: of TCP the bytes that were acknowledged, of a Unix socket those in the queue.
  int stalled_checks_ = 0;
  int unanswered_checks_ = 0;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_PEER_WATCH_H_
