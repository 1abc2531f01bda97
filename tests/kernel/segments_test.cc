// The edges of what the kernel takes as one message and cuts into datagrams (UDP_SEGMENT, udp(7)), on the real kernel:
// whatever the gateway makes one message of must arrive as what was given.

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/net/linux_send_batch.h"
#include "server/net/owned_fd.h"
#include "tests/kernel/send_fixture.h"

namespace mcgw::kernel {
namespace {

// `ethtool -K INTERFACE tx off`: older kernels then refuse to cut messages (EIO).
void SwitchChecksumOffloadOff(const std::string& interface) {
  ethtool_value off = {.cmd = ETHTOOL_STXCSUM, .data = 0};
  ifreq request = {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&off);
  const net::OwnedFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(ioctl(fd.get(), SIOCETHTOOL, &request), 0) << strerror(errno);
}

struct Stretch {
  size_t count;
  size_t bytes;
};

class SegmentsTest : public SendFixture {
 protected:
  void ExpectWhole(const std::vector<Stretch>& runs) {
    std::vector<std::string> payloads;
    for (const Stretch& run : runs) {
      for (size_t i = 0; i < run.count; ++i) {
        std::string payload = absl::StrCat(payloads.size());
        payload.resize(run.bytes, '.');
        payloads.push_back(payload);
      }
    }
    const auto there = JoinedThere();
    for (const bool loop : {false, true}) {
      std::vector<net::SendFailure> failures;
      EXPECT_EQ(Open(loop)->Send(OutgoingEach(payloads), &failures), payloads.size());
      EXPECT_TRUE(failures.empty());
      EXPECT_TRUE(PayloadsOf(there.get(), payloads.size()) == payloads);
    }
  }
  size_t most_bytes() const { return net::MaxSegmentBytes(cast().family); }
};

INSTANTIATE_TEST_SUITE_P(Families, SegmentsTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(SegmentsTest, AroundTheLargestNumberOfDatagrams) {
  for (const size_t count : {63, 64, 65, 127, 128, 129}) ExpectWhole({{count, 100}});
}

TEST_P(SegmentsTest, AroundTheLargestNumberOfBytes) {
  for (const size_t bytes : {1014, 1015, 1016, 1300}) ExpectWhole({{64, bytes}});
  ExpectWhole({{44, most_bytes()}, {1, 65'000 - 44 * 1472}, {45, most_bytes()}});
}

TEST_P(SegmentsTest, AroundTheLargestDatagramOfAFrame) {
  for (const size_t bytes : {most_bytes() - 1, most_bytes(), most_bytes() + 1}) ExpectWhole({{10, bytes}});
}

TEST_P(SegmentsTest, AroundTheLargestDatagramOfASmallerFrame) {
  Shell("ip link set a0 mtu 1280");
  const size_t fits = most_bytes() - (1500 - 1280);
  for (const size_t bytes : {fits - 1, fits, fits + 1}) ExpectWhole({{10, bytes}});
}

TEST_P(SegmentsTest, AShorterAndALongerLast) {
  ExpectWhole({{10, 100}, {1, 99}, {10, 100}, {1, 101}, {10, 1}, {1, 0}, {10, 1}});
}

TEST_P(SegmentsTest, WithoutChecksumOffload) {
  SwitchChecksumOffloadOff("a0");
  ExpectWhole({{64, 200}, {45, most_bytes()}, {3, 10}});
}

}  // namespace
}  // namespace mcgw::kernel
