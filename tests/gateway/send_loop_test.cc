// What cannot be sent at once, and what others can do meanwhile.

#include "server/gateway/sending/send_loop.h"

#include <memory>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/gateway/sending/sender.h"
#include "server/net/clock.h"
#include "server/net/status.h"
#include "tests/support/fake_host.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using Next = SendJob::Next;
using testing::Ip;
using ::testing::SizeIs;

constexpr uint32_t kA0 = 2;

class SendLoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(directory_.Refresh().ok());
    ASSERT_TRUE(loop_.Start().ok());
  }
  void TearDown() override { loop_.Stop(); }

  static SendRequest To(std::string selector, std::string_view group = "239.1.1.1") {
    return {.selector = std::move(selector), .group = Ip(group), .port = 5000, .source = {}, .traffic_class = {}};
  }
  std::shared_ptr<BatchJob> Batch(const std::string& selector, size_t bursts = 1, uint8_t hop_limit = 1) {
    std::vector<Burst> all(bursts, Burst{.invalid = {}, .request = To(selector), .payloads = {"a", "b"}});
    for (Burst& burst : all) burst.request.hop_limit = hop_limit;
    return sender_.NewBatch(std::make_unique<BurstList>(std::move(all)));
  }
  static Next FirstStep(SendJob* job) { return job->Step({.until_ns = net::MonotonicNs() + 1'000'000'000}); }

  struct Waiting {
    std::shared_ptr<BatchJob> job;
    std::unique_ptr<std::binary_semaphore> done = std::make_unique<std::binary_semaphore>(0);
    PublishResult Result() {
      done->acquire();
      return job->TakeResult();
    }
  };
  Waiting Take(std::shared_ptr<BatchJob> job, Next next) {
    Waiting waiting{.job = std::move(job)};
    loop_.Take(waiting.job, next, "client", [done = waiting.done.get()] { done->release(); });
    return waiting;
  }

  testing::FakeHost host_;
  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  testing::FakeSocketFactory factory_{kernel_};
  InterfaceDirectory directory_{host_.Source(), {}, ""};
  Sender sender_{&factory_, &directory_};
  net::WorkPool pool_{"test", {.threads = 2, .running = 1}};
  SendLoop loop_{&pool_};
};

TEST_F(SendLoopTest, WhatWaitsForRoomGoesOutWhenThereIsSome) {
  kernel_->set_full(kA0, true);
  std::vector<Waiting> waiting;
  for (int i = 0; i < 10; ++i) {
    const std::shared_ptr<BatchJob> job = Batch("a0");
    const Next next = FirstStep(job.get());
    ASSERT_EQ(next, Next::kWritable);
    waiting.push_back(Take(job, next));
  }
  EXPECT_THAT(kernel_->sent(), SizeIs(0));
  kernel_->set_full(kA0, false);
  for (Waiting& each : waiting) EXPECT_EQ(each.Result().accepted, 2u);
  EXPECT_THAT(kernel_->sent(), SizeIs(20));
}

TEST_F(SendLoopTest, AFullInterfaceHoldsUpNoOther) {
  kernel_->set_full(kA0, true);
  const std::shared_ptr<BatchJob> slow = Batch("a0");
  Waiting waiting = Take(slow, FirstStep(slow.get()));
  const std::shared_ptr<BatchJob> other = Batch("a1");
  EXPECT_EQ(FirstStep(other.get()), Next::kDone);
  EXPECT_EQ(other->TakeResult().accepted, 2u);
  kernel_->set_full(kA0, false);
  EXPECT_EQ(waiting.Result().accepted, 2u);
}

TEST_F(SendLoopTest, WhoComesLaterQueuesBehindThoseWhoWait) {
  kernel_->set_full(kA0, true);
  const std::shared_ptr<BatchJob> first = Batch("a0");
  ASSERT_EQ(FirstStep(first.get()), Next::kWritable);
  first->socket()->waiting().fetch_add(1);  // As the loop does once it has it.
  const size_t calls = kernel_->send_calls();
  kernel_->set_full(kA0, false);
  const std::shared_ptr<BatchJob> second = Batch("a0");
  EXPECT_EQ(FirstStep(second.get()), Next::kWritable);
  EXPECT_EQ(kernel_->send_calls(), calls) << "it has not even tried";
  first->socket()->waiting().fetch_sub(1);
}

TEST_F(SendLoopTest, WhatNothingLeavesForASecondFails) {
  kernel_->set_full(kA0, true);
  const std::shared_ptr<BatchJob> job = Batch("a0");
  const PublishResult result = Take(job, FirstStep(job.get())).Result();
  EXPECT_EQ(result.accepted, 0u);
  ASSERT_THAT(result.failures, SizeIs(1));
  EXPECT_EQ(net::ErrnoOf(result.failures[0].status), EAGAIN);
  EXPECT_EQ(sender_.counters().failed.load(), 2u);
}

TEST_F(SendLoopTest, ACancelledJobIsDropped) {
  kernel_->set_full(kA0, true);
  const std::shared_ptr<BatchJob> job = Batch("a0", 3);
  Waiting waiting = Take(job, FirstStep(job.get()));
  loop_.Cancel(job.get());
  waiting.done->acquire();
  EXPECT_THAT(kernel_->sent(), SizeIs(0));
}

TEST_F(SendLoopTest, WhatItStillHasAtTheEndIsDropped) {
  kernel_->set_full(kA0, true);
  const std::shared_ptr<BatchJob> job = Batch("a0");
  Waiting waiting = Take(job, FirstStep(job.get()));
  loop_.Stop();
  waiting.done->acquire();
}

TEST_F(SendLoopTest, ALongBatchGivesTheThreadBack) {
  const std::shared_ptr<BatchJob> job = Batch("a0", 1000);
  const Next next = job->Step({});
  EXPECT_EQ(next, Next::kMore);
  EXPECT_EQ(job->sent(), 2u) << "one burst";
  EXPECT_EQ(Take(job, next).Result().accepted, 2000u);
}

TEST_F(SendLoopTest, WhatHasToBeJoinedFirstIsJoinedInThePool) {
  const std::shared_ptr<BatchJob> job = Batch("a0", 3, /*hop_limit=*/0);
  const Next next = FirstStep(job.get());
  EXPECT_EQ(next, Next::kMayBlock);
  EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 0);
  EXPECT_EQ(Take(job, next).Result().accepted, 6u);
  EXPECT_GT(kernel_->HostMembers("239.1.1.1 on 2"), 0);
}

}  // namespace
}  // namespace mcgw::gateway
