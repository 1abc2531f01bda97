// What the gateway reports about itself and its host. Inspection joins, sends and follows nothing.

#ifndef MCGW_GATEWAY_INSPECTION_INSPECTOR_H_
#define MCGW_GATEWAY_INSPECTION_INSPECTOR_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/gateway/channels/accounts.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/gateway/inspection/host_view.h"
#include "server/gateway/sessions/subscription_table.h"

namespace mcgw::gateway {

// An interface now, and how the gateway uses it for each family (0: IPv4, 1: IPv6).
struct InterfaceSnapshot {
  net::Interface interface;  // Index 0: it does not exist, but clients want it.
  uint64_t order = 0;        // Sort key of the list.
  bool permitted = false;
  bool lost = false;    // A channel on it cannot receive now.
  uint64_t losses = 0;  // Number of times that happened.
  struct KernelMembership {
    net::IpAddress group;
    uint32_t users = 0;          // Sockets of the whole host, and the kernel itself.
    uint32_t gateway_users = 0;  // Sockets of the gateway.
  };
  struct PerFamily {
    std::vector<InterfaceDirectory::Exclusion> exclusions;
    bool is_default = false;
    uint32_t protocol_version = 0;  // Of IGMP or MLD; 0: unknown.
    size_t memberships = 0;         // Of the gateway's clients.
    std::vector<KernelMembership> kernel;
  } families[2];
  std::optional<net::DeviceCounters> device;
  ReceiveTotals received;
  InterfaceSends sends;
};

// Thread-safe. The calls read /proc, query rtnetlink and wait for joins in progress: they may block.
class Inspector {
 public:
  // All must outlive it.
  Inspector(HostView::Parts parts, SubscriptionTable* streams, ClosedAccounts* closed)
      : view_(std::move(parts)), streams_(streams), closed_(closed) {}

  // In order of channel id.
  absl::StatusOr<std::vector<ChannelSnapshot>> ListChannels(const ChannelQuery& query = {}) const;
  // The interfaces now, and how the gateway uses those that it knows.
  absl::StatusOr<std::vector<InterfaceSnapshot>> ListInterfaces() const;
  // Diagnoses why nothing arrives. Returns the findings, most severe first. A missing interface is a finding.
  absl::StatusOr<std::vector<Finding>> Diagnose(const DiagnosisRequest& request) const;
  // Open streams in order of id.
  std::vector<SubscriberSnapshot> ListSubscribers(const SubscriberQuery& query = {}) const;
  // Whether a channel exists, and its accounts.
  bool HasChannel(uint64_t channel_id) const { return LedgerOfChannel(channel_id).has_value(); }
  std::optional<ChannelLedger> LedgerOfChannel(uint64_t channel_id) const;
  // What each stream was offered in a channel, including streams that have left it; in order of id.
  std::vector<SubscriberLedger> LedgersInChannel(const SubscriberQuery& query) const;
  // What an open stream was offered in all its channels; nothing if there is no such stream. `entries` receives the
  // first `most` channels after `after_channel`.
  std::optional<fanout::LedgerEntry> LedgerOfSubscriber(uint64_t subscriber_id, uint64_t after_channel, size_t most,
                                                        std::vector<fanout::LedgerEntry>* entries) const;
  // Over the whole life of the gateway. The parts are read one after the other: exact when all is quiet.
  GatewayAccount Account() const;
  // Reads the IGMP and MLD queries that have arrived. Call it once a second.
  void Sweep();

 private:
  // What SnapshotOf needs about all interfaces.
  struct HostSnapshot {
    net::KernelMemberships memberships;
    std::map<uint32_t, net::DeviceCounters> devices;
    std::array<uint32_t, 2> defaults = {};  // The interface of an empty selector, for each family.
  };
  // `channels`: null if no client has ever asked for the interface.
  InterfaceSnapshot SnapshotOf(const net::Interface& interface, const InterfaceChannels* channels,
                               const HostSnapshot& host) const;

  const HostView view_;
  SubscriptionTable* const streams_;
  ClosedAccounts* const closed_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INSPECTION_INSPECTOR_H_
