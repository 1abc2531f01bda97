// A gateway on the real kernel with the threads that the daemon would give it, a stream that is read, and a sender on
// the other host.

#ifndef MCGW_TESTS_KERNEL_LIVE_GATEWAY_H_
#define MCGW_TESTS_KERNEL_LIVE_GATEWAY_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/gateway/gateway.h"
#include "server/gateway/sessions/interface_follower.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw::kernel {

class LiveGateway {
 public:
  // `watch_buffer_bytes`: of the netlink socket; 0: the default.
  explicit LiveGateway(size_t watch_buffer_bytes = 0);
  LiveGateway(const LiveGateway&) = delete;
  LiveGateway& operator=(const LiveGateway&) = delete;
  ~LiveGateway();

  gateway::Gateway* operator->() { return gateway_.get(); }

 private:
  void RunControl();

  const std::unique_ptr<net::EventLoop> control_;
  const std::unique_ptr<net::InterfaceWatch> watch_;
  const std::unique_ptr<gateway::Gateway> gateway_;
  gateway::InterfaceFollower follower_;
  bool stopping_control_ = false;
  bool stopping_shard_ = false;
  std::thread control_thread_;
  std::thread shard_thread_;
};

// A stream and the thread that reads it.
class Listener {
 public:
  struct Heard {
    std::string what;  // As testing::EventStory has it, or the payload.
    bool is_data = false;
    int64_t at_ns = 0;  // Monotonic.
  };
  using Story = std::vector<Heard>;

  Listener(LiveGateway* gateway, const std::vector<gateway::MembershipRequest>& memberships);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  Story story() const;
  void Forget();  // What was heard so far.
  // Waits until the story is as it should be, at most some seconds; false if it never is.
  bool WaitUntil(const std::function<bool(const Story&)>& is_so) const;
  bool Hears(const std::string& what) const;
  // Waits for a datagram that was numbered so or higher. Its place in the story; nothing if none comes.
  std::optional<size_t> WaitForData(uint64_t number) const;

 private:
  class Bell;
  void Read();

  const std::shared_ptr<Bell> bell_;
  std::unique_ptr<gateway::Subscription> subscription_;
  mutable net::Mutex mutex_;
  mutable net::CondVar changed_;
  Story story_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// Sends from b0 of the other host, once a millisecond, datagrams whose payloads are numbers that count up. Goes on
// whatever becomes of b0.
class Talker {
 public:
  Talker(const Peer& peer, const net::IpAddress& group, uint16_t port, const net::IpAddress& source);
  Talker(const Talker&) = delete;
  Talker& operator=(const Talker&) = delete;
  ~Talker();

  // The number of the next datagram.
  uint64_t next() const { return next_.load(); }

 private:
  std::atomic<uint64_t> next_{1};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_LIVE_GATEWAY_H_
