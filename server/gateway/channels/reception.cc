#include "server/gateway/channels/reception.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using fanout::SourceFilter;
using net::FilterMode;

std::string Reception::Describe() const {
  return net::StrCat(net::ToString(spec_.socket.group, spec_.socket.port), " on ", spec_.socket.interface_name);
}

absl::Status Reception::Explain(const absl::Status& status, size_t sources) const {
  if (!net::IsTooManySources(status)) return status;
  return net::Error(net::Reason::kSourceLimit, "source_filter.sources",
                    net::StrCat(Describe(), ": the kernel keeps none of ", sources, " sources: raise ",
                                spec_.socket.group.is_v4() ? "net.ipv4.igmp_max_msf"
                                                           : "net.ipv6.mld_max_msf or net.core.optmem_max"));
}

void Reception::StartReading(Membership* membership) {
  membership->Start(std::exchange(interruption_, std::nullopt), closed_unix_ns_);
}

// ---- Any group: one socket ----

absl::StatusOr<std::unique_ptr<ChannelSockets::Membership>> Reception::Join(const SourceFilter& filter) {
  return sockets_->Join(spec_, filter);
}

absl::StatusOr<std::unique_ptr<ChannelSockets::Membership>> Reception::JoinAny(const SourceFilter& filter) {
  absl::StatusOr<std::unique_ptr<Membership>> joined = Join(filter);
  if (joined.ok() || !net::IsTooManySources(joined.status())) return joined;
  return Join(SourceFilter::AnySource());
}

absl::Status Reception::SetAny(const SourceFilter& filter) {
  Membership& membership = *siblings_.front().membership;
  const absl::Status status = membership.SetFilter(filter);
  if (!net::IsTooManySources(status)) return status;
  return membership.SetFilter(SourceFilter::AnySource());
}

// ---- Source-specific groups: as many sockets as the sources need ----

Reception::Plan Reception::MakePlan(const Sources& wanted) const {
  Plan plan;
  Sources placed;
  for (const Sibling& sibling : siblings_) {
    const Sources& has = sibling.membership->filter().sources();
    Sources& keeps = plan.kept.emplace_back();
    std::set_intersection(has.begin(), has.end(), wanted.begin(), wanted.end(), std::back_inserter(keeps));
    placed.insert(placed.end(), keeps.begin(), keeps.end());
  }
  std::sort(placed.begin(), placed.end());
  Sources fresh;
  std::set_difference(wanted.begin(), wanted.end(), placed.begin(), placed.end(), std::back_inserter(fresh));
  auto next = fresh.begin();
  const auto take = [&](size_t count, Sources* into) {
    const auto end = next + static_cast<ptrdiff_t>(std::min<size_t>(count, fresh.end() - next));
    into->insert(into->end(), next, end);
    next = end;
  };
  for (size_t i = 0; i < siblings_.size(); ++i) {
    Sources& keeps = plan.kept[i];
    const size_t most = std::min(siblings_[i].most_sources, most_sources_);
    if (keeps.size() < most) take(most - keeps.size(), &keeps);
    std::sort(keeps.begin(), keeps.end());
  }
  while (next != fresh.end()) take(most_sources_, &plan.fresh.emplace_back());
  return plan;
}

absl::Status Reception::Carry(const Plan& plan, bool* again) {
  *again = false;
  // New sockets first: if there are none left, nothing has changed yet.
  std::vector<Sibling> fresh;
  for (const Sources& sources : plan.fresh) {
    absl::StatusOr<std::unique_ptr<Membership>> joined = Join(SourceFilter::Include(sources));
    if (!joined.ok()) {
      *again = net::IsTooManySources(joined.status()) && sources.size() > 1;
      if (*again) most_sources_ = sources.size() / 2;
      return joined.status();
    }
    fresh.push_back({*std::move(joined)});
  }
  std::vector<SourceFilter> before;
  for (const Sibling& sibling : siblings_) before.push_back(sibling.membership->filter());
  for (size_t i = 0; i < siblings_.size(); ++i) {
    if (plan.kept[i].empty()) continue;
    const absl::Status status = siblings_[i].membership->SetFilter(SourceFilter::Include(plan.kept[i]));
    if (status.ok()) continue;
    for (size_t done = 0; done < i; ++done) {
      if (plan.kept[done].empty()) continue;
      if (!siblings_[done].membership->SetFilter(before[done]).ok()) {
        spdlog::warn("cannot take back a filter of {}; subscribers filter for themselves", Describe());
      }
    }
    const size_t has = before[i].sources().size();
    *again = net::IsTooManySources(status) && has < siblings_[i].most_sources;
    if (*again) siblings_[i].most_sources = has;
    return status;
  }
  std::vector<Sibling> remaining;
  for (size_t i = 0; i < siblings_.size(); ++i) {
    if (!plan.kept[i].empty()) remaining.push_back(std::move(siblings_[i]));
  }
  siblings_ = std::move(remaining);
  for (Sibling& sibling : fresh) {
    StartReading(sibling.membership.get());
    siblings_.push_back(std::move(sibling));
  }
  return absl::OkStatus();
}

absl::Status Reception::SetSources(const Sources& wanted) {
  most_sources_ = sockets_->MostSources(spec_.socket.group.family());
  absl::Status status;
  bool again = true;
  while (again) status = Carry(MakePlan(wanted), &again);
  return status;
}

// ---- Both ----

absl::Status Reception::Open(uint32_t interface_index, const std::string& interface_name, const SourceFilter& wanted) {
  spec_.socket.interface_index = interface_index;
  spec_.socket.interface_name = interface_name;
  if (!spec_.socket.group.IsSourceSpecific()) {
    absl::StatusOr<std::unique_ptr<Membership>> joined = JoinAny(wanted);
    if (!joined.ok()) return Explain(joined.status(), wanted.sources().size());
    StartReading(joined->get());
    told_ = (*joined)->filter();
    siblings_.push_back({*std::move(joined)});
  } else {
    const absl::Status status = SetSources(wanted.sources());
    if (!status.ok()) return Explain(status, wanted.sources().size());
    told_ = wanted;
  }
  put_off_.reset();
  was_open_ = true;
  return absl::OkStatus();
}

absl::Status Reception::Tell(const SourceFilter& wanted) {
  const std::optional<PutOff> before = std::exchange(put_off_, std::nullopt);
  if (wanted == told_) return absl::OkStatus();
  if (spec_.socket.group.IsSourceSpecific()) {
    absl::Status status = SetSources(wanted.sources());
    if (status.ok()) told_ = wanted;
    return Explain(status, wanted.sources().size());
  }
  SourceFilter next = wanted;
  const bool narrows = told_.mode() == FilterMode::kExclude && wanted.mode() == FilterMode::kInclude;
  if (!spec_.socket.group.is_v4() && narrows &&
      wanted.sources().size() <= sockets_->MostSources(spec_.socket.group.family())) {
    const SourceFilter both[] = {told_, wanted};
    next = SourceFilter::Merge(both);
  }
  const absl::Status status = SetAny(next);
  if (!status.ok()) return Explain(status, wanted.sources().size());
  told_ = siblings_.front().membership->filter();
  if (next != wanted) {
    put_off_ = PutOff{.filter = wanted,
                      .since_ns = before.has_value() ? before->since_ns : net::MonotonicNs(),
                      .read_before = std::nullopt};
  }
  return absl::OkStatus();
}

void Reception::Narrow(int64_t now_ns) {
  if (!put_off_.has_value() || !is_open()) return;
  const uint64_t read = spec_.counters->read.load(std::memory_order_relaxed);
  const bool is_idle = std::exchange(put_off_->read_before, read) == std::optional(read);
  if (!is_idle && now_ns - put_off_->since_ns < narrow_after_ns_) return;
  const SourceFilter wanted = std::exchange(put_off_, std::nullopt)->filter;
  // Announced first, so that nothing that comes after a loss precedes it.
  if (!is_idle) spec_.shard->Interrupt(spec_.log, fanout::GapCause::kKernelDrop, net::UnixNs());
  if (const absl::Status status = SetAny(wanted); !status.ok()) {
    // The kernel passes more than is wanted; subscribers filter for themselves.
    spdlog::warn("cannot narrow the filter of {}: {}", Describe(), net::ToStd(status.message()));
  }
  told_ = siblings_.front().membership->filter();
}

void Reception::Close(fanout::GapCause cause) {
  siblings_.clear();
  put_off_.reset();
  interruption_ = cause;
  closed_unix_ns_ = net::UnixNs();
}

absl::Status Reception::Watched() const {
  for (const Sibling& sibling : siblings_) {
    if (absl::Status status = sibling.membership->Watched(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<SocketSnapshot> Reception::Sockets() const {
  std::vector<SocketSnapshot> sockets;
  for (const Sibling& sibling : siblings_) sockets.push_back(sibling.membership->Snapshot());
  return sockets;
}

net::ReceiveSocketFacts Reception::Facts() const {
  net::ReceiveSocketFacts sum;
  for (const SocketSnapshot& socket : Sockets()) {
    if (sum.inode == 0) sum.inode = socket.facts.inode;
    sum.receive_buffer_bytes += socket.facts.receive_buffer_bytes;
    sum.queued_bytes += socket.facts.queued_bytes;
  }
  return sum;
}

}  // namespace mcgw::gateway
