#include "server/net/mld_version.h"

#include <fstream>
#include <sstream>

#include "server/net/text.h"

namespace mcgw::net {

MldCounters ParseMldCounters(const std::string& text) {
  MldCounters counters;
  std::istringstream words(text);
  std::string name;
  uint64_t count = 0;
  while (words >> name >> count) {
    if (name == "Icmp6InGroupMembQueries") counters.queries_received = count;
    if (name == "Icmp6OutGroupMembResponses") counters.v1_reports_sent = count;
    if (name == "Icmp6OutMLDv2Reports") counters.v2_reports_sent = count;
  }
  return counters;
}

std::optional<MldCounters> ReadMldCounters(std::string_view interface_name) {
  const std::ifstream file(StrCat("/proc/thread-self/net/dev_snmp6/", interface_name));
  if (!file.is_open()) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return ParseMldCounters(text.str());
}

uint32_t MldVersion(const std::optional<MldCounters>& counters, std::optional<int64_t> forced_version,
                    std::optional<bool> v1_query_heard) {
  if (!counters.has_value()) return 0;
  if (forced_version == 1 || forced_version == 2) return static_cast<uint32_t>(*forced_version);
  if (counters->queries_received == 0 || counters->v1_reports_sent == 0) return 2;
  if (v1_query_heard.has_value()) return *v1_query_heard ? 1 : 2;
  return 0;
}

}  // namespace mcgw::net
