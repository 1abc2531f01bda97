#include "server/gateway/sending/host_memberships.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "server/gateway/sending/send_source.h"
#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/status.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using net::HostMembership;
using net::IpAddress;
using net::MembershipSocket;

absl::StatusOr<std::shared_ptr<MembershipSocket>> HostMemberships::Hold(const net::Interface& interface,
                                                                        const IpAddress& group, const IpAddress& source,
                                                                        int64_t now_ns) {
  const HostMembership membership = {
      .interface_index = interface.index, .interface_name = interface.name, .group = group, .source = source};
  const Key key(interface.index, group, group.IsSourceSpecific() ? source : IpAddress());
  {
    net::MutexLock lock(&mutex_);
    auto at = entries_.find(key);
    // A change of the interface may have removed the membership, so leave and join again. The order matters: a late
    // leave would remove the new membership.
    if (at != entries_.end() && at->second.interface != interface) {
      Drop(at);
      at = entries_.end();
    }
    if (at == entries_.end()) {
      if (absl::Status status = Add(key, membership, interface); !status.ok()) return status;
    }
    entries_.at(key).used_ns = now_ns;
  }
  absl::StatusOr<std::shared_ptr<MembershipSocket>> held = NewSocket(group.family());
  if (!held.ok()) return held.status();
  if (absl::Status status = (*held)->Join(membership); !status.ok()) return status;
  return held;
}

absl::StatusOr<std::shared_ptr<MembershipSocket>> HostMemberships::NewSocket(net::Family family) {
  const SocketBudget::Token token = budget_.TakeOwn();
  if (token == nullptr) return NoSendSocketLeft(budget_);
  absl::StatusOr<std::unique_ptr<MembershipSocket>> made = sockets_->NewMembershipSocket(family);
  if (!made.ok()) return made.status();
  return std::shared_ptr<MembershipSocket>((*made).release(), [token](MembershipSocket* last) { delete last; });
}

std::shared_ptr<MembershipSocket> HostMemberships::WithRoom(const HostMembership& membership) const {
  struct Load {
    size_t groups = 0;
    bool holds_group = false;  // For another source: the kernel would see a single membership.
  };
  std::map<std::shared_ptr<MembershipSocket>, Load> sockets;
  for (const auto& [key, entry] : entries_) {
    if (entry.membership.group.family() != membership.group.family()) continue;
    Load& load = sockets[entry.socket];
    ++load.groups;
    load.holds_group |=
        entry.membership.group == membership.group && entry.membership.interface_index == membership.interface_index;
  }
  for (const auto& [socket, load] : sockets) {
    if (load.groups < MembershipSocket::kMaxGroups && !load.holds_group) return socket;
  }
  return nullptr;
}

absl::Status HostMemberships::Add(const Key& key, const HostMembership& membership, const net::Interface& interface) {
  if (entries_.size() >= kMostGroups) {
    Drop(std::min_element(entries_.begin(), entries_.end(),
                          [](const auto& a, const auto& b) { return a.second.used_ns < b.second.used_ns; }));
  }
  std::shared_ptr<MembershipSocket> socket = WithRoom(membership);
  absl::Status status = absl::ResourceExhaustedError("");
  if (socket != nullptr) status = socket->Join(membership);
  if (!status.ok()) {
    // The host may allow fewer groups on a socket than the default.
    absl::StatusOr<std::shared_ptr<MembershipSocket>> made = NewSocket(membership.group.family());
    if (!made.ok()) return made.status();
    socket = *std::move(made);
    status = socket->Join(membership);
  }
  if (!status.ok()) return status;
  spdlog::info("joined {} on {}, to keep datagrams with hop limit 0 on the host", membership.group.ToString(),
               membership.interface_name);
  entries_[key] = {.membership = membership,
                   .interface = interface,
                   .socket = std::move(socket),
                   .since_unix_ns = net::UnixNs(),
                   .used_ns = 0};
  MCGW_INVARIANT(entries_.size() <= kMostGroups);
  return absl::OkStatus();
}

void HostMemberships::Drop(std::map<Key, Entry>::iterator at) {
  const HostMembership& membership = at->second.membership;
  at->second.socket->Leave(membership);
  spdlog::info("left {} on {}, which kept datagrams with hop limit 0 on the host", membership.group.ToString(),
               membership.interface_name);
  entries_.erase(at);
}

void HostMemberships::Sweep(const net::InterfaceTable& table, int64_t now_ns) {
  net::MutexLock lock(&mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    const bool idle = now_ns - at->second.used_ns >= kIdleNs;
    if (idle || table.FindByIndex(at->second.membership.interface_index) == nullptr) Drop(at);
    at = next;
  }
}

std::vector<HostMemberships::Held> HostMemberships::List() const {
  net::MutexLock lock(&mutex_);
  std::vector<Held> held;
  for (const auto& [key, entry] : entries_) {
    held.push_back({entry.membership.interface_index, entry.membership.group, entry.since_unix_ns});
  }
  return held;
}

}  // namespace mcgw::gateway
