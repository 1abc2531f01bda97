#include "bench/account.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

namespace mcgw::bench {
namespace {

void Take(Account* account, uint64_t number, int64_t sent_ns = 0, int64_t now_ns = 0) {
  std::array<char, kStampBytes> payload;
  WriteStamp({.number = number, .sent_ns = sent_ns}, payload.data());
  account->Take(payload.data(), payload.size(), now_ns);
}

TEST(AccountTest, WhatComesBeforeTheFirstDatagramIsNotOwed) {
  Account account;
  Take(&account, 5);
  Take(&account, 6);
  account.End(6);
  EXPECT_EQ(account.missing(), 0U);
  EXPECT_EQ(account.deliveries(), 2U);
}

TEST(AccountTest, HolesAndTheMissingEndCount) {
  Account account;
  Take(&account, 1);
  Take(&account, 4);
  account.End(6);
  EXPECT_EQ(account.missing(), 4U);
  EXPECT_EQ(account.unannounced(), 4U);
}

TEST(AccountTest, RepeatedAndReorderedDatagramsCount) {
  Account account;
  Take(&account, 2);
  Take(&account, 2);
  Take(&account, 1);
  EXPECT_EQ(account.disordered(), 2U);
  EXPECT_EQ(account.deliveries(), 1U);
}

TEST(AccountTest, APayloadWithoutAStampIsAFault) {
  Account account;
  account.Take("short", 5, 0);
  EXPECT_EQ(account.disordered(), 1U);
}

TEST(AccountTest, TheWarmUpIsCheckedButNotCounted) {
  Account account;
  account.Measure(3, 10);
  Take(&account, 1, 0, 100);
  Take(&account, 2, 0, 100);
  Take(&account, 3, 50, 120);
  EXPECT_EQ(account.deliveries(), 1U);
  EXPECT_EQ(account.latencies_ns(), std::vector<uint32_t>{70});
}

TEST(AccountTest, AnnouncedLossesAreNotUnannounced) {
  Account account;
  account.StartSequence(11);
  account.TakeSequence(11);
  Take(&account, 1);
  account.TakeRange(12, 13);
  account.TakeSequence(14);
  Take(&account, 4);
  EXPECT_EQ(account.missing(), 2U);
  EXPECT_EQ(account.announced(), 2U);
  EXPECT_EQ(account.unannounced(), 0U);
}

TEST(AccountTest, AJumpOfTheGatewaysSequencesIsALossWithoutAWord) {
  Account account;
  account.StartSequence(1);
  account.TakeSequence(1);
  account.TakeSequence(5);
  EXPECT_EQ(account.unannounced(), 3U);
  account.TakeSequence(5);
  EXPECT_EQ(account.disordered(), 1U);
}

TEST(AccountTest, LatenciesCanBeLeftOut) {
  Account account;
  account.IgnoreLatency();
  Take(&account, 1, 0, 10);
  account.TakeAge(10);
  EXPECT_EQ(account.deliveries(), 1U);
  EXPECT_TRUE(account.latencies_ns().empty());
  EXPECT_TRUE(account.ages_ns().empty());
}

}  // namespace
}  // namespace mcgw::bench
