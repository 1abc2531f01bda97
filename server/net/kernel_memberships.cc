#include "server/net/kernel_memberships.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "server/net/status.h"

namespace mcgw::net {
namespace {

// thread-self, because /proc/net shows the namespace of the process's first thread.
constexpr char kIgmp[] = "/proc/thread-self/net/igmp";
constexpr char kIgmp6[] = "/proc/thread-self/net/igmp6";

}  // namespace

void ParseIgmp(const std::string& text, KernelMemberships* out) {
  // "2\ta0        :     2      V3", then, indented, "\t\t\t\t010101EF     1 0:00000000\t\t0": the group as an integer
  // in host byte order.
  std::istringstream lines(text);
  uint32_t index = 0;
  for (std::string line; std::getline(lines, line);) {
    unsigned int group = 0;
    unsigned int users = 0;
    unsigned int version = 0;
    if (line[0] != '\t') {
      if (std::sscanf(line.c_str(), "%u %*s : %*u V%u", &index, &version) == 2) out->igmp_version[index] = version;
    } else if (std::sscanf(line.c_str(), " %x %u", &group, &users) == 2) {
      in_addr address;
      address.s_addr = group;
      out->users[{index, IpAddress::FromV4(address)}] = users;
    }
  }
}

void ParseIgmp6(const std::string& text, KernelMemberships* out) {
  // "2    a0              ff020000000000000000000000000001     1 0000000C 0"
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    unsigned int index = 0;
    unsigned int users = 0;
    char hex[33] = {};
    if (std::sscanf(line.c_str(), "%u %*s %32[0-9a-fA-F] %u", &index, hex, &users) != 3 || std::strlen(hex) != 32) {
      continue;
    }
    in6_addr address;
    bool good = true;
    for (int i = 0; i < 16; ++i) {
      unsigned int byte = 0;
      good = good && std::sscanf(hex + 2 * i, "%2x", &byte) == 1;
      address.s6_addr[i] = static_cast<uint8_t>(byte);
    }
    if (good) out->users[{index, IpAddress::FromV6(address)}] = users;
  }
}

absl::StatusOr<KernelMemberships> ReadKernelMemberships() {
  KernelMemberships memberships;
  const auto read = [](const char* path, std::string* text) {
    std::ifstream file(path);
    std::ostringstream all;
    all << file.rdbuf();
    *text = all.str();
    return file.good() || file.eof();
  };
  std::string text;
  if (!read(kIgmp, &text)) return ErrnoStatus(ENOENT, kIgmp);
  ParseIgmp(text, &memberships);
  if (read(kIgmp6, &text)) ParseIgmp6(text, &memberships);
  return memberships;
}

}  // namespace mcgw::net
