// The datagrams of ping and pong, and the search.

#include <string>
#include <vector>

#include "client/cli/ring_message.h"
#include "client/cli/ring_search.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mcgw::cli {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kNonce = 0x0102030405060708;
constexpr int64_t kMsNs = 1'000'000;

RingMessage Probe() { return {.ring = 8, .nonce = kNonce, .sequence = 0x0a0b}; }
RingMessage Answer() {
  return {.type = RingMessage::Type::kAnswer,
          .ring = 8,
          .hop_limit_seen = 5,
          .nonce = kNonce,
          .sequence = 0x0a0b,
          .responder = 0x1112131415161718};
}

TEST(RingMessage, HasTheDocumentedBytes) {
  EXPECT_EQ(
      EncodeRingMessage(Answer()),
      std::string(
          "mcgw\x01\x02\x08\x05\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x00\x00\x11\x12\x13\x14\x15\x16\x17\x18", 28));
  EXPECT_EQ(
      EncodeRingMessage(Probe()),
      std::string(
          "mcgw\x01\x01\x08\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 28));
}

TEST(RingMessage, ComesBackAsItWent) {
  for (const RingMessage& message :
       {Probe(), Answer(), RingMessage{}, RingMessage{.ring = 255, .nonce = UINT64_MAX, .sequence = UINT16_MAX},
        RingMessage{.type = RingMessage::Type::kAnswer,
        .ring = 255,
        .hop_limit_seen = 255,
        .nonce = 0,
        .sequence = 0,
        .responder = UINT64_MAX}}) {
    EXPECT_EQ(DecodeRingMessage(EncodeRingMessage(message)), message);
  }
}

TEST(RingMessage, EveryOtherLengthIsForeign) {
  const std::string whole = EncodeRingMessage(Answer());
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(DecodeRingMessage(whole.substr(0, size))) << size;
  EXPECT_FALSE(DecodeRingMessage(whole + '\0'));
  EXPECT_FALSE(DecodeRingMessage(whole + whole));
}

TEST(RingMessage, ForeignBytesAreRefused) {
  const auto with = [](RingMessage message, size_t offset, char byte) {
    std::string bytes = EncodeRingMessage(message);
    bytes[offset] = byte;
    return DecodeRingMessage(bytes);
  };
  for (size_t offset = 0; offset < 4; ++offset) EXPECT_FALSE(with(Answer(), offset, 'x')) << "magic " << offset;
  for (const char version : {'\0', '\2', '\xff'}) EXPECT_FALSE(with(Answer(), 4, version)) << "version";
  for (const char type : {'\0', '\3', '\xff'}) EXPECT_FALSE(with(Answer(), 5, type)) << "type";
  EXPECT_FALSE(with(Answer(), 18, '\1')) << "reserved";
  EXPECT_FALSE(with(Answer(), 19, '\1')) << "reserved";
  EXPECT_FALSE(with(Answer(), 7, '\x09')) << "more hops seen than sent";
  EXPECT_FALSE(with(Probe(), 7, '\1')) << "a probe that was seen";
  EXPECT_FALSE(with(Probe(), 27, '\1')) << "a probe with a responder";
  RingMessage nobody = Answer();
  nobody.responder = 0;
  EXPECT_FALSE(DecodeRingMessage(EncodeRingMessage(nobody)));
}

TEST(Rings, DoubleUpToTheLast) {
  EXPECT_THAT(RingsBetween(1, 32), ElementsAre(1, 2, 4, 8, 16, 32));
  EXPECT_THAT(RingsBetween(0, 32), ElementsAre(0, 1, 2, 4, 8, 16, 32));
  EXPECT_THAT(RingsBetween(1, 255), ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 255));
  EXPECT_THAT(RingsBetween(1, 33), ElementsAre(1, 2, 4, 8, 16, 32, 33));
  EXPECT_THAT(RingsBetween(3, 10), ElementsAre(3, 4, 8, 10));
  EXPECT_THAT(RingsBetween(1, 1), ElementsAre(1));
  EXPECT_THAT(RingsBetween(0, 0), ElementsAre(0));
  EXPECT_THAT(RingsBetween(0, 1), ElementsAre(0, 1));
  EXPECT_THAT(RingsBetween(255, 255), ElementsAre(255));
}

TEST(Rings, AscendFromFirstToLastForEveryPair) {
  for (int first = 0; first <= 255; ++first) {
    for (int last = first; last <= 255; ++last) {
      const std::vector<uint8_t> rings = RingsBetween(static_cast<uint8_t>(first), static_cast<uint8_t>(last));
      ASSERT_EQ(rings.front(), first);
      ASSERT_EQ(rings.back(), last);
      for (size_t i = 1; i < rings.size(); ++i) ASSERT_LT(rings[i - 1], rings[i]);
    }
  }
}

class RingSearchTest : public ::testing::Test {
 protected:
  // The answer of one pong to a probe that arrived with so many hops left.
  static std::string AnswerTo(const std::string& probe, uint8_t hop_limit_seen, uint64_t responder) {
    RingMessage answer = *DecodeRingMessage(probe);
    answer.type = RingMessage::Type::kAnswer;
    answer.hop_limit_seen = hop_limit_seen;
    answer.responder = responder;
    return EncodeRingMessage(answer);
  }

  RingSearch search_{kNonce};
};

TEST_F(RingSearchTest, AnAnswerTellsRingRoundTripAndRouters) {
  search_.Probe(1, 0);
  const std::string probe = search_.Probe(4, 10 * kMsNs);
  const auto answer = search_.Take(AnswerTo(probe, 2, 7), 13 * kMsNs);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->ring, 4);
  EXPECT_EQ(answer->sequence, 1);
  EXPECT_EQ(answer->routers, 2);
  EXPECT_EQ(answer->responder, 7u);
  EXPECT_EQ(answer->round_trip_ns, 3 * kMsNs);
  EXPECT_EQ(search_.probes(), 2u);
  EXPECT_EQ(search_.responders(), 1u);
}

TEST_F(RingSearchTest, ALateAnswerBelongsToTheRingOfItsProbe) {
  const std::string first = search_.Probe(1, 0);
  const std::string second = search_.Probe(2, 1000 * kMsNs);
  EXPECT_EQ(search_.Take(AnswerTo(second, 2, 7), 1001 * kMsNs)->ring, 2);
  const auto late = search_.Take(AnswerTo(first, 1, 8), 1002 * kMsNs);
  EXPECT_EQ(late->ring, 1);
  EXPECT_EQ(late->round_trip_ns, 1002 * kMsNs);
  EXPECT_EQ(search_.nearest()->responder, 8u);
}

TEST_F(RingSearchTest, TheNearestIsTheSmallestRingThenTheFastest) {
  EXPECT_FALSE(search_.nearest().has_value());
  const std::string probe = search_.Probe(2, 0);
  const std::string again = search_.Probe(2, 10 * kMsNs);
  search_.Take(AnswerTo(probe, 2, 7), 5 * kMsNs);
  search_.Take(AnswerTo(again, 2, 8), 11 * kMsNs);
  search_.Take(AnswerTo(search_.Probe(4, 20 * kMsNs), 4, 9), 20 * kMsNs + 1);
  EXPECT_EQ(search_.nearest()->responder, 8u);
  EXPECT_EQ(search_.responders(), 3u);
}

TEST_F(RingSearchTest, OneAnswerOfEachResponderToEachProbeCounts) {
  const std::string probe = search_.Probe(1, 0);
  EXPECT_TRUE(search_.Take(AnswerTo(probe, 1, 7), 1).has_value());
  EXPECT_FALSE(search_.Take(AnswerTo(probe, 1, 7), 2).has_value());
  EXPECT_EQ(search_.duplicates(), 1u);
  EXPECT_TRUE(search_.Take(AnswerTo(probe, 1, 8), 3).has_value());
  EXPECT_TRUE(search_.Take(AnswerTo(search_.Probe(1, 4), 1, 7), 5).has_value());
  EXPECT_EQ(search_.responders(), 2u);
}

TEST_F(RingSearchTest, ItsOwnProbesAreNoAnswers) {
  const std::string probe = search_.Probe(1, 0);
  EXPECT_FALSE(search_.Take(probe, 1).has_value());
  EXPECT_EQ(search_.foreign() + search_.others() + search_.duplicates(), 0u);
  EXPECT_FALSE(search_.nearest().has_value());
}

TEST_F(RingSearchTest, OtherSearchesAndForeignDatagramsAreCounted) {
  RingSearch other(kNonce + 1);
  const std::string their_probe = other.Probe(1, 0);
  EXPECT_FALSE(search_.Take(their_probe, 1).has_value());
  EXPECT_FALSE(search_.Take(AnswerTo(their_probe, 1, 7), 1).has_value());
  EXPECT_EQ(search_.others(), 2u);
  EXPECT_FALSE(search_.Take("hello", 1).has_value());
  EXPECT_FALSE(search_.Take("", 1).has_value());
  EXPECT_EQ(search_.foreign(), 2u);
}

TEST_F(RingSearchTest, AnAnswerToAProbeThatWasNotSentIsForeign) {
  const std::string probe = search_.Probe(4, 0);
  RingMessage answer = *DecodeRingMessage(AnswerTo(probe, 4, 7));
  answer.sequence = 1;
  EXPECT_FALSE(search_.Take(EncodeRingMessage(answer), 1).has_value());
  answer.sequence = 0;
  answer.ring = 8;
  EXPECT_FALSE(search_.Take(EncodeRingMessage(answer), 1).has_value());
  EXPECT_EQ(search_.foreign(), 2u);
  EXPECT_EQ(search_.responders(), 0u);
}

TEST(AnswerBudget, BoundsBurstsAndTheLongRun) {
  AnswerBudget budget(10);
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += budget.Take(0);
  EXPECT_EQ(taken, 10);
  EXPECT_FALSE(budget.Take(99 * kMsNs));
  EXPECT_TRUE(budget.Take(101 * kMsNs));
  EXPECT_FALSE(budget.Take(102 * kMsNs));
  // However long the pause, no more than one second's worth.
  taken = 0;
  for (int i = 0; i < 1000; ++i) taken += budget.Take(3'600'000 * kMsNs);
  EXPECT_EQ(taken, 10);
  // A second of a thousand probes: what a second allows.
  taken = 0;
  for (int i = 0; i <= 1000; ++i) taken += budget.Take(3'600'000 * kMsNs + i * kMsNs);
  EXPECT_EQ(taken, 10);
}

}  // namespace
}  // namespace mcgw::cli
