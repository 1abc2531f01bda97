#include "server/fanout/merged_filter.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {
namespace {

using testing::Ips;

SourceFilter Include(const std::vector<std::string_view>& sources) { return SourceFilter::Include(Ips(sources)); }
SourceFilter Exclude(const std::vector<std::string_view>& sources) { return SourceFilter::Exclude(Ips(sources)); }

TEST(MergedFilter, OfNoneIsNothing) {
  MergedFilter merged;
  EXPECT_TRUE(merged.Get().IsEmpty());
  merged.Add(Include({"10.0.0.2"}));
  merged.Remove(Include({"10.0.0.2"}));
  EXPECT_TRUE(merged.Get().IsEmpty());
}

TEST(MergedFilter, AnAnySourceHidesTheOthersUntilItGoes) {
  MergedFilter merged;
  merged.Add(Include({"10.0.0.2"}));
  merged.Add(SourceFilter::AnySource());
  merged.Add(Include({"10.0.0.3"}));
  EXPECT_TRUE(merged.Get().IsAnySource());
  merged.Remove(SourceFilter::AnySource());
  EXPECT_EQ(merged.Get(), Include({"10.0.0.2", "10.0.0.3"}));
}

TEST(MergedFilter, EqualFiltersAreCountedAsWhole) {
  MergedFilter merged;
  for (int i = 0; i < 3; ++i) merged.Add(Exclude({"10.0.0.2"}));
  EXPECT_EQ(merged.Get(), Exclude({"10.0.0.2"}));
  merged.Add(Include({"10.0.0.2"}));
  EXPECT_TRUE(merged.Get().IsAnySource());
  merged.Remove(Include({"10.0.0.2"}));
  EXPECT_EQ(merged.Get(), Exclude({"10.0.0.2"}));
}

// ---- Against the plain merge ----

class MergedFilterPropertyTest : public ::testing::TestWithParam<int> {
 protected:
  size_t Random(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  // Few sources, so that filters meet; now and then of a kind that many share.
  SourceFilter RandomFilter(bool mostly_excludes) {
    if (Random(6) == 0) return SourceFilter::AnySource();
    if (Random(6) == 0) return Include({"10.0.0.1", "10.0.0.2"});
    std::vector<net::IpAddress> sources;
    for (size_t count = Random(5); count > 0; --count) {
      sources.push_back(testing::Ip("10.0.0." + std::to_string(1 + Random(6))));
    }
    const bool excludes = Random(4) == 0 ? !mostly_excludes : mostly_excludes;
    return excludes ? SourceFilter::Exclude(sources) : SourceFilter::Include(sources);
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
};

TEST_P(MergedFilterPropertyTest, IsWhatTheMergeOfAllIs) {
  MergedFilter merged;
  std::vector<SourceFilter> filters;
  for (int step = 0; step < 5000; ++step) {
    const bool grows = (step / 50) % 2 == 0;
    if (filters.empty() || Random(4) != (grows ? 0 : 1)) {
      filters.push_back(RandomFilter((step / 200) % 2 == 0));
      merged.Add(filters.back());
    } else {
      const size_t at = Random(filters.size());
      merged.Remove(filters[at]);
      filters.erase(filters.begin() + static_cast<ptrdiff_t>(at));
    }
    if (!grows) {
      while (filters.size() > 8 || (!filters.empty() && Random(3) != 0)) {
        const size_t at = Random(filters.size());
        merged.Remove(filters[at]);
        filters.erase(filters.begin() + static_cast<ptrdiff_t>(at));
      }
    }
    if (Random(3) == 0) continue;  // Several changes between two looks.
    const SourceFilter expected = SourceFilter::Merge(filters);
    ASSERT_EQ(merged.Get(), expected) << "step " << step << ": " << merged.Get().ToString() << ", not "
                                      << expected.ToString() << ", of " << filters.size();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MergedFilterPropertyTest, ::testing::Range(1, 9));

}  // namespace
}  // namespace mcgw::fanout
