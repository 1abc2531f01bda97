#include "server/net/host_settings.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "absl/strings/numbers.h"
#include "server/net/owned_fd.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

// The setting for all interfaces overrides the interface's own.
std::optional<int64_t> ForcedVersion(std::string_view family, std::string_view interface_name,
                                     std::string_view setting) {
  const std::optional<int64_t> all = ReadSysctl(StrCat("net/", family, "/conf/all/", setting));
  if (all.value_or(0) != 0) return all;
  return ReadSysctl(StrCat("net/", family, "/conf/", interface_name, "/", setting));
}

std::optional<uint64_t> CountOpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return std::nullopt;
  // The iterator's own descriptor is among them, hence -1.
  return static_cast<uint64_t>(std::max<std::ptrdiff_t>(std::distance(begin(files), end(files)) - 1, 0));
}

bool HasIpv6() {
  const OwnedFd probe(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe.valid() || errno != EAFNOSUPPORT;
}

// thread-self, because /proc/net shows the namespace of the process's first thread.
std::string ReadNetFile(std::string_view name) {
  std::ostringstream text;
  text << std::ifstream(StrCat("/proc/thread-self/net/", name)).rdbuf();
  return text.str();
}

}  // namespace

std::optional<int64_t> ReadSysctl(std::string_view path) {
  std::ifstream file(StrCat("/proc/sys/", path));
  int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> CounterIn(const std::string& text, std::string_view protocol, std::string_view name) {
  std::istringstream lines(text);
  std::string names;
  std::string values;
  while (std::getline(lines, names) && std::getline(lines, values)) {
    std::istringstream name_words(names);
    std::istringstream value_words(values);
    std::string one_name;
    std::string one_value;
    name_words >> one_name;
    value_words >> one_value;
    if (one_name != StrCat(protocol, ":")) continue;
    while (name_words >> one_name && value_words >> one_value) {
      uint64_t count = 0;
      if (one_name == name && absl::SimpleAtoi(one_value, &count)) return count;
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> CounterIn(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  std::string one_name;
  uint64_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    if (words >> one_name >> count && one_name == name) return count;
  }
  return std::nullopt;
}

HostSettings ReadHostSettings() {
  HostSettings settings{.rmem_max = ReadSysctl("net/core/rmem_max"),
                        .optmem_max = ReadSysctl("net/core/optmem_max"),
                        .igmp_max_memberships = ReadSysctl("net/ipv4/igmp_max_memberships"),
                        .igmp_max_msf = ReadSysctl("net/ipv4/igmp_max_msf"),
                        .mld_max_msf = ReadSysctl("net/ipv6/mld_max_msf"),
                        .open_files = CountOpenFiles(),
                        .has_ipv6 = HasIpv6()};
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) settings.open_files_limit = limit.rlim_cur;
  return settings;
}

HostCounters ReadHostCounters() {
  const std::string netstat = ReadNetFile("netstat");
  const std::string snmp = ReadNetFile("snmp");
  const std::string snmp6 = ReadNetFile("snmp6");
  return {.reverse_path_drops = CounterIn(netstat, "TcpExt", "IPReversePathFilter"),
          .reassembly_failures = {CounterIn(snmp, "Ip", "ReasmFails"), CounterIn(snmp6, "Ip6ReasmFails")},
          .udp_checksum_errors = {CounterIn(snmp, "Udp", "InCsumErrors"), CounterIn(snmp6, "Udp6InCsumErrors")},
          .ipv4_header_checksum_errors = CounterIn(netstat, "IpExt", "InCsumErrors")};
}

int64_t InterfaceSettings::rp_filter() const { return std::max(rp_filter_all.value_or(0), rp_filter_own.value_or(0)); }

InterfaceSettings ReadInterfaceSettings(std::string_view interface_name) {
  return {.rp_filter_all = ReadSysctl("net/ipv4/conf/all/rp_filter"),
          .rp_filter_own = ReadSysctl(StrCat("net/ipv4/conf/", interface_name, "/rp_filter")),
          .disable_ipv6 = ReadSysctl(StrCat("net/ipv6/conf/", interface_name, "/disable_ipv6")),
          .force_igmp_version = ForcedVersion("ipv4", interface_name, "force_igmp_version"),
          .force_mld_version = ForcedVersion("ipv6", interface_name, "force_mld_version")};
}

}  // namespace mcgw::net
