// Threads for calls that may block: joins, leaves, diagnoses.
//
// Clients take turns. Each has its own queue, and its calls may occupy only part of the threads, so that a client with
// many slow calls does not delay the others.

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

// Thread-safe, except for construction and destruction.
class WorkPool {
 public:
  struct Limits {
    size_t threads = 8;
    size_t running = 2;           // Maximum running calls of one client.
    size_t waiting = 200;         // Maximum queued calls of one client,
    size_t all_waiting = 10'000;  // and of all clients.
  };

  // `name`: of its threads.
  WorkPool(const char* name, const Limits& limits);
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;
  // Runs all queued work, then ends.
  ~WorkPool() { Stop(); }

  // Runs `work` on one of the threads, in turn with other clients' work; one client's work starts in order. Returns
  // false and does not run it if too much is queued.
  [[nodiscard]] bool TryRun(const std::string& client, std::function<void()> work);
  // Runs `work` however much is queued: for work that must be done, such as giving back what a client held.
  void Run(const std::string& client, std::function<void()> work);

 private:
  struct Client {
    std::deque<std::function<void()>> waiting;
    size_t running = 0;
    bool in_turn = false;  // In turn_.
  };

  void Add(const std::string& client, std::function<void()> work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives a client a turn if it may have one.
  void Enter(const std::string& name, Client* client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunThread();
  void Stop();

  const Limits limits_;
  net::Mutex mutex_;
  net::CondVar changed_;
  std::unordered_map<std::string, Client> clients_ ABSL_GUARDED_BY(mutex_);  // Clients with work.
  std::list<std::string> turn_ ABSL_GUARDED_BY(mutex_);  // Clients with work that may run, in order of turns.
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_WORK_POOL_H_
