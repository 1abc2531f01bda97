// Two hosts on one wire, for tests against the real kernel: this namespace and a second one. Run under
// tests/support/in_namespace, so that nothing of it is seen outside.

#ifndef MCGW_TESTS_KERNEL_KERNEL_NET_H_
#define MCGW_TESTS_KERNEL_KERNEL_NET_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/address.h"
#include "server/net/datagram.h"
#include "server/net/multicast_socket.h"
#include "server/net/owned_fd.h"

namespace mcgw::kernel {

// Runs a shell command; one that fails ends the test program.
void Shell(const std::string& command);
// What a command that succeeds prints; nothing where it fails.
std::string Output(const std::string& command);
bool Succeeds(const std::string& command);

net::IpAddress Ip(std::string_view text);

// A second host. Each link joins the two: `here` in this namespace, `there` in the other, with 10.N.0.1, fdNN::1 and
// fe80::N:1 here, and the same with 2 there (N counts the links from 0). Addresses are usable at once.
class Peer {
 public:
  Peer();  // With one link, a0 to b0.
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer();  // Takes its links with it.

  void AddLink(const std::string& here, const std::string& there);
  // Waits until both ends of a link carry traffic. The kernel puts a link in operation up to a second after its ends
  // came up, and what is sent before is lost.
  void WaitUntilUp(const std::string& here, const std::string& there) const;
  // Runs a function on a thread that lives in the other namespace; sockets made there stay there.
  void Do(const std::function<void()>& work) const;
  void Shell(const std::string& command) const;
  uint32_t IndexOf(const std::string& interface) const;

 private:
  std::vector<std::string> links_;  // Their ends here.
  net::OwnedFd namespace_;
};

// True when `fd` became readable within some seconds.
bool WaitReadable(int fd);

// A datagram with a payload of its own.
struct Copy {
  net::ReceivedDatagram datagram;  // Its payload is stale.
  std::string payload;
};

// Waits for and reads `count` datagrams; fewer where no more come for some seconds.
std::vector<Copy> Receive(net::SocketFactory* factory, net::ReceiveSocket* socket, size_t count);
// What is queued now.
std::vector<Copy> ReceiveQueued(net::SocketFactory* factory, net::ReceiveSocket* socket);
std::vector<std::string> Payloads(const std::vector<Copy>& copies);

// Holds the process to one processor: then datagrams that cross a veth pair arrive in the order they were sent,
// whatever socket they go to, and a later one that has come proves that an earlier one will not.
void StayOnOneProcessor();

// How many sockets of this host hold the group on an interface, as `ip maddr` says.
int GroupUsers(const std::string& interface, const net::IpAddress& group);

// How many sockets include and exclude a source of a group on any interface (/proc/net/mcfilter, mcfilter6).
struct SourceCounts {
  int include = 0;
  int exclude = 0;
  friend bool operator==(const SourceCounts&, const SourceCounts&) = default;
};
SourceCounts SourceUsers(const net::IpAddress& group, const net::IpAddress& source);

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_KERNEL_NET_H_
