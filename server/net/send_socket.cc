#include <poll.h>

#include <algorithm>

#include "server/net/clock.h"
#include "server/net/multicast_socket.h"

namespace mcgw::net {

size_t SendSocket::Send(absl::Span<const OutgoingDatagram> datagrams, std::vector<SendFailure>* failures) {
  size_t sent = 0;
  size_t next = 0;
  int64_t stalled_since_ns = 0;  // 0: not stalled.
  while (next < datagrams.size()) {
    const int64_t now_ns = MonotonicNs();
    const bool patient = stalled_since_ns == 0 || now_ns - stalled_since_ns < kPatienceNs;
    const size_t known = failures->size();
    const SendStep step = TrySend(datagrams.subspan(next), patient, failures);
    for (size_t i = known; i < failures->size(); ++i) (*failures)[i].index += next;
    next += step.done;
    sent += step.sent;
    if (step.sent > 0) stalled_since_ns = 0;
    if (step.wait == SendStep::Wait::kNone) continue;
    if (stalled_since_ns == 0) stalled_since_ns = now_ns;
    const bool moment = step.wait == SendStep::Wait::kMoment;
    pollfd room = {fd(), POLLOUT, 0};
    const int64_t wait_ns = moment ? kMomentNs : std::max<int64_t>(stalled_since_ns + kPatienceNs - now_ns, kMomentNs);
    poll(moment ? nullptr : &room, moment ? 0 : 1, static_cast<int>((wait_ns + 999'999) / 1'000'000));
  }
  return sent;
}

}  // namespace mcgw::net
