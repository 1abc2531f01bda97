// Random joins and leaves of many holders against a plain set of requests: what the kernel has is always what they
// together ask for.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using testing::FakeKernel;

// Sources are numbers; a request is the set of those it wants.
constexpr int kSources = 5;
using SourceSet = std::set<int>;

class HoldersPropertyTest : public GatewayTest, public ::testing::WithParamInterface<int> {
 protected:
  struct Wish {
    MembershipRequest request;
    SourceSet wanted;  // Of the sources 0 to kSources - 1; kSources stands for all others.
  };
  using Wishes = std::map<MembershipKey, Wish>;
  struct Holder {
    std::string session;                   // Of a session,
    std::unique_ptr<Subscription> stream;  // or of a stream.
    Wishes wishes;
  };

  size_t Random(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  static net::IpAddress Source(int i) { return testing::Ip("10.0.0." + std::to_string(10 + i)); }

  Wish RandomWish() {
    const std::vector<std::string> selectors = {"a0", "a1", "10.0.0.1", "", "*"};
    const std::vector<std::string> groups = {"239.1.1.1", "239.1.1.2", "232.1.1.1"};
    const std::string& group = groups[Random(groups.size())];
    const bool include = group == "232.1.1.1" || Random(2) == 0;
    std::set<int> listed;
    for (size_t count = (include ? 1 : 0) + Random(3); count > 0; --count) {
      listed.insert(static_cast<int>(Random(kSources)));
    }
    std::vector<net::IpAddress> sources;
    SourceSet wanted;
    for (int i = 0; i <= kSources; ++i) {
      if (listed.contains(i)) sources.push_back(Source(i));
      if (listed.contains(i) == include) wanted.insert(i);
    }
    const SourceFilter filter = include ? SourceFilter::Include(sources) : SourceFilter::Exclude(sources);
    return {Request(selectors[Random(selectors.size())], group, filter), wanted};
  }

  static std::vector<uint32_t> Interfaces(const std::string& selector) {
    if (selector == "*") return {2, 3};
    return {selector == "a1" ? 3u : 2u};
  }

  static MembershipKey KeyOf(const MembershipRequest& request) {
    return {request.selector, request.group, request.port};
  }

  void Step() {
    if (holders_.empty() || Random(6) == 0) {
      Holder holder;
      if (Random(2) == 0) {
        const Wish wish = RandomWish();
        holder.session = Join("", wish.request).session_id;
        holder.wishes[KeyOf(wish.request)] = wish;
      } else {
        std::vector<MembershipRequest> requests;
        for (size_t count = 1 + Random(3); count > 0; --count) {
          const Wish wish = RandomWish();
          requests.push_back(wish.request);
          holder.wishes[KeyOf(wish.request)] = wish;  // The last one of a key counts.
        }
        holder.stream = Subscribe(requests);
      }
      holders_.push_back(std::move(holder));
      return;
    }
    const size_t at = Random(holders_.size());
    Holder& holder = holders_[at];
    if (holder.stream != nullptr || Random(5) == 0) {
      if (holder.stream == nullptr) {
        ASSERT_TRUE(gateway_->Leave(me_, holder.session, WholeSession()).ok());
      }
      holders_.erase(holders_.begin() + static_cast<ptrdiff_t>(at));
    } else if (!holder.wishes.empty() && Random(2) == 0) {
      const MembershipKey key =
          std::next(holder.wishes.begin(), static_cast<ptrdiff_t>(Random(holder.wishes.size())))->first;
      ASSERT_TRUE(gateway_->Leave(me_, holder.session, key).ok());
      holder.wishes.erase(key);
    } else {
      const Wish wish = RandomWish();
      Join(holder.session, wish.request);
      holder.wishes[KeyOf(wish.request)] = wish;
    }
  }

  // What all requests want of each channel.
  std::map<FakeKernel::ChannelKey, SourceSet> Wanted() const {
    std::map<FakeKernel::ChannelKey, SourceSet> wanted;
    for (const Holder& holder : holders_) {
      for (const auto& [key, wish] : holder.wishes) {
        for (const uint32_t interface : Interfaces(key.selector)) {
          wanted[{interface, key.group.ToString(), key.port}].insert(wish.wanted.begin(), wish.wanted.end());
        }
      }
    }
    return wanted;
  }

  static std::string FilterTextOf(const SourceSet& wanted) {
    const bool include = !wanted.contains(kSources);
    std::vector<net::IpAddress> sources;
    for (int i = 0; i < kSources; ++i) {
      if (wanted.contains(i) == include) sources.push_back(Source(i));
    }
    return testing::FilterText(include ? net::FilterMode::kInclude : net::FilterMode::kExclude, sources);
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
  std::vector<Holder> holders_;
};

TEST_P(HoldersPropertyTest, TheKernelHasWhatAllHoldersWantTogether) {
  for (int step = 0; step < 300; ++step) {
    ASSERT_NO_FATAL_FAILURE(Step());
    std::map<FakeKernel::ChannelKey, std::string> wanted;
    for (const auto& [key, sources] : Wanted()) wanted[key] = FilterTextOf(sources);
    ASSERT_EQ(kernel_->Memberships(), wanted) << "step " << step;
    if (step % 7 == 0) Settle();
  }
  for (Holder& holder : holders_) {
    holder.stream.reset();
    if (!holder.session.empty()) {
      ASSERT_TRUE(gateway_->Leave(me_, holder.session, WholeSession()).ok());
    }
  }
  EXPECT_TRUE(kernel_->Memberships().empty());
  Settle();
  for (const auto& receiver : kernel_->receivers()) EXPECT_TRUE(receiver->closed());
  holders_.clear();
}

INSTANTIATE_TEST_SUITE_P(Seeds, HoldersPropertyTest, ::testing::Range(1, 9));

}  // namespace
}  // namespace mcgw::gateway
