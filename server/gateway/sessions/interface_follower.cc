#include "server/gateway/sessions/interface_follower.h"

#include <utility>

#include "server/net/clock.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {
namespace {

constexpr int kRestFactor = 4;
// If the interfaces cannot be read (no descriptor is free), it tries again.
constexpr int64_t kRestAfterFailureNs = 200'000'000;

}  // namespace

bool InterfaceFollower::Run(int64_t now_ns) {
  if (now_ns < due_ns()) return false;
  const absl::Status status = reconciler_->Follow();
  const int64_t end_ns = net::MonotonicNs();
  if (!status.ok()) {
    if (now_ns - warned_ns_ > kWarnEveryNs) {
      spdlog::warn("cannot read the interfaces: {}", net::ToStd(status.message()));
      warned_ns_ = now_ns;
    }
    rested_ns_ = end_ns + kRestAfterFailureNs;
    return false;
  }
  heard_ = watch_->Hear();
  rested_ns_ = end_ns + kRestFactor * (end_ns - now_ns);
  return true;
}

}  // namespace mcgw::gateway
