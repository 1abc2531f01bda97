// Checks for drops on this host before any socket: device, reverse path, fragments and checksums.

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

// The growth of a counter since the gateway's start. A counter that is smaller than before was reset to 0.
uint64_t Since(const std::optional<uint64_t>& before, uint64_t now) {
  return now >= before.value_or(0) ? now - before.value_or(0) : now;
}

// "5 of IPv4, 0 of IPv6" for the families that the host has, and their sum.
struct ByFamily {
  std::string text;
  uint64_t sum = 0;
  bool known = true;
};
ByFamily Add(const std::optional<uint64_t> (&before)[2], const std::optional<uint64_t> (&now)[2], bool has_ipv6) {
  ByFamily result;
  for (const net::Family family : {net::Family::kIpv4, net::Family::kIpv6}) {
    const auto at = static_cast<int>(family);
    if (family == net::Family::kIpv6 && !has_ipv6) continue;
    if (!now[at].has_value()) {
      result.known = false;
      continue;
    }
    const uint64_t since = Since(before[at], *now[at]);
    result.sum += since;
    absl::StrAppend(&result.text, result.text.empty() ? "" : ", ", since, " of ", net::ToAbsl(net::FamilyName(family)));
  }
  return result;
}

Finding NotReadable(FindingCode code, std::string_view what, std::string why, std::string command) {
  return {code,           Severity::kUnknown, net::StrCat("how many ", what, " cannot be read"),
          std::move(why), std::move(command), ""};
}

}  // namespace

std::optional<Finding> CheckReversePathDrops(const HostFacts& host) {
  const std::string why = "it silently drops packets from a source that the host has no fitting route to";
  if (!host.counters.reverse_path_drops.has_value()) {
    return NotReadable(FindingCode::kReversePath, "packets rp_filter has dropped", why,
                       "nstat -az TcpExtIPReversePathFilter");
  }
  const uint64_t drops = Since(host.counters_before.reverse_path_drops, *host.counters.reverse_path_drops);
  const std::string seen =
      absl::StrCat("rp_filter has dropped ", drops, " packets on all interfaces together since the gateway's start");
  if (drops == 0) return Finding{FindingCode::kReversePath, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kReversePath,
                 Severity::kWarning,
                 seen,
                 why,
                 "",
                 "if the number grows while a sender sends, name the sender: mcgw doctor SOURCE@GROUP:PORT%INTERFACE"};
}

std::optional<Finding> CheckReassembly(const HostFacts& host) {
  const std::string why =
      "a datagram larger than the MTU travels in fragments; if one is lost, the whole datagram is, before any socket";
  const ByFamily failures =
      Add(host.counters_before.reassembly_failures, host.counters.reassembly_failures, host.settings.has_ipv6);
  if (!failures.known && failures.sum == 0) {
    return NotReadable(FindingCode::kReassembly, "datagrams could not be reassembled from fragments", why,
                       "nstat -az IpReasmFails Ip6ReasmFails");
  }
  const std::string seen =
      absl::StrCat("datagrams that could not be reassembled from fragments since the gateway's start: ", failures.text);
  if (failures.sum == 0) return Finding{FindingCode::kReassembly, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kReassembly,
                 Severity::kWarning,
                 seen,
                 why,
                 "",
                 "have the sender keep datagrams within the smallest MTU of the path (payloads of at most 1472 bytes "
                 "over IPv4 and 1452 over IPv6 if it is 1500), or find where fragments are lost; if they arrive faster "
                 "than they are reassembled, raise net.ipv4.ipfrag_high_thresh and net.ipv6.ip6frag_high_thresh"};
}

std::optional<Finding> CheckChecksums(const HostFacts& host) {
  const std::string why = "the kernel drops them silently";
  ByFamily errors =
      Add(host.counters_before.udp_checksum_errors, host.counters.udp_checksum_errors, host.settings.has_ipv6);
  if (host.counters.ipv4_header_checksum_errors.has_value()) {
    const uint64_t headers =
        Since(host.counters_before.ipv4_header_checksum_errors, *host.counters.ipv4_header_checksum_errors);
    errors.sum += headers;
    absl::StrAppend(&errors.text, ", ", headers, " in an IPv4 header");
  }
  if (!errors.known && errors.sum == 0) {
    return NotReadable(FindingCode::kChecksums, "datagrams had a wrong checksum", why,
                       "nstat -az UdpInCsumErrors Udp6InCsumErrors IpExtInCsumErrors");
  }
  const std::string seen = absl::StrCat("datagrams with a wrong UDP checksum since the gateway's start: ", errors.text);
  if (errors.sum == 0) return Finding{FindingCode::kChecksums, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kChecksums,
                 Severity::kWarning,
                 seen,
                 why,
                 "",
                 "look at the sender: `tcpdump -vv -ni INTERFACE udp` shows each with \"bad udp cksum\"; its "
                 "device may fail to compute offloaded checksums, or a device on the path may damage frames"};
}

std::optional<Finding> CheckDevice(const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  if (facts.interface.loopback || !facts.device.has_value()) return std::nullopt;
  const net::DeviceCounters& device = *facts.device;
  std::vector<std::string> causes;
  const auto add = [&](uint64_t count, std::string_view cause) {
    if (count > 0) causes.push_back(net::StrCat(count, " ", cause));
  };
  add(device.length_errors, "for their length");
  add(device.overruns, "for lack of buffer space");
  add(device.damaged, "as damaged");
  const bool is_fault = !causes.empty();
  add(device.dropped_packets, "without giving a reason");
  if (causes.empty()) {
    return Finding{FindingCode::kDeviceDrops,
                   Severity::kOk,
                   net::StrCat(name, " has dropped no received frame since the gateway's start"),
                   "",
                   "",
                   ""};
  }
  const std::string too_long = net::StrCat("a frame longer than the MTU of ", name, " (", facts.interface.mtu_bytes,
                                           " bytes) is dropped, so the whole link needs one MTU");
  return Finding{
      FindingCode::kDeviceDrops,
      is_fault ? Severity::kWarning : Severity::kInfo,
      net::StrCat(name, " has dropped received frames since the gateway's start: ", absl::StrJoin(causes, ", ")),
      is_fault ? "their datagrams reached no socket"
               : "their datagrams reached no socket; frames of protocols that this host does not receive count too",
      "",
      net::StrCat(too_long, "; `ethtool -S ", ShellWord(name), "` may show more, and `ethtool -g ", ShellWord(name),
                  "` shows the device's buffer sizes")};
}

}  // namespace mcgw::gateway
