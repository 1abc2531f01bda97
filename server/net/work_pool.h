// Threads for calls that may block: joins, leaves, a diagnosis.
//
// Clients take turns: each has a queue of its own, and its calls may occupy only a part of the threads, so that one
// with many slow calls makes nobody else wait behind them.

#ifndef MCGW_NET_WORK_POOL_H_
#define MCGW_NET_WORK_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "server/net/mutex.h"

namespace mcgw::net {

// Thread-safe, but for its construction and destruction.
class WorkPool {
 public:
  struct Limits {
    size_t threads = 8;
    size_t running = 2;           // Most calls of one client at a time.
    size_t waiting = 200;         // Most calls of one client in its queue,
    size_t all_waiting = 10'000;  // and of all.
  };

  // `name` is that of its threads.
  WorkPool(const char* name, const Limits& limits);
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;
  // Runs what waits, then ends.
  ~WorkPool() { Stop(); }

  // Runs `work` on one of the threads, in turn with other clients' work; that of one client begins in its order. False,
  // and it is not run, if too much waits.
  [[nodiscard]] bool TryRun(const std::string& client, std::function<void()> work);
  // Whatever waits: for what must be done, such as giving back what a client held.
  void Run(const std::string& client, std::function<void()> work);

 private:
  struct Client {
    std::deque<std::function<void()>> waiting;
    size_t running = 0;
    bool in_turn = false;  // In turn_.
  };

  void Add(const std::string& client, std::function<void()> work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Lets a client have a turn if it may have one.
  void Enter(const std::string& name, Client* client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunThread();
  void Stop();

  const Limits limits_;
  net::Mutex mutex_;
  net::CondVar changed_;
  std::unordered_map<std::string, Client> clients_ ABSL_GUARDED_BY(mutex_);  // Those with work.
  std::list<std::string> turn_ ABSL_GUARDED_BY(mutex_);  // Clients with work that may run, whose turn is next first.
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_WORK_POOL_H_
