#include "server/net/work_pool.h"

#include <pthread.h>

#include <utility>

#include "server/net/invariant.h"

namespace mcgw::net {

WorkPool::WorkPool(const char* name, const Limits& limits) : limits_(limits) {
  try {
    for (size_t i = 0; i < limits_.threads; ++i) {
      threads_.emplace_back([this, name] {
        pthread_setname_np(pthread_self(), name);
        RunThread();
      });
    }
  } catch (...) {
    Stop();  // The threads that could start.
    throw;
  }
}

void WorkPool::Stop() {
  {
    net::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(waiting_ == 0 && turn_.empty() && (threads_.empty() || clients_.empty()));
}

bool WorkPool::TryRun(const std::string& client, std::function<void()> work) {
  net::MutexLock lock(&mutex_);
  const auto at = clients_.find(client);
  const size_t waiting = at == clients_.end() ? 0 : at->second.waiting.size();
  if (waiting >= limits_.waiting || waiting_ >= limits_.all_waiting) return false;
  Add(client, std::move(work));
  return true;
}

void WorkPool::Run(const std::string& client, std::function<void()> work) {
  net::MutexLock lock(&mutex_);
  Add(client, std::move(work));
}

void WorkPool::Add(const std::string& client, std::function<void()> work) {
  Client& of = clients_[client];
  of.waiting.push_back(std::move(work));
  ++waiting_;
  Enter(client, &of);
}

void WorkPool::Enter(const std::string& name, Client* client) {
  if (client->in_turn || client->waiting.empty() || client->running >= limits_.running) return;
  client->in_turn = true;
  turn_.push_back(name);
  changed_.NotifyOne();
}

void WorkPool::RunThread() {
  mutex_.Lock();
  while (true) {
    while (turn_.empty() && !(stopping_ && waiting_ == 0)) changed_.Wait(&mutex_);
    if (turn_.empty()) break;
    const std::string name = std::move(turn_.front());
    turn_.pop_front();
    Client& client = clients_[name];  // Stays in clients_ while it runs.
    MCGW_INVARIANT(client.in_turn && !client.waiting.empty() && waiting_ > 0);
    MCGW_INVARIANT(client.running < limits_.running);
    std::function<void()> work = std::move(client.waiting.front());
    client.waiting.pop_front();
    --waiting_;
    ++client.running;
    client.in_turn = false;
    Enter(name, &client);
    mutex_.Unlock();
    work();
    work = nullptr;  // Destroys what it holds without the lock.
    mutex_.Lock();
    --client.running;
    Enter(name, &client);
    if (client.running == 0 && client.waiting.empty()) clients_.erase(name);
    if (stopping_ && waiting_ == 0) changed_.NotifyAll();
  }
  mutex_.Unlock();
}

}  // namespace mcgw::net
