// Bounds the memory of messages that have not arrived whole, over all clients.

#ifndef MCGW_RPC_RECEIVE_BUDGET_H_
#define MCGW_RPC_RECEIVE_BUDGET_H_

#include <atomic>
#include <cstddef>

namespace mcgw::rpc {

// Thread-safe.
class ReceiveBudget {
 public:
  static constexpr size_t kMostBytes = 256 << 20;

  // False: there is no room.
  bool Take(size_t bytes) {
    if (taken_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= kMostBytes) return true;
    GiveBack(bytes);
    return false;
  }
  void GiveBack(size_t bytes) { taken_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<size_t> taken_{0};
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_RECEIVE_BUDGET_H_
