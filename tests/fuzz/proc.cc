// Texts of /proc: a first line that says which file, and its text.

#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "server/net/host_settings.h"
#include "server/net/kernel_memberships.h"
#include "server/net/mld_version.h"
#include "server/net/port_holder.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw::net {

FUZZ_TARGET(proc) {
  fuzz::Input parts(input);
  const std::string_view file = parts.Line();
  const std::string text(parts.Rest());
  KernelMemberships memberships;
  if (file == "igmp") {
    ParseIgmp(text, &memberships);
    for (const auto& [key, users] : memberships.users) FUZZ_CHECK(key.second.is_v4());
  } else if (file == "igmp6") {
    ParseIgmp6(text, &memberships);
    for (const auto& [key, users] : memberships.users) FUZZ_CHECK(!key.second.is_v4());
  } else if (file == "netstat") {
    CounterIn(text, "TcpExt", "IPReversePathFilter");
    CounterIn(text, "IpExt", "InCsumErrors");
  } else if (file == "snmp6") {
    CounterIn(text, "Ip6ReasmFails");
  } else if (file == "dev_snmp6") {
    const MldCounters counters = ParseMldCounters(text);
    FUZZ_CHECK(MldVersion(counters, std::nullopt, std::nullopt) <= 2);
  } else if (file == "udp") {
    std::istringstream lines(text);
    std::vector<port_holder_internal::UdpSocket> sockets;
    port_holder_internal::AppendSockets(lines, *IpAddress::ParseIfAny("239.1.1.1"), 5000, &sockets);
    for (const auto& socket : sockets) FUZZ_CHECK(!socket.inode.empty() && !socket.uid.empty());
  }
}

}  // namespace mcgw::net
