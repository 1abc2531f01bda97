// Diagnosis of missing datagrams: the facts, the checks that judge them, and the findings.
//
// FactGatherer gathers the facts once. Each check is a function of facts alone, so that tests can make up states that
// are hard to bring a kernel into. A check that does not apply returns nothing.

#ifndef MCGW_GATEWAY_INSPECTION_DIAGNOSIS_H_
#define MCGW_GATEWAY_INSPECTION_DIAGNOSIS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/gateway/sending/send_account.h"
#include "server/net/address.h"
#include "server/net/bridge_state.h"
#include "server/net/device_counters.h"
#include "server/net/host_settings.h"
#include "server/net/interface_table.h"
#include "server/net/mld_version.h"
#include "server/net/querier_listener.h"
#include "server/net/route_lookup.h"

namespace mcgw::gateway {

// What to look into. Empty: the host and all channels.
struct DiagnosisRequest {
  std::string selector;  // As for a membership, but empty means every interface that concerns the group or a channel.
  std::optional<net::IpAddress> group;
  uint16_t port = 0;                     // 0: any.
  std::optional<net::IpAddress> source;  // The sender that nothing arrives from.
};

// What was checked. The names are those of the API's FindingCode.
enum class FindingCode : uint8_t {
  kInterfaceExists,
  kInterfaceUp,
  kCarrier,
  kMulticastFlag,
  kAddress,
  kInterfacePermitted,
  kMembershipWished,
  kMembershipInKernel,
  kMembershipProtocol,
  kQuerier,
  kBridgeSnooping,
  kReversePath,
  kRoute,
  kSendBlocked,
  kReceiveBuffer,
  kKernelDrops,
  kLimits,
  kLoopback,
  kSourceRequired,
  kGroupScope,
  kHopLimit,
  kLastDatagram,
  kPortSharing,
  kMtu,
  kInvalidQuery,
  kReassembly,
  kDeviceDrops,
  kChecksums,
};

enum class Severity : uint8_t { kOk, kInfo, kWarning, kError, kUnknown };

struct Finding {
  FindingCode code;
  Severity severity;
  std::string seen;
  std::string why;                  // Empty if all is well.
  std::string remedy_command;       // Shell command that fixes it or, for kUnknown, finds out. May be empty.
  std::string remedy;               // What else to do. May be empty.
  std::string interface_name = {};  // Empty for the host and the gateway.
  uint64_t channel_id = 0;
};

// ---- Facts ----

struct HostFacts {
  net::HostSettings settings;
  net::HostCounters counters;
  net::HostCounters counters_before;  // At the gateway's start.
  size_t channels = 0;
  size_t channels_limit = 0;
  size_t asked_buffer_bytes = 0;               // For each socket.
  std::optional<size_t> granted_buffer_bytes;  // The largest of all sockets; nothing if there are none.
  bool listens_to_queriers = false;
  int64_t listened_ns = 0;
  int64_t now_monotonic_ns = 0;
  int64_t now_unix_ns = 0;
};

// The bridge that is the interface, or that the interface is a port of.
struct BridgeFacts {
  std::string name;
  net::BridgeState state;
};

// Of one family (0: IPv4, 1: IPv6) on an interface.
struct FamilyFacts {
  bool concerned = false;  // The request is about it.
  std::vector<InterfaceDirectory::Exclusion> star_exclusions;
  uint32_t protocol_version = 0;  // Of IGMP or MLD; 0: not known.
  std::optional<int64_t> forced_version;
  std::optional<net::Query> last_query;
  std::optional<net::InvalidQuery> invalid_query;
  bool wants_sources = false;  // A channel wants particular sources: SSM.
  // To a group of the family: IPv4 as the routes choose, IPv6 through the interface.
  std::optional<net::Route> route;
};

struct InterfaceFacts {
  bool exists = true;  // If not, only the name counts.
  net::Interface interface;
  bool permitted = true;
  std::string master_name;  // Of the device that it is enslaved to.
  std::string master_kind;
  std::optional<BridgeFacts> bridge;
  net::InterfaceSettings settings;
  std::optional<net::MldCounters> mld;
  std::optional<net::DeviceCounters> device;  // Since the gateway's start.
  InterfaceSends sends;
  FamilyFacts families[2];
};

// The route back to a sender.
struct SourceFacts {
  net::IpAddress source;
  net::Route route;
  std::string route_interface;
};

// A channel that is held, or that the request names.
struct ChannelFacts {
  net::IpAddress group;
  uint16_t port = 0;  // 0: the request names none.
  std::string interface_name;
  std::optional<ChannelSnapshot> snapshot;  // Nothing: the gateway does not know the channel.
  std::optional<uint32_t> host_users;       // Of the group on the interface; nothing if the kernel does not show it.
  uint32_t gateway_sockets = 0;             // Of these.
  bool named_interface = true;              // False with an empty selector.
  std::optional<net::IpAddress> asked_source;
  std::vector<SourceFacts> sources;  // The requested one; else those of the filters and the last one seen.
  absl::Status bind;                 // Result of binding the port, if the gateway does not hold it.
};

struct DiagnosisFacts {
  HostFacts host;
  std::vector<InterfaceFacts> interfaces;
  std::vector<ChannelFacts> channels;
};

// Runs every check. Findings are sorted by severity: errors, warnings, unknown, information, OK; within one, they are
// in the order of the facts. Only the first kMostFindings are returned, so that the answer stays small.
inline constexpr size_t kMostFindings = 1000;
std::vector<Finding> Judge(const DiagnosisFacts& facts, std::vector<Finding> found_before = {});

// ---- Checks, by file ----

// diagnosis_host.cc
std::optional<Finding> CheckDescriptors(const HostFacts& host);
std::optional<Finding> CheckChannelLimit(const HostFacts& host);
std::optional<Finding> CheckKernelLimits(const HostFacts& host);
std::optional<Finding> CheckBufferLimit(const HostFacts& host);

// diagnosis_drops.cc
std::optional<Finding> CheckReversePathDrops(const HostFacts& host);
std::optional<Finding> CheckReassembly(const HostFacts& host);
std::optional<Finding> CheckChecksums(const HostFacts& host);
std::optional<Finding> CheckDevice(const InterfaceFacts& facts);

// diagnosis_interface.cc
std::optional<Finding> CheckExists(const InterfaceFacts& facts);
std::optional<Finding> CheckPermitted(const InterfaceFacts& facts);
std::optional<Finding> CheckVrf(const InterfaceFacts& facts);
std::optional<Finding> CheckEnslaved(const InterfaceFacts& facts);
std::optional<Finding> CheckUp(const InterfaceFacts& facts);
std::optional<Finding> CheckCarrier(const InterfaceFacts& facts);
std::optional<Finding> CheckMulticastFlag(const InterfaceFacts& facts);
std::optional<Finding> CheckMtu(const InterfaceFacts& facts, const HostFacts& host);
std::optional<Finding> CheckLoopback(const InterfaceFacts& facts);
std::optional<Finding> CheckAddress(const InterfaceFacts& facts, const HostFacts& host, net::Family family);
std::optional<Finding> CheckRoute(const InterfaceFacts& facts, net::Family family);
std::optional<Finding> CheckSends(const InterfaceFacts& facts, const HostFacts& host);

// diagnosis_querier.cc
std::optional<Finding> CheckProtocol(const InterfaceFacts& facts, net::Family family);
std::optional<Finding> CheckQuerier(const InterfaceFacts& facts, const HostFacts& host, net::Family family);
std::optional<Finding> CheckInvalidQueries(const InterfaceFacts& facts, const HostFacts& host, net::Family family);
std::optional<Finding> CheckBridge(const InterfaceFacts& facts, net::Family family);

// diagnosis_membership.cc
std::optional<Finding> CheckWanted(const ChannelFacts& channel);
std::optional<Finding> CheckSourceWanted(const ChannelFacts& channel);
std::optional<Finding> CheckInKernel(const ChannelFacts& channel);
std::optional<Finding> CheckFilter(const ChannelFacts& channel, const HostFacts& host);
std::optional<Finding> CheckSourceRequired(const ChannelFacts& channel);
std::optional<Finding> CheckScope(const ChannelFacts& channel);

// diagnosis_path.cc
std::optional<Finding> CheckReversePath(const ChannelFacts& channel, const InterfaceFacts& facts);
std::optional<Finding> CheckBuffer(const ChannelFacts& channel, const HostFacts& host);
std::optional<Finding> CheckDrops(const ChannelFacts& channel);
std::optional<Finding> CheckPort(const ChannelFacts& channel);
std::optional<Finding> CheckLastDatagram(const ChannelFacts& channel, const HostFacts& host);
std::optional<Finding> CheckHopLimit(const ChannelFacts& channel);

// ---- Text that the checks share ----

// A word for a shell, quoted if necessary.
std::string ShellWord(std::string_view word);
// "12 s ago", "3 min ago".
std::string Ago(int64_t then_ns, int64_t now_ns);
// The receive buffer of a joined channel, in the terms of the request: the kernel reports twice that, for its own
// overhead (socket(7)).
size_t GrantedBufferBytes(const ChannelSnapshot& snapshot);
// "239.1.1.1:5000 on a0".
std::string Describe(const ChannelFacts& channel);

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INSPECTION_DIAGNOSIS_H_
