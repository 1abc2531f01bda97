// Sockets that several groups share, and several sockets of one group, against the real kernel.

#include <net/if.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "tests/kernel/receive_fixture.h"

namespace mcgw::kernel {
namespace {

using net::Family;
using net::FilterMode;
using net::IpAddress;
using testing::ElementsAre;

class SharedSocketTest : public ReceiveFixture {
 protected:
  bool v4() const { return cast().family == Family::kIpv4; }
  IpAddress Group(int i) const { return Ip(absl::StrCat(v4() ? "239.7.0." : "ff15::7:", i + 1)); }
  std::unique_ptr<net::ReceiveSocket> OpenShared(const std::string& interface = "a0") {
    return Open(IpAddress::Unspecified(cast().family), interface);
  }
  std::unique_ptr<net::ReceiveSocket> Sharing(int count, const std::string& interface = "a0") {
    std::unique_ptr<net::ReceiveSocket> socket = OpenShared(interface);
    for (int i = 0; i < count; ++i) {
      const absl::Status status = socket->Join(Group(i), FilterMode::kExclude, {});
      EXPECT_TRUE(status.ok()) << status;
    }
    return socket;
  }
  // Another program's socket on the port of every address, with the kernel's default: it hears all groups of the host.
  net::OwnedFd Foreign(const IpAddress& group, const std::string& interface) {
    net::OwnedFd fd(socket(v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_storage name;
    const socklen_t length = net::ToSockaddr(IpAddress::Unspecified(cast().family), kPort, 0, &name);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
    group_req request = {};
    request.gr_interface = if_nametoindex(interface.c_str());
    net::ToSockaddr(group, 0, 0, &request.gr_group);
    EXPECT_EQ(setsockopt(fd.get(), v4() ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP, &request, sizeof(request)), 0);
    return fd;
  }
  static std::vector<std::string> Heard(const net::OwnedFd& fd) {
    std::vector<std::string> heard;
    char buffer[2048];
    for (ssize_t got = recv(fd.get(), buffer, sizeof(buffer), 0); got >= 0;
         got = recv(fd.get(), buffer, sizeof(buffer), 0)) {
      heard.emplace_back(buffer, static_cast<size_t>(got));
    }
    return heard;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, SharedSocketTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(SharedSocketTest, HearsItsTwentyGroupsAndSaysWhichEachWasSentTo) {
  const auto socket = Sharing(net::ReceiveSocket::kMostSharing);
  EXPECT_TRUE(socket->shared());
  for (int i = 0; i < 20; ++i) {
    net::OutgoingDatagram sent = Outgoing(Group(i), "x");
    sent.source = source(i % 3);
    sent.hop_limit = static_cast<uint8_t>(5 + i);
    sent.traffic_class = static_cast<uint8_t>(i * 4);
    SendOne(sent);
  }
  const std::vector<Copy> got = Receive(socket.get(), 20);
  ASSERT_EQ(got.size(), 20u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(got[i].datagram.destination, Group(i));
    EXPECT_EQ(got[i].datagram.source, source(i % 3));
    EXPECT_EQ(got[i].datagram.source_port, sender_->source_port());
    EXPECT_EQ(got[i].datagram.interface_index, if_nametoindex("a0"));
    EXPECT_EQ(got[i].datagram.hop_limit, 5 + i);
    EXPECT_EQ(got[i].datagram.traffic_class, i * 4);
    EXPECT_GT(got[i].datagram.receive_time_unix_ns, 0);
  }
}

TEST_P(SharedSocketTest, KeepsBoundariesFromNothingToTheLargestDatagram) {
  const auto socket = Sharing(2);
  const std::string largest(net::MaxPayloadBytes(cast().family), 'x');
  Send(Group(0), "");
  Send(Group(1), largest);  // In fragments, which arrive as one.
  Send(Group(0), "1");
  EXPECT_TRUE(PayloadsOf(socket.get(), 3) == (std::vector<std::string>{"", largest, "1"}));
  EXPECT_EQ(socket->mismatches(), 0u);
}

TEST_P(SharedSocketTest, EachGroupHasItsOwnFilter) {
  const auto socket = OpenShared();
  ASSERT_TRUE(socket->Join(Group(0), FilterMode::kInclude, {source(0)}).ok());
  ASSERT_TRUE(socket->Join(Group(1), FilterMode::kExclude, {source(0)}).ok());
  for (int i = 0; i < 3; ++i) {
    SendFrom(i, Group(0), absl::StrCat("first ", i));
    SendFrom(i, Group(1), absl::StrCat("second ", i));
  }
  EXPECT_THAT(PayloadsOf(socket.get(), 3), ElementsAre("first 0", "second 1", "second 2"));
  ASSERT_TRUE(socket->SetFilter(Group(0), FilterMode::kInclude, {source(0), source(2)}).ok());
  for (int i = 0; i < 3; ++i) SendFrom(i, Group(0), absl::StrCat("again ", i));
  EXPECT_THAT(PayloadsOf(socket.get(), 2), ElementsAre("again 0", "again 2"));
  EXPECT_TRUE(IsEmpty(socket.get()));
}

TEST_P(SharedSocketTest, LeavesOneGroupAndKeepsTheOthers) {
  const auto socket = Sharing(3);
  ASSERT_TRUE(socket->Leave(Group(1)).ok());
  EXPECT_EQ(GroupUsers("a0", Group(0)), 1);
  EXPECT_EQ(GroupUsers("a0", Group(1)), 0);
  for (int i = 0; i < 3; ++i) Send(Group(i), absl::StrCat(i));
  EXPECT_THAT(PayloadsOf(socket.get(), 2), ElementsAre("0", "2"));
  EXPECT_TRUE(IsEmpty(socket.get()));
  ASSERT_TRUE(socket->Join(Group(1), FilterMode::kExclude, {}).ok());
  Send(Group(1), "again");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("again"));
}

TEST_P(SharedSocketTest, HearsNothingOfForeignGroupsInterfacesAndUnicast) {
  peer_.AddLink("a1", "b1");
  const auto socket = Sharing(2);
  const auto elsewhere = Sharing(1, "a1");
  const net::OwnedFd other_group = Foreign(Group(7), "a0");
  const net::OwnedFd other_interface = Foreign(Group(1), "a1");
  Send(Group(7), "of a foreign group");
  Send(Group(1), "by another interface", "b1");
  Send(Group(0), "by the other interface", "b1");
  Send(Ip(cast().here), "unicast");
  Send(Group(0), "ours");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("ours"));
  EXPECT_THAT(PayloadsOf(elsewhere.get(), 1), ElementsAre("by the other interface"));
  EXPECT_TRUE(IsEmpty(socket.get()));
  EXPECT_TRUE(IsEmpty(elsewhere.get()));
  // The others hear all that the host takes in, as ever; unicast goes to one socket of a port.
  std::vector<std::string> heard = Heard(other_group);
  std::erase(heard, "unicast");
  EXPECT_THAT(heard, ElementsAre("of a foreign group", "by another interface", "by the other interface", "ours"));
  EXPECT_EQ(Heard(other_interface).size(), 4u);
}

TEST_P(SharedSocketTest, CountsUnicastThatComesToIt) {
  const auto socket = Sharing(1);
  Send(Ip(cast().here), "unicast");
  Send(Group(0), "ours");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("ours"));
  EXPECT_EQ(socket->mismatches(), 1u);
}

TEST_P(SharedSocketTest, CountsDropsThatNoGroupIsTold) {
  net::ReceiveSocketSpec spec = Spec(IpAddress::Unspecified(cast().family));
  spec.receive_buffer_bytes = 20'000;
  const auto socket = factory_->NewReceiveSocket(spec).value();
  ASSERT_TRUE(socket->Join(Group(0), FilterMode::kExclude, {}).ok());
  ASSERT_TRUE(socket->Join(Group(1), FilterMode::kExclude, {}).ok());
  const auto witness = Sharing(2);
  constexpr int kCount = 200;
  for (int i = 0; i < kCount; ++i) Send(Group(i % 2), "x");
  ASSERT_EQ(Receive(witness.get(), kCount).size(), static_cast<size_t>(kCount));
  const size_t read = ReceiveQueued(factory_.get(), socket.get()).size();
  EXPECT_LT(read, static_cast<size_t>(kCount));
  EXPECT_EQ(read + socket->Drops(), static_cast<size_t>(kCount));
}

TEST_P(SharedSocketTest, SiblingsOfASourceSpecificGroupBringEachSourceOnce) {
  const IpAddress group = Ip(cast().ssm_group);
  const auto first = Open(group);
  const auto second = Open(group);
  const auto shared = OpenShared();
  ASSERT_TRUE(first->Join(FilterMode::kInclude, {source(0)}).ok());
  ASSERT_TRUE(second->Join(FilterMode::kInclude, {source(1)}).ok());
  ASSERT_TRUE(shared->Join(group, FilterMode::kInclude, {source(2)}).ok());
  EXPECT_EQ(GroupUsers("a0", group), 3);
  const std::string largest(net::MaxPayloadBytes(cast().family), 'x');
  for (int i = 0; i < 3; ++i) {
    SendFrom(i, group, "");
    SendFrom(i, group, largest);
    SendFrom(i, group, absl::StrCat(i));
  }
  EXPECT_TRUE(PayloadsOf(first.get(), 3) == (std::vector<std::string>{"", largest, "0"}));
  EXPECT_TRUE(PayloadsOf(second.get(), 3) == (std::vector<std::string>{"", largest, "1"}));
  EXPECT_TRUE(PayloadsOf(shared.get(), 3) == (std::vector<std::string>{"", largest, "2"}));
  EXPECT_TRUE(IsEmpty(first.get()) && IsEmpty(second.get()) && IsEmpty(shared.get()));
  ASSERT_TRUE(first->Leave().ok());
  EXPECT_EQ(GroupUsers("a0", group), 2);
}

TEST_P(SharedSocketTest, SaysHowManySourcesTheKernelKeeps) {
  EXPECT_EQ(factory_->MostSources(cast().family), cast().max_sources);
  std::vector<IpAddress> sources;
  for (size_t i = 0; i <= cast().max_sources; ++i)
    sources.push_back(Ip(absl::StrCat(v4() ? "10.9.0." : "fd09::", i + 1)));
  const auto socket = Open(Ip(cast().ssm_group));
  EXPECT_TRUE(net::IsTooManySources(socket->Join(FilterMode::kInclude, sources)));
  sources.pop_back();
  EXPECT_TRUE(socket->Join(FilterMode::kInclude, sources).ok());
}

TEST_P(SharedSocketTest, SaysThatASocketTakesNoMoreGroups) {
  const auto socket = Sharing(20);
  const absl::Status status = socket->Join(Group(20), FilterMode::kExclude, {});
  EXPECT_EQ(status.ok(), !v4()) << "IPv6 has no such limit";
  if (v4()) {
    EXPECT_EQ(net::ReasonOf(status), net::Reason::kHostLimit);
  }
  EXPECT_FALSE(net::IsTooManySources(status));
  EXPECT_EQ(GroupUsers("a0", Group(20)), v4() ? 0 : 1);
}

TEST_P(SharedSocketTest, AChangeWithinItsModeLosesNothingThatStaysWanted) {
  const auto socket = Joined(group());
  const auto witness = Joined(group());
  const std::vector<IpAddress> lists[] = {{source(0)}, {source(0), source(1)}, {source(0), source(2)}};
  constexpr size_t kBurst = 100;
  for (const FilterMode mode : {FilterMode::kInclude, FilterMode::kExclude}) {
    const auto list = [&](size_t i) {
      return absl::MakeConstSpan(lists[i % 3]).subspan(mode == FilterMode::kExclude ? 1 : 0);
    };
    ASSERT_TRUE(socket->SetFilter(mode, list(0)).ok());
    std::atomic<bool> done{false};
    size_t changes = 0;
    std::thread control([&] {
      for (; !done; ++changes) EXPECT_TRUE(socket->SetFilter(mode, list(changes)).ok());
    });
    for (int burst = 0; burst < 10; ++burst) {
      for (size_t i = 0; i < kBurst; ++i) SendFrom(0, group(), "kept");
      EXPECT_EQ(Receive(witness.get(), kBurst).size(), kBurst);
      EXPECT_EQ(ReceiveQueued(factory_.get(), socket.get()).size(), kBurst);
    }
    done = true;
    control.join();
    EXPECT_GT(changes, 10u);
  }
}

}  // namespace
}  // namespace mcgw::kernel
