// Which datagrams become one message that the kernel cuts, and which do not.

#include "server/net/linux_send_batch.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fakes.h"

namespace mcgw::net {
namespace {

const std::string& Bytes() {
  static const std::string bytes(65'535, 'x');
  return bytes;
}

class SendBatchTest : public ::testing::TestWithParam<Family> {
 protected:
  OutgoingDatagram Of(size_t size) const {
    OutgoingDatagram datagram;
    datagram.group = mcgw::testing::Ip(GetParam() == Family::kIpv4 ? "239.1.1.1" : "ff15::1");
    datagram.port = 5000;
    datagram.interface_index = 1;
    datagram.hop_limit = 1;
    datagram.payload = std::string_view(Bytes()).substr(0, size);
    return datagram;
  }
  // How many of the first go together.
  size_t Together(const std::vector<size_t>& sizes) const {
    std::vector<OutgoingDatagram> datagrams;
    for (const size_t size : sizes) datagrams.push_back(Of(size));
    return SegmentsInFront(datagrams);
  }
  size_t Together(size_t count, size_t size) const { return Together(std::vector<size_t>(count, size)); }
  size_t most_bytes() const { return MaxSegmentBytes(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Families, SendBatchTest, ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& tested) { return std::string(FamilyName(tested.param)); });

TEST_P(SendBatchTest, AtMost64DatagramsGoTogether) {
  EXPECT_EQ(Together(1, 100), 1u);
  EXPECT_EQ(Together(63, 100), 63u);
  EXPECT_EQ(Together(64, 100), 64u);
  EXPECT_EQ(Together(65, 100), 64u);
}

TEST_P(SendBatchTest, AtMostALargestDatagramsBytesGoTogether) {
  EXPECT_EQ(Together(50, 1300), 50u);
  EXPECT_EQ(Together(51, 1300), 50u);
  EXPECT_EQ(Together(64, 1015), 64u);
  EXPECT_EQ(Together(64, 1016), 63u);
}

TEST_P(SendBatchTest, WhatFillsAFrameGoesWithOthersAndWhatExceedsItAlone) {
  EXPECT_EQ(Together(3, most_bytes()), 3u);
  EXPECT_EQ(Together(3, most_bytes() + 1), 1u);
}

TEST_P(SendBatchTest, OnlyTheLastMayBeShorter) {
  EXPECT_EQ(Together({100, 100, 99, 100}), 3u);
  EXPECT_EQ(Together({100, 1, 1}), 2u);
  EXPECT_EQ(Together({100, 101}), 1u);
  EXPECT_EQ(Together({1, 1, 1}), 3u);
}

TEST_P(SendBatchTest, AnEmptyDatagramGoesAlone) {
  EXPECT_EQ(Together({0, 0}), 1u);
  EXPECT_EQ(Together({100, 0, 100}), 1u);
}

TEST_P(SendBatchTest, DatagramsThatDifferInMoreThanThePayloadGoApart) {
  const bool v4 = GetParam() == Family::kIpv4;
  std::vector<OutgoingDatagram> others(6, Of(100));
  others[0].group = mcgw::testing::Ip(v4 ? "239.1.1.2" : "ff15::2");
  others[1].port = 5001;
  others[2].interface_index = 2;
  others[3].source = mcgw::testing::Ip(v4 ? "10.0.0.1" : "fd00::1");
  others[4].hop_limit = 2;
  others[5].traffic_class = 0;
  for (const OutgoingDatagram& other : others) {
    EXPECT_EQ(SegmentsInFront(std::vector<OutgoingDatagram>{Of(100), other}), 1u);
    EXPECT_EQ(SegmentsInFront(std::vector<OutgoingDatagram>{other, other, Of(100)}), 2u);
  }
}

}  // namespace
}  // namespace mcgw::net
