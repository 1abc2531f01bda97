// A kernel for tests: sockets whose descriptors are eventfds, so that the real event loop runs, and which tell what was
// asked of them.
//
// A socket belongs to the code under test, which closes it when it likes. What the test sees of it (FakeReceiver)
// outlives it. Everything here may be used by several threads.

#ifndef MCGW_TESTS_SUPPORT_FAKES_H_
#define MCGW_TESTS_SUPPORT_FAKES_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "server/net/address.h"
#include "server/net/datagram.h"
#include "server/net/interface_table.h"
#include "server/net/kernel_memberships.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"
#include "server/net/owned_fd.h"

namespace mcgw::testing {

net::IpAddress Ip(std::string_view text);
std::vector<net::IpAddress> Ips(const std::vector<std::string_view>& texts);

// "EXCLUDE{}", "INCLUDE{10.0.0.2, 10.0.0.3}".
std::string FilterText(net::FilterMode mode, absl::Span<const net::IpAddress> sources);

// Where a datagram of a test comes from. Its payload is copied when it is injected.
struct FakeDatagram {
  std::string payload;
  std::string source = "10.0.0.2";
  uint16_t source_port = 4000;
  int64_t receive_time_unix_ns = 1'700'000'000'000'000'000;
  uint8_t hop_limit = 1;
  uint8_t traffic_class = 0;
  bool foreign = false;  // Of another group: the socket must discard and count it.
  std::string group;     // Of a shared socket: the one that it is sent to.
};

// The kernel's side of one receive socket.
class FakeReceiver {
 public:
  explicit FakeReceiver(net::ReceiveSocketSpec the_spec);

  const net::ReceiveSocketSpec spec;

  // Queues a datagram; it carries the count of drops of this moment.
  void Inject(FakeDatagram datagram);
  // The buffer is full: `count` datagrams are lost here. The running count has 32 bits and wraps.
  void Drop(uint32_t count);
  // Runs once, just before the count of drops is next asked for: what the kernel does between two calls of the gateway.
  void BeforeDropsAreAsked(std::function<void()> happening);
  // As FakeKernel::LoseMemberships, of this socket.
  void LoseMembership();
  // The next read fails.
  void FailNextRead(absl::Status status);

  size_t queued() const;
  bool joined() const;
  bool closed() const;
  // What was asked, in order: "join EXCLUDE{}", "filter INCLUDE{10.0.0.2}", "leave", "close"; also what was refused. Of
  // a shared socket with the group: "join 239.1.1.1 EXCLUDE{}".
  std::vector<std::string> calls() const;
  // The filter in force: "EXCLUDE{}"; empty while not joined. Of a shared socket by group.
  std::string filter() const;
  std::string filter(const net::IpAddress& group) const;
  // The groups that are joined, with their filters.
  struct Filter {
    net::FilterMode mode = net::FilterMode::kExclude;
    std::vector<net::IpAddress> sources;
  };
  std::map<net::IpAddress, Filter> filters() const;
  std::thread::id closed_by() const;

 private:
  friend class FakeReceiveSocket;
  friend class FakeKernel;
  struct Queued {
    FakeDatagram datagram;
    uint32_t drops_so_far = 0;
  };

  const net::OwnedFd fd_;
  mutable net::Mutex mutex_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  uint32_t drops_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t reads_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t mismatches_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status read_failure_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> before_drops_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<net::IpAddress, Filter> filters_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread::id closed_by_ ABSL_GUARDED_BY(mutex_);
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
};

// A datagram that a send socket took.
struct FakeSent {
  net::OutgoingDatagram datagram;  // Without its payload, which is below.
  std::string payload;
  net::SendSocketSpec socket;  // With the port that it has.
};

// All sockets of a test.
class FakeKernel {
 public:
  // (interface index, group, port).
  using ChannelKey = std::tuple<uint32_t, std::string, uint16_t>;
  struct Attempt {
    net::ReceiveSocketSpec spec;
    std::string call;  // "socket", or as in FakeReceiver::calls.
    size_t sources = 0;
    net::IpAddress group = {};  // Of a shared socket, the one that it is about.
  };
  // What the kernel says to an attempt; OK lets it through.
  using Refusal = std::function<absl::Status(const Attempt&)>;

  void set_refusal(Refusal refusal);
  // More sources than this in a join or filter are ENOBUFS, as with net.ipv4.igmp_max_msf.
  void set_max_sources(size_t count);
  // More open receive sockets than this are EMFILE.
  void set_max_sockets(size_t count);
  // No epoll takes a receive socket any more.
  void set_unwatchable(bool unwatchable);
  void set_send_refusal(std::function<absl::Status(const net::OutgoingDatagram&)> refusal);
  void set_send_socket_status(absl::Status status);
  // A call takes so many datagrams at most.
  void set_most_in_a_send(size_t count);
  // The buffer of sockets is full of what is to leave by the interface, and takes no more for it.
  void set_full(uint32_t interface_index, bool full);

  // What the kernel has: the filter of each joined group of an open socket. Those of several sockets of a channel are
  // united; one that would bring a datagram twice is "DUPLICATES".
  std::map<ChannelKey, std::string> Memberships() const;
  // What /proc/net/igmp would say: the sockets of each group on each interface.
  net::KernelMemberships Users() const;
  // The interface has dropped its memberships; the sockets believe that they have them.
  void LoseMemberships(uint32_t interface_index);
  // Every receive socket ever made, in order.
  std::vector<std::shared_ptr<FakeReceiver>> receivers() const;
  // The newest of a group, its own or a shared one that holds it; null if there is none.
  std::shared_ptr<FakeReceiver> receiver(std::string_view group) const;
  std::vector<FakeSent> sent() const;
  size_t send_calls() const;
  // The send sockets that are open; each with the port that it has. A socket that asks for none gets the next free one
  // from kFirstPort on.
  std::vector<net::SendSocketSpec> send_sockets() const;
  static constexpr uint16_t kFirstPort = 40'000;
  // How many sockets hold a group for its own sake, and how often one has joined it: "239.1.1.1 on 2", with the source
  // of a source-specific group before it: "10.0.0.1@232.1.1.1 on 2".
  int HostMembers(std::string_view membership) const;
  int HostJoins(std::string_view membership) const;
  // The kernel forgets all these memberships, and its sockets do not know.
  void ForgetHostMemberships();

 private:
  friend class FakeSocketFactory;
  friend class FakeReceiveSocket;
  friend class FakeSendSocket;
  friend class FakeMembershipSocket;
  absl::Status Ask(const Attempt& attempt);

  mutable net::Mutex mutex_;
  Refusal refusal_ ABSL_GUARDED_BY(mutex_);
  size_t max_sources_ ABSL_GUARDED_BY(mutex_) = 10;
  size_t max_sockets_ ABSL_GUARDED_BY(mutex_) = 1'000'000;
  bool unwatchable_ ABSL_GUARDED_BY(mutex_) = false;
  size_t most_in_a_send_ ABSL_GUARDED_BY(mutex_) = SIZE_MAX;
  size_t open_sockets_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<absl::Status(const net::OutgoingDatagram&)> send_refusal_ ABSL_GUARDED_BY(mutex_);
  absl::Status send_socket_status_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> full_interfaces_ ABSL_GUARDED_BY(mutex_);
  std::set<int> send_room_ ABSL_GUARDED_BY(mutex_);  // Descriptors of send sockets.
  std::vector<std::shared_ptr<FakeReceiver>> receivers_ ABSL_GUARDED_BY(mutex_);
  std::vector<FakeSent> sent_ ABSL_GUARDED_BY(mutex_);
  size_t send_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<net::SendSocketSpec> send_sockets_ ABSL_GUARDED_BY(mutex_);
  uint16_t next_port_ ABSL_GUARDED_BY(mutex_) = kFirstPort;
  std::map<std::string, int, std::less<>> host_members_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int, std::less<>> host_joins_ ABSL_GUARDED_BY(mutex_);
};

class FakeSocketFactory : public net::SocketFactory {
 public:
  explicit FakeSocketFactory(std::shared_ptr<FakeKernel> kernel) : kernel_(std::move(kernel)) {}

  std::unique_ptr<net::ReceiveBatch> NewReceiveBatch() override;
  size_t MostSources(net::Family family) const override;
  absl::StatusOr<std::unique_ptr<net::ReceiveSocket>> NewReceiveSocket(const net::ReceiveSocketSpec& spec) override;
  absl::StatusOr<std::unique_ptr<net::SendSocket>> NewSendSocket(const net::SendSocketSpec& spec) override;
  absl::StatusOr<std::unique_ptr<net::MembershipSocket>> NewMembershipSocket(net::Family family) override;

 private:
  const std::shared_ptr<FakeKernel> kernel_;
};

// An interface that is up, with carrier and multicast. Addresses with their prefix: "10.0.0.1/24".
net::Interface FakeInterface(uint32_t index, std::string name, const std::vector<std::string_view>& addresses);
// lo (1), a0 (2: 10.0.0.1/24, fd00::1/64, fe80::1/64) and a1 (3: 10.0.1.1/24, fd01::1/64).
std::vector<net::Interface> FakeHostTable();

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_FAKES_H_
