#include "server/gateway/sessions/interface_reconciler.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {
namespace {

using net::Reason;

// Even on a quiet host, so that a change without a message heals too.
constexpr int64_t kFollowAnywayNs = 10'000'000'000;
// During a storm of changes there is always another one.
constexpr int kMostReadings = 4;

}  // namespace

bool InterfaceReconciler::IsKnown(const MembershipRequest& request) {
  const InterfaceDirectory::Table table = registry_->table();
  // Any change may give "*" another interface.
  if (request.selector == "*") return directory_->IsCurrent(table);
  const absl::StatusOr<std::vector<Selected>> known = directory_->ResolveIn(table, request.selector, request.group);
  if (known.ok()) return known->front().interface->up && !known->front().interface->ReceivesForMaster();
  // Other errors are not about the interfaces; the membership's own check reports them.
  const Reason reason = net::ReasonOf(known.status());
  return reason != Reason::kInterfaceNotFound && reason != Reason::kInterfaceAmbiguous;
}

absl::Status InterfaceReconciler::CatchUp(const std::vector<MembershipRequest>& requests) {
  const bool all_known = std::all_of(requests.begin(), requests.end(), [&](const auto& each) { return IsKnown(each); });
  return all_known ? absl::OkStatus() : Follow();
}

absl::Status InterfaceReconciler::Follow() {
  net::MutexLock lock(&mutex_);
  return FollowLocked();
}

absl::Status InterfaceReconciler::ReadInterfaces() {
  // A message that arrives while the table is read may be older or newer than the table, so the table is read again
  // after it. A message older than the table in which an interface first appears would report a loss that never
  // happened.
  for (int reading = 0; reading < kMostReadings; ++reading) {
    if (watch_ != nullptr) changes_.Add(watch_->Take());
    if (absl::Status status = directory_->Refresh(); !status.ok()) return status;
    if (watch_ == nullptr || !watch_->Hear()) break;
  }
  return absl::OkStatus();
}

absl::Status InterfaceReconciler::FollowLocked() {
  if (absl::Status status = ReadInterfaces(); !status.ok()) return status;
  followed_ns_ = net::MonotonicNs();
  // Streams are notified before their channels are joined again, and so before any later datagram.
  Tell(registry_->Follow(directory_->table(), std::exchange(changes_, {})));
  Heal(/*now=*/true);
  CheckKernel();
  FollowMemberships();
  return absl::OkStatus();
}

void InterfaceReconciler::Tell(const std::vector<InterfaceNotice>& notices) {
  if (notices.empty()) return;
  const int64_t now_ns = net::MonotonicNs();
  for (const InterfaceNotice& notice : notices) {
    if (notice.channel_ids.empty()) continue;
    for (const std::string& line : log_.Lines(notice, now_ns)) spdlog::info("{}", line);
  }
  streams_->ForEach([&](Subscription& stream) {
    for (const InterfaceNotice& notice : notices) stream.Tell(notice);
  });
}

void InterfaceReconciler::Heal(bool now) {
  std::vector<ChannelChange> changes;
  std::vector<InterfaceNotice> notices;
  for (const InterfaceRegistry::ChannelsPtr& channels : registry_->All()) {
    InterfaceChannels::Healed healed = channels->Heal(now);
    if (healed.notice.has_value()) notices.push_back(*std::move(healed.notice));
    std::move(healed.changes.begin(), healed.changes.end(), std::back_inserter(changes));
  }
  Tell(notices);
  if (changes.empty()) return;
  std::vector<const ChannelChange*> by_channel;
  by_channel.reserve(changes.size());
  for (const ChannelChange& change : changes) by_channel.push_back(&change);
  std::sort(by_channel.begin(), by_channel.end(), [](const ChannelChange* a, const ChannelChange* b) {
    return std::tie(a->status.channel_id, a) < std::tie(b->status.channel_id, b);
  });
  streams_->ForEach([&](Subscription& stream) { stream.Tell(by_channel); });
}

void InterfaceReconciler::CheckKernel() {
  const std::vector<InterfaceRegistry::ChannelsPtr> all = registry_->All();
  std::vector<std::set<net::IpAddress>> missing(all.size());
  // Read twice: a list that changes while it is read may lack what the kernel has.
  for (int reading = 0; reading < 2; ++reading) {
    const int64_t before_ns = net::MonotonicNs();
    const absl::StatusOr<net::KernelMemberships> kernel = kernel_memberships_();
    if (!kernel.ok()) return;
    bool any = false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (reading > 0 && missing[i].empty()) continue;
      missing[i] = all[i]->Missing(*kernel, before_ns);
      any = any || !missing[i].empty();
    }
    if (!any) return;
  }
  std::vector<InterfaceNotice> notices;
  for (size_t i = 0; i < all.size(); ++i) {
    if (missing[i].empty()) continue;
    std::optional<InterfaceNotice> notice = all[i]->Rejoin(missing[i]);
    if (notice.has_value()) notices.push_back(*std::move(notice));
  }
  Tell(notices);
  Heal(/*now=*/true);
}

void InterfaceReconciler::FollowMemberships() {
  sessions_->Follow();
  retained_->Follow();
  streams_->ForEach([](Subscription& stream) { stream.FollowInterfaces(); });
}

void InterfaceReconciler::Sweep(int64_t now_ns) {
  net::MutexLock lock(&mutex_);
  for (const InterfaceRegistry::ChannelsPtr& channels : registry_->All()) channels->Sweep(now_ns);
  for (const std::string& line : log_.Due(now_ns)) spdlog::info("{}", line);
  if (now_ns - followed_ns_ < kFollowAnywayNs) return Heal(/*now=*/false);
  if (const absl::Status status = FollowLocked(); !status.ok()) {
    spdlog::warn("cannot read the interfaces: {}", net::ToStd(status.message()));
  }
}

std::map<std::string, bool> InterfaceReconciler::Health() const {
  std::map<std::string, bool> health;
  std::map<std::string, bool> absent;
  for (const InterfaceRegistry::ChannelsPtr& channels : registry_->All()) {
    if (channels->empty()) continue;
    (channels->index() == 0 ? absent : health)[channels->name()] = !channels->lost();
  }
  // A deleted interface whose name another one now has does not count for it.
  health.merge(absent);
  return health;
}

}  // namespace mcgw::gateway
