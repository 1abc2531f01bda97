#include "server/net/kernel_memberships.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "server/net/owned_fd.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

// A file as a whole: a part of it would look as if the other memberships were gone.
absl::StatusOr<std::string> ReadAll(const std::string& path) {
  const OwnedFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, path);
  std::string text;
  char part[16'384];
  while (true) {
    const ssize_t got = read(file.get(), part, sizeof(part));
    if (got == 0) return text;
    if (got < 0 && errno != EINTR) return ErrnoStatus(errno, path);
    if (got > 0) text.append(part, static_cast<size_t>(got));
  }
}

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

absl::StatusOr<KernelMemberships> ReadKernelMembershipsIn(const std::string& directory) {
  KernelMemberships memberships;
  const absl::StatusOr<std::string> igmp = ReadAll(directory + "/igmp");
  if (!igmp.ok()) return igmp.status();
  ParseIgmp(*igmp, &memberships);
  const absl::StatusOr<std::string> igmp6 = ReadAll(directory + "/igmp6");
  if (igmp6.ok()) {
    ParseIgmp6(*igmp6, &memberships);
  } else if (ErrnoOf(igmp6.status()) != ENOENT) {  // Without IPv6 there is no such file.
    return igmp6.status();
  }
  return memberships;
}

// thread-self, because /proc/net shows the namespace of the process's first thread.
absl::StatusOr<KernelMemberships> ReadKernelMemberships() { return ReadKernelMembershipsIn("/proc/thread-self/net"); }

}  // namespace mcgw::net
