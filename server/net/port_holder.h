// Finds the process that holds a UDP port, as far as /proc shows it. For error messages only: it is slow and
// best-effort.

#ifndef MCGW_NET_PORT_HOLDER_H_
#define MCGW_NET_PORT_HOLDER_H_

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/net/address.h"

namespace mcgw::net {

namespace port_holder_internal {

struct UdpSocket {
  std::string inode;
  std::string uid;
};

// An address as /proc/net/udp writes it: 32-bit words in host byte order.
inline std::string HexWords(const IpAddress& address) {
  std::string hex;
  for (size_t at = 0; at < address.bytes().size(); at += sizeof(uint32_t)) {
    uint32_t word;
    std::memcpy(&word, address.bytes().data() + at, sizeof(word));
    absl::StrAppendFormat(&hex, "%08X", word);
  }
  return hex;
}

// Appends the sockets of one table that collide with a bind to address and port.
inline void AppendSockets(std::istream& lines, const IpAddress& address, uint16_t port, std::vector<UdpSocket>* found) {
  const std::string wanted_port = absl::StrFormat(":%04X", port);
  const std::string wanted = HexWords(address);
  std::string line;
  std::getline(lines, line);  // The heading.
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    if (!(fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode)) {
      continue;
    }
    const size_t colon = local.find(':');
    if (colon == local.npos || local.substr(colon) != wanted_port) continue;
    const std::string bound = local.substr(0, colon);
    const bool to_any = bound.find_first_not_of('0') == bound.npos;
    if (to_any || address.IsUnspecified() || bound == wanted) found->push_back({inode, uid});
  }
}

inline bool HoldsSocket(const std::filesystem::path& process, const std::string& inode) {
  const std::string wanted = absl::StrCat("socket:[", inode, "]");
  std::error_code error;
  for (std::filesystem::directory_iterator file(process / "fd", error), end; !error && file != end;
       file.increment(error)) {
    std::error_code unreadable;
    if (std::filesystem::read_symlink(file->path(), unreadable) == wanted) return true;
  }
  return false;
}

// "socat (pid 12)" for the process that has the socket open; empty if unknown. Prefers another process to this one,
// whose own sockets share ports.
inline std::string ProcessHolding(const std::vector<UdpSocket>& sockets) {
  std::string self;
  std::error_code error;
  for (std::filesystem::directory_iterator process("/proc", error), end; !error && process != end;
       process.increment(error)) {
    int pid = 0;
    if (!absl::SimpleAtoi(process->path().filename().string(), &pid)) continue;
    for (const UdpSocket& socket : sockets) {
      if (!HoldsSocket(process->path(), socket.inode)) continue;
      std::string name;
      std::getline(std::ifstream(process->path() / "comm"), name);
      const std::string holder = absl::StrCat(name, " (pid ", pid, ")");
      if (pid != getpid()) return holder;
      self = holder;
    }
  }
  return self;
}

}  // namespace port_holder_internal

// "socat (pid 12)", "a process of user id 1000 hidden from this process", or "an unknown process".
inline std::string DescribePortHolder(const IpAddress& address, uint16_t port) {
  std::vector<port_holder_internal::UdpSocket> sockets;
  // The tables of the thread's namespace, which can differ from the process's. An IPv6 socket can hold the port for
  // IPv4 too.
  for (const char* table : {"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"}) {
    std::ifstream lines(table);
    port_holder_internal::AppendSockets(lines, address, port, &sockets);
  }
  if (sockets.empty()) return "an unknown process";
  const std::string holder = port_holder_internal::ProcessHolding(sockets);
  if (!holder.empty()) return holder;
  return absl::StrCat("a process of user id ", sockets.front().uid, " hidden from this process");
}

}  // namespace mcgw::net

#endif  // MCGW_NET_PORT_HOLDER_H_
