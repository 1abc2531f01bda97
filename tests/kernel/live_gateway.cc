#include "tests/kernel/live_gateway.h"

#include <net/if.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/net/clock.h"
#include "server/net/linux_socket_factory.h"
#include "tests/fanout/log_reader.h"
#include "tests/support/event_story.h"

namespace mcgw::kernel {
namespace {

constexpr auto kPatience = std::chrono::seconds(15);
constexpr int64_t kSweepNs = 1'000'000'000;

gateway::Options SmallOptions() {
  gateway::Options options;
  options.socket_buffer_bytes = 1 << 20;
  return options;
}

uint64_t NumberOf(const Listener::Heard& heard) { return heard.is_data ? std::stoull(heard.what) : 0; }

}  // namespace

// ---- LiveGateway ----

LiveGateway::LiveGateway(size_t watch_buffer_bytes)
    : control_(net::EventLoop::Create().value()),
      watch_(net::InterfaceWatch::Create(watch_buffer_bytes).value()),
      gateway_(gateway::Gateway::Create(SmallOptions(), net::NewLinuxSocketFactory(), {.watch = watch_.get()}).value()),
      follower_(watch_.get(), &gateway_->reconciler()) {
  (void)control_->Add(watch_->fd(), &follower_);
  control_thread_ = std::thread([this] { RunControl(); });
  shard_thread_ = std::thread([this] {
    while (!stopping_shard_) gateway_->loop(0)->RunOnce(absl::InfiniteDuration());
  });
}

LiveGateway::~LiveGateway() {
  control_->Post([this] { stopping_control_ = true; });
  control_thread_.join();
  gateway_->EndAllSessions();
  gateway_->loop(0)->Post([this] { stopping_shard_ = true; });
  shard_thread_.join();
}

void LiveGateway::RunControl() {
  int64_t next_sweep_ns = net::MonotonicNs() + kSweepNs;
  while (!stopping_control_) {
    follower_.Run(net::MonotonicNs());
    if (net::MonotonicNs() >= next_sweep_ns) {
      gateway_->Sweep();
      next_sweep_ns = net::MonotonicNs() + kSweepNs;
    }
    const int64_t due_ns = std::min(next_sweep_ns, follower_.due_ns());
    control_->RunOnce(absl::Nanoseconds(std::max<int64_t>(due_ns - net::MonotonicNs(), 0)));
  }
}

// ---- Listener ----

class Listener::Bell : public fanout::Doorbell {
 public:
  void Ring() override {
    net::MutexLock lock(&mutex_);
    rung_ = true;
    changed_.NotifyAll();
  }
  // False once it is stopped.
  bool Wait() {
    net::MutexLock lock(&mutex_);
    while (!rung_ && !stopped_) changed_.Wait(&mutex_);
    rung_ = false;
    return !stopped_;
  }
  void Stop() {
    net::MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }

 private:
  net::Mutex mutex_;
  net::CondVar changed_;
  bool rung_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

Listener::Listener(LiveGateway* gateway, const std::vector<gateway::MembershipRequest>& memberships)
    : bell_(std::make_shared<Bell>()),
      subscription_(
          (*gateway)
              ->Subscribe({.identity = "me"}, {.memberships = memberships, .session_id = {}, .options = {}}, bell_)
              .value()) {
  thread_ = std::thread([this] { Read(); });
}

Listener::~Listener() {
  bell_->Stop();
  thread_.join();
}

void Listener::Read() {
  fanout::Message message;
  do {
    while (subscription_->subscriber().Next(&message)) {
      Story part;
      const int64_t now_ns = net::MonotonicNs();
      for (const fanout::Event& event : message.events) {
        if (std::string text = testing::EventStory(event); !text.empty()) part.push_back({text, false, now_ns});
      }
      for (const fanout::DecodedRecord& record : fanout::DecodeRecords({message.data, message.size_bytes})) {
        part.push_back({record.payload, true, now_ns});
      }
      subscription_->subscriber().Written();
      net::MutexLock lock(&mutex_);
      story_.insert(story_.end(), part.begin(), part.end());
      changed_.NotifyAll();
    }
  } while (bell_->Wait());
}

Listener::Story Listener::story() const {
  net::MutexLock lock(&mutex_);
  return story_;
}

void Listener::Forget() {
  net::MutexLock lock(&mutex_);
  story_.clear();
}

bool Listener::WaitUntil(const std::function<bool(const Story&)>& is_so) const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  net::MutexLock lock(&mutex_);
  while (!is_so(story_)) {
    if (!changed_.WaitUntil(&mutex_, deadline)) return is_so(story_);
  }
  return true;
}

bool Listener::Hears(const std::string& what) const {
  return WaitUntil([&](const Story& story) {
    return std::any_of(story.begin(), story.end(), [&](const Heard& heard) { return heard.what == what; });
  });
}

std::optional<size_t> Listener::WaitForData(uint64_t number) const {
  size_t at = 0;
  const bool came = WaitUntil([&](const Story& story) {
    at = std::find_if(story.begin(), story.end(), [&](const Heard& heard) { return NumberOf(heard) >= number; }) -
         story.begin();
    return at < story.size();
  });
  return came ? std::optional(at) : std::nullopt;
}

// ---- Talker ----

Talker::Talker(const Peer& peer, const net::IpAddress& group, uint16_t port, const net::IpAddress& source) {
  thread_ = std::thread([this, &peer, group, port, source] {
    peer.Do([&] {
      const auto factory = net::NewLinuxSocketFactory();
      const auto socket = factory->NewSendSocket({.family = group.family(), .loop = false}).value();
      while (!stopping_.load()) {
        const std::string payload = std::to_string(next_.load());
        net::OutgoingDatagram datagram;
        datagram.group = group;
        datagram.port = port;
        datagram.source = source;
        datagram.payload = payload;
        datagram.interface_index = if_nametoindex("b0");
        std::vector<net::SendFailure> failures;
        // Nothing to send by, or a link that is down: that number is lost.
        if (datagram.interface_index != 0) socket->Send({&datagram, 1}, &failures);
        ++next_;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  });
}

Talker::~Talker() {
  stopping_.store(true);
  thread_.join();
}

}  // namespace mcgw::kernel
