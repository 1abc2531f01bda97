// Checks of the path from the wire to the gateway's socket, and of what arrived by it.

#include <string>

#include "absl/strings/str_cat.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

constexpr int64_t kQuietNs = 60'000'000'000;  // A channel without a datagram for this long is quiet.
constexpr int64_t kStrict = 1;                // rp_filter, RFC 3704.

Finding DroppedByReversePath(const SourceFacts& source, const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  const int64_t rp_filter = facts.settings.rp_filter();
  const bool routed = source.route.kind == net::Route::Kind::kThrough;
  const bool in_vrf = facts.interface.IsInVrf();
  const std::string text = source.source.ToString();
  return {
      FindingCode::kReversePath, Severity::kError,
      net::StrCat("rp_filter is ", rp_filter, rp_filter == kStrict ? " (strict)" : " (loose)", " on ", name,
                  ", and the ", in_vrf ? net::StrCat("route of VRF ", facts.master_name) : std::string("host's route"),
                  " back to ", text,
                  routed ? net::StrCat(" leads through ", source.route_interface) : std::string(" does not exist")),
      net::StrCat("the kernel silently drops what ", text, " sends by ", name),
      // Loose mode only checks that there is a route. The greater of `all` and the interface's own value applies.
      routed ? net::StrCat("sysctl -w ", ShellWord(net::StrCat("net.ipv4.conf.", name, ".rp_filter=2")))
             : net::StrCat("ip route add ", text, "/32 dev ", ShellWord(name), in_vrf ? " vrf " : "",
                           in_vrf ? ShellWord(facts.master_name) : std::string()),
      net::StrCat("or turn the filter off: net.ipv4.conf.all.rp_filter=0 and net.ipv4.conf.", name, ".rp_filter=0")};
}

}  // namespace

std::optional<Finding> CheckReversePath(const ChannelFacts& channel, const InterfaceFacts& facts) {
  if (!channel.group.is_v4() || facts.interface.loopback) return std::nullopt;
  const std::string& name = facts.interface.name;
  const int64_t rp_filter = facts.settings.rp_filter();
  const auto well = [](std::string seen) {
    return Finding{FindingCode::kReversePath, Severity::kOk, std::move(seen), "", "", ""};
  };
  if (!facts.settings.rp_filter_all.has_value() && !facts.settings.rp_filter_own.has_value()) {
    return Finding{FindingCode::kReversePath,
                   Severity::kUnknown,
                   net::StrCat("rp_filter of ", name, " cannot be read"),
                   "it may drop datagrams from senders that the host has no fitting route to",
                   net::StrCat("sysctl net.ipv4.conf.all.rp_filter ",
                               ShellWord(net::StrCat("net.ipv4.conf.", name, ".rp_filter"))),
                   ""};
  }
  if (rp_filter == 0) return well(net::StrCat("rp_filter is off on ", name));
  for (const SourceFacts& source : channel.sources) {
    if (source.route.kind == net::Route::Kind::kLocal) continue;  // Of this host itself.
    const bool passes = source.route.kind == net::Route::Kind::kThrough &&
                        (rp_filter != kStrict || source.route.interface_index == facts.interface.index);
    if (!passes) return DroppedByReversePath(source, facts);
  }
  if (!channel.sources.empty()) {
    return well(net::StrCat("rp_filter is ", rp_filter, " on ", name, " and lets ",
                            channel.sources.front().source.ToString(),
                            channel.sources.size() > 1 ? " and the other known sources" : "", " pass"));
  }
  return Finding{
      FindingCode::kReversePath,
      Severity::kUnknown,
      net::StrCat("rp_filter is ", rp_filter, " on ", name, ", and no source of ", Describe(channel), " is known"),
      "it silently drops datagrams from senders that the host has no fitting route to",
      "nstat -az TcpExtIPReversePathFilter",
      "if the count grows while the sender sends, this is the cause; or name the sender here"};
}

std::optional<Finding> CheckBuffer(const ChannelFacts& channel, const HostFacts& host) {
  if (!channel.snapshot.has_value() || !channel.snapshot->joined) return std::nullopt;
  const ChannelSnapshot& snapshot = *channel.snapshot;
  const std::string seen = net::StrCat("the socket of ", Describe(channel), " was granted a receive buffer of ",
                                       GrantedBufferBytes(snapshot), " of ", host.asked_buffer_bytes, " bytes");
  if (GrantedBufferBytes(snapshot) >= host.asked_buffer_bytes) {
    return Finding{FindingCode::kReceiveBuffer, Severity::kOk, seen, "", "", ""};
  }
  const std::string why = "a burst that does not fit is dropped";
  if (host.settings.rmem_max.has_value() && static_cast<size_t>(*host.settings.rmem_max) >= host.asked_buffer_bytes) {
    return Finding{FindingCode::kReceiveBuffer,
                   Severity::kWarning,
                   seen,
                   why,
                   "",
                   "net.core.rmem_max was raised since: leave the channel and join it again"};
  }
  const bool known = host.settings.rmem_max.has_value();  // If not, it may be large enough already.
  return Finding{FindingCode::kReceiveBuffer,
                 snapshot.account.kernel_drops > 0 ? Severity::kWarning : Severity::kInfo,
                 seen,
                 why,
                 known ? absl::StrCat("sysctl -w net.core.rmem_max=", host.asked_buffer_bytes) : "",
                 known ? "then leave the channel and join it again"
                       : absl::StrCat("set net.core.rmem_max of the host to ", host.asked_buffer_bytes,
                                      " or more; then leave the channel and join it again")};
}

std::optional<Finding> CheckDrops(const ChannelFacts& channel) {
  if (!channel.snapshot.has_value()) return std::nullopt;
  const ChannelSnapshot& snapshot = *channel.snapshot;
  if (snapshot.account.kernel_drops == 0) {
    return Finding{FindingCode::kKernelDrops,
                   Severity::kOk,
                   net::StrCat("the kernel has dropped nothing of ", Describe(channel), " at the gateway's socket"),
                   "",
                   "",
                   ""};
  }
  return Finding{FindingCode::kKernelDrops,
                 Severity::kWarning,
                 net::StrCat("the kernel has dropped ", snapshot.account.kernel_drops, " datagrams of ",
                             Describe(channel), " at the gateway's socket; ", snapshot.account.read, " were read"),
                 "they arrived faster than the gateway read them, and the receive buffer was full",
                 "",
                 "raise net.core.rmem_max and socket_buffer_bytes, or give the gateway more processor time"};
}

std::optional<Finding> CheckPort(const ChannelFacts& channel) {
  if (channel.port == 0) return std::nullopt;
  if (channel.snapshot.has_value() && channel.snapshot->status.phase == fanout::ChannelPhase::kJoined) {
    return Finding{FindingCode::kPortSharing,
                   Severity::kOk,
                   net::StrCat("the gateway holds port ", channel.port, " for ", Describe(channel)),
                   "",
                   "",
                   ""};
  }
  if (channel.bind.ok()) {
    return Finding{FindingCode::kPortSharing,
                   Severity::kOk,
                   net::StrCat("port ", channel.port, " is free for ", Describe(channel)),
                   "",
                   "",
                   ""};
  }
  if (net::ReasonOf(channel.bind) != net::Reason::kPortInUse) return std::nullopt;
  return Finding{FindingCode::kPortSharing,
                 Severity::kError,
                 std::string(net::ToStd(channel.bind.message())),
                 "a join of the channel is refused with PORT_IN_USE",
                 "",
                 net::StrCat("stop that process, or have it share the port (SO_REUSEADDR); `ss -ulpn sport = :",
                             channel.port, "` shows it")};
}

std::optional<Finding> CheckLastDatagram(const ChannelFacts& channel, const HostFacts& host) {
  if (!channel.snapshot.has_value()) return std::nullopt;
  const ChannelSnapshot& snapshot = *channel.snapshot;
  const std::string what = Describe(channel);
  const std::string remedy = net::StrCat(
      "look with: tcpdump -c 5 -ni ", ShellWord(channel.interface_name), " 'udp and dst host ",
      channel.group.ToString(), " and dst port ", channel.port,
      "'; if that shows datagrams, a firewall's INPUT rule of this host drops them (nft list ruleset); if not, they do "
      "not reach this host: look at the sender, its interface and hop limit, and the switches and routers between");
  if (snapshot.last_datagram_unix_ns == 0) {
    return Finding{FindingCode::kLastDatagram,
                   Severity::kInfo,
                   net::StrCat("nothing has arrived for ", what, " since the gateway first joined it ",
                               Ago(snapshot.created_unix_ns, host.now_unix_ns)),
                   "if all other checks pass, datagrams are lost before the gateway's socket",
                   "",
                   remedy};
  }
  const std::string seen =
      net::StrCat("the last datagram of ", what, " arrived ", Ago(snapshot.last_datagram_unix_ns, host.now_unix_ns),
                  " from ", snapshot.last_source, "; ", snapshot.account.logged, " in all");
  if (host.now_unix_ns - snapshot.last_datagram_unix_ns < kQuietNs) {
    return Finding{FindingCode::kLastDatagram, Severity::kOk, seen, "", "", ""};
  }
  return Finding{FindingCode::kLastDatagram,
                 Severity::kInfo,
                 seen,
                 "the sender may have stopped, or the path changed",
                 "",
                 remedy};
}

std::optional<Finding> CheckHopLimit(const ChannelFacts& channel) {
  if (!channel.snapshot.has_value() || channel.snapshot->last_datagram_unix_ns == 0) return std::nullopt;
  const int hop_limit = channel.snapshot->last_hop_limit;
  const std::string seen =
      net::StrCat("the last datagram of ", Describe(channel), " arrived with hop limit ", hop_limit);
  if (hop_limit > 1) return Finding{FindingCode::kHopLimit, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kHopLimit,
                 Severity::kInfo,
                 seen,
                 "no router forwards it further: receivers behind another router get nothing",
                 "",
                 "have the sender use a greater hop limit (for `mcgw pub`: --ttl)"};
}

}  // namespace mcgw::gateway
