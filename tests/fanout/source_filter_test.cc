#include "server/fanout/source_filter.h"

#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {
namespace {

using net::FilterMode;
using testing::Ip;
using testing::Ips;

SourceFilter Include(const std::vector<std::string_view>& sources) { return SourceFilter::Include(Ips(sources)); }
SourceFilter Exclude(const std::vector<std::string_view>& sources) { return SourceFilter::Exclude(Ips(sources)); }
SourceFilter Merge(const std::vector<SourceFilter>& filters) { return SourceFilter::Merge(filters); }

TEST(SourceFilter, AnySourceAllowsAll) {
  EXPECT_TRUE(SourceFilter().IsAnySource());
  EXPECT_FALSE(SourceFilter().IsEmpty());
  EXPECT_TRUE(SourceFilter().Allows(Ip("10.0.0.2")));
  EXPECT_TRUE(SourceFilter().Allows(Ip("fd00::2").bytes()));
  EXPECT_EQ(SourceFilter(), SourceFilter::AnySource());
}

TEST(SourceFilter, IncludeAllowsTheListedOnly) {
  const SourceFilter filter = Include({"10.0.0.2", "10.0.0.4"});
  for (const auto& [source, allowed] : std::vector<std::pair<const char*, bool>>{
           {"10.0.0.1", false}, {"10.0.0.2", true}, {"10.0.0.3", false}, {"10.0.0.4", true}, {"10.0.0.5", false}}) {
    EXPECT_EQ(filter.Allows(Ip(source)), allowed) << source;
    EXPECT_EQ(filter.Allows(Ip(source).bytes()), allowed) << source;
  }
  EXPECT_FALSE(filter.IsAnySource());
  EXPECT_TRUE(Include({}).IsEmpty());
  EXPECT_FALSE(Include({}).Allows(Ip("10.0.0.2")));
}

TEST(SourceFilter, ExcludeAllowsAllButTheListed) {
  const SourceFilter filter = Exclude({"10.0.0.2"});
  EXPECT_FALSE(filter.Allows(Ip("10.0.0.2")));
  EXPECT_TRUE(filter.Allows(Ip("10.0.0.3")));
  EXPECT_FALSE(filter.IsAnySource());
  EXPECT_FALSE(filter.IsEmpty());
}

TEST(SourceFilter, OrderAndRepetitionDoNotMatter) {
  EXPECT_EQ(Include({"10.0.0.3", "10.0.0.2", "10.0.0.3"}), Include({"10.0.0.2", "10.0.0.3"}));
  EXPECT_NE(Include({"10.0.0.2"}), Exclude({"10.0.0.2"}));
}

TEST(SourceFilter, ComparesBytesAboveSevenBitsRightly) {
  const SourceFilter filter = Include({"9.0.0.1", "127.0.0.1", "128.0.0.1", "200.0.0.255", "fe80::ff", "fd00::80"});
  for (const net::IpAddress& source : filter.sources()) EXPECT_TRUE(filter.Allows(source)) << source.ToString();
  const SourceFilter v6 = Include({"fd00::7f", "fd00::80", "fe80::ff"});
  for (const net::IpAddress& source : v6.sources()) EXPECT_TRUE(v6.Allows(source.bytes())) << source.ToString();
  EXPECT_FALSE(v6.Allows(Ip("fd00::81").bytes()));
  const SourceFilter v4 = Include({"9.0.0.1", "127.0.0.1", "128.0.0.1", "200.0.0.255"});
  for (const net::IpAddress& source : v4.sources()) EXPECT_TRUE(v4.Allows(source.bytes())) << source.ToString();
}

TEST(SourceFilter, SaysWhatItMeans) {
  EXPECT_EQ(SourceFilter().ToString(), "any source");
  EXPECT_EQ(Include({"10.0.0.3", "10.0.0.2"}).ToString(), "from 10.0.0.2, 10.0.0.3");
  EXPECT_EQ(Exclude({"10.0.0.9"}).ToString(), "but 10.0.0.9");
}

TEST(SourceFilter, SaysBrieflyHowManyThereAre) {
  EXPECT_EQ(SourceFilter().ToShortString(), "any source");
  EXPECT_EQ(Exclude({"10.0.0.9"}).ToShortString(), "but 10.0.0.9");
  EXPECT_EQ(Include({"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}).ToShortString(),
            "from 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 2 more");
}

TEST(SourceFilter, EqualOnesKeepTheirSourcesOnce) {
  const SourceFilter one = Include({"10.0.0.2", "10.0.0.3"});
  const SourceFilter other = Include({"10.0.0.3", "10.0.0.2"});
  EXPECT_EQ(&one.sources(), &other.sources());
  EXPECT_EQ(&Merge({one, other}).sources(), &one.sources());
  EXPECT_NE(&one.sources(), &Exclude({"10.0.0.2", "10.0.0.3"}).sources());
}

TEST(SourceFilter, EqualOnesComeAndGoOnManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int round = 0; round < 2000; ++round) {
        const SourceFilter filter = Include({"10.0.0.2", round % 2 == 0 ? "10.0.0.3" : "10.0.0.4"});
        ASSERT_EQ(filter, Include({"10.0.0.2", round % 2 == 0 ? "10.0.0.3" : "10.0.0.4"})) << i;
        ASSERT_EQ(filter.sources().size(), 2u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// ---- Merging (RFC 3376, 3.2) ----

TEST(SourceFilterMerge, OfNoneIsNothing) { EXPECT_TRUE(Merge({}).IsEmpty()); }

TEST(SourceFilterMerge, OfOneIsItself) {
  for (const SourceFilter& filter : {SourceFilter(), Include({"10.0.0.2"}), Exclude({"10.0.0.2"})}) {
    EXPECT_EQ(Merge({filter}), filter);
  }
}

TEST(SourceFilterMerge, OfIncludesIsTheirUnion) {
  EXPECT_EQ(Merge({Include({"10.0.0.2"}), Include({"10.0.0.3", "10.0.0.2"})}), Include({"10.0.0.2", "10.0.0.3"}));
}

TEST(SourceFilterMerge, OfExcludesIsWhatAllBlock) {
  EXPECT_EQ(Merge({Exclude({"10.0.0.2", "10.0.0.3"}), Exclude({"10.0.0.3", "10.0.0.4"})}), Exclude({"10.0.0.3"}));
}

TEST(SourceFilterMerge, AnIncludeOpensAnExclude) {
  EXPECT_EQ(Merge({Exclude({"10.0.0.2", "10.0.0.3"}), Include({"10.0.0.3", "10.0.0.9"})}), Exclude({"10.0.0.2"}));
}

TEST(SourceFilterMerge, WithAnySourceIsAnySource) {
  EXPECT_TRUE(Merge({Include({"10.0.0.2"}), Exclude({"10.0.0.3"}), SourceFilter()}).IsAnySource());
}

TEST(SourceFilterMerge, AllowsWhatAnyAllows) {
  std::mt19937 random(1);
  const auto chance = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  std::vector<net::IpAddress> all;
  for (int i = 1; i <= 8; ++i) all.push_back(Ip("10.0.0." + std::to_string(i)));
  for (int round = 0; round < 3000; ++round) {
    std::vector<SourceFilter> filters;
    for (int count = chance(5); count > 0; --count) {
      std::vector<net::IpAddress> sources;
      for (const net::IpAddress& source : all) {
        if (chance(3) == 0) sources.push_back(source);
      }
      filters.emplace_back(chance(2) == 0 ? FilterMode::kInclude : FilterMode::kExclude, sources);
    }
    const SourceFilter merged = Merge(filters);
    all.push_back(Ip("10.0.0.99"));  // One that no filter names.
    for (const net::IpAddress& source : all) {
      bool wanted = false;
      for (const SourceFilter& filter : filters) wanted |= filter.Allows(source);
      ASSERT_EQ(merged.Allows(source), wanted) << source.ToString() << " by " << merged.ToString();
      ASSERT_EQ(merged.Allows(source.bytes()), wanted);
    }
    all.pop_back();
  }
}

}  // namespace
}  // namespace mcgw::fanout
