// The open streams.

#ifndef MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_TABLE_H_
#define MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>

#include "absl/status/status.h"
#include "server/fanout/log_budget.h"
#include "server/gateway/channels/accounts.h"
#include "server/gateway/sessions/subscription.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Thread-safe. Callbacks run under the table's mutex, so that the stream stays alive.
class SubscriptionTable {
 public:
  // `closed` receives the accounts of streams that end.
  SubscriptionTable(size_t limit, ClosedAccounts* closed) : limit_(limit), closed_(closed) {}

  // SUBSCRIBER_LIMIT.
  absl::Status Add(Subscription* stream);
  // Does nothing for a stream that was not added.
  void Remove(Subscription* stream);
  size_t size() const;

  // In order of id.
  void ForEach(const std::function<void(Subscription&)>& visit);
  // Visits streams with ids above `after_id`, until `visit` returns false.
  void ReadAfter(uint64_t after_id, const std::function<bool(const Subscription&)>& visit) const;
  // Returns false if there is no such stream.
  bool ReadOne(uint64_t id, const std::function<void(const Subscription&)>& visit) const;
  // What all streams were offered, including those that have ended; each counts once.
  fanout::LedgerEntry Total() const;

  // While all streams together pin more than half of the budget, ends those that pin more than their share, greatest
  // first.
  void EndGreedy(const fanout::LogBudget& budget);

 private:
  struct ById {
    using is_transparent = void;
    static uint64_t Of(uint64_t id) { return id; }
    static uint64_t Of(const Subscription* subscription) { return subscription->id(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) < Of(b);
    }
  };

  const size_t limit_;
  ClosedAccounts* const closed_;
  mutable net::Mutex mutex_;
  std::set<Subscription*, ById> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_TABLE_H_
