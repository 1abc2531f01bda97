#include "server/fanout/slab_pool.h"

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace mcgw::fanout {
namespace {

TEST(SlabPool, GivesSlabsOfTheAskedSize) {
  const auto pool = SlabPool::Create();
  for (size_t size_class = 0; size_class < SlabPool::kSlabBytes.size(); ++size_class) {
    const SlabRef slab = pool->Acquire(size_class);
    EXPECT_EQ(slab->capacity_bytes(), SlabPool::kSlabBytes[size_class]);
    EXPECT_GT(slab->max_records(), 0u);
    EXPECT_EQ(slab->published_records.load(), 0u);
    std::memset(slab->data(), 0xab, slab->capacity_bytes());
    slab->entries()[slab->max_records() - 1] = {.offset = 1, .sequence_delta = 2, .time_delta_us = 3};
    EXPECT_EQ(slab->data()[0], '\xab');  // The index does not overlap the data.
  }
}

TEST(SlabPool, AnOversizeSlabIsAsLargeAsAskedAndHoldsOneRecord) {
  const auto pool = SlabPool::Create();
  const SlabRef slab = pool->Acquire(SlabPool::kOversize, 300'001);
  EXPECT_GE(slab->capacity_bytes(), 300'001u);
  EXPECT_EQ(slab->max_records(), 1u);
}

TEST(SlabPool, CountsWhatIsInUse) {
  const auto pool = SlabPool::Create();
  EXPECT_EQ(pool->used_bytes(), 0u);
  SlabRef small = pool->Acquire(0);
  EXPECT_EQ(pool->used_bytes(), small->footprint_bytes());
  EXPECT_GE(small->footprint_bytes(), small->capacity_bytes() + small->max_records() * sizeof(RecordEntry));
  SlabRef large = pool->Acquire(1);
  EXPECT_EQ(pool->used_bytes(), small->footprint_bytes() + large->footprint_bytes());
  large = SlabRef();
  EXPECT_EQ(pool->used_bytes(), small->footprint_bytes());
  small = SlabRef();
  EXPECT_EQ(pool->used_bytes(), 0u);
}

TEST(SlabPool, ReusesASlabOfTheSameSize) {
  const auto pool = SlabPool::Create();
  SlabRef slab = pool->Acquire(0);
  slab->published_records.store(7);
  const Slab* const first = slab.get();
  slab = SlabRef();
  const SlabRef other_size = pool->Acquire(1);
  EXPECT_NE(other_size.get(), first);
  slab = pool->Acquire(0);
  EXPECT_EQ(slab.get(), first);
  EXPECT_EQ(slab->published_records.load(), 0u);
  EXPECT_FALSE(slab->shared());
}

TEST(SlabPool, ASlabInUseIsNotGivenAgain) {
  const auto pool = SlabPool::Create();
  const SlabRef first = pool->Acquire(0);
  SlabRef second = first;
  EXPECT_TRUE(first->shared());
  EXPECT_NE(pool->Acquire(0).get(), first.get());
  second = SlabRef();
  EXPECT_FALSE(first->shared());
}

TEST(SlabPool, ASlabKeepsItsPoolAlive) {
  auto pool = SlabPool::Create();
  const std::weak_ptr<SlabPool> watched = pool;
  SlabRef slab = pool->Acquire(0);
  SlabRef oversize = pool->Acquire(SlabPool::kOversize, 1 << 20);
  pool.reset();
  EXPECT_FALSE(watched.expired());
  std::memset(slab->data(), 1, slab->capacity_bytes());
  slab = SlabRef();
  EXPECT_FALSE(watched.expired());
  oversize = SlabRef();
  EXPECT_TRUE(watched.expired());
}

TEST(SlabPool, FreeSlabsDoNotKeepThePoolAlive) {
  auto pool = SlabPool::Create();
  const std::weak_ptr<SlabPool> watched = pool;
  pool->Acquire(0);  // Back at once.
  pool.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(SlabRef, AReleasedReferenceIsTheCallersToGiveBack) {
  const auto pool = SlabPool::Create();
  SlabRef slab = pool->Acquire(0);
  Slab* const raw = slab.Release();
  EXPECT_FALSE(slab);
  EXPECT_GT(pool->used_bytes(), 0u);
  raw->Unref();
  EXPECT_EQ(pool->used_bytes(), 0u);
}

TEST(SlabRef, AssigningToItselfKeepsIt) {
  const auto pool = SlabPool::Create();
  SlabRef slab = pool->Acquire(0);
  const SlabRef& same = slab;
  slab = same;
  EXPECT_FALSE(slab->shared());
  EXPECT_GT(pool->used_bytes(), 0u);
}

TEST(SlabPool, IsSharedByThreads) {
  const auto pool = SlabPool::Create();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, i] {
      for (int round = 0; round < 2000; ++round) {
        std::vector<SlabRef> held;
        for (int slabs = 0; slabs < 20; ++slabs) {
          held.push_back(pool->Acquire(0));
          held.back()->data()[0] = static_cast<char>(i);
        }
        for (const SlabRef& slab : held) ASSERT_EQ(slab->data()[0], static_cast<char>(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool->used_bytes(), 0u);
}

}  // namespace
}  // namespace mcgw::fanout
