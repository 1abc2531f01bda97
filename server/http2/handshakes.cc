#include "server/http2/handshakes.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/text.h"

namespace mcgw::http2 {

class Handshakes::Pending final : public net::EventLoop::Handler {
 public:
  Pending(Handshakes* all, const TlsContext& context, net::OwnedFd fd, std::string host,
          std::unique_ptr<Outcome> outcome)
      : all_(all),
        handshake_(context, std::move(fd)),
        host_(std::move(host)),
        outcome_(std::move(outcome)),
        began_ns_(net::MonotonicNs()) {}

  int fd() const { return handshake_.fd(); }
  const std::string& host() const { return host_; }
  int64_t began_ns() const { return began_ns_; }
  List::iterator place;

  void OnReadable() override { Continue(); }
  void OnWritable() override { Continue(); }
  void Fail(const std::string& why) { outcome_->OnFailed(why); }

 private:
  void Continue() {
    switch (handshake_.Continue()) {
      case TlsHandshake::Step::kWantsRead:
        return WatchWritable(false);
      case TlsHandshake::Step::kWantsWrite:
        return WatchWritable(true);
      case TlsHandshake::Step::kFailed:
        all_->Remove(this);
        return Fail(handshake_.failure());
      case TlsHandshake::Step::kDone:
        all_->Remove(this);
        outcome_->OnDone(handshake_.TakeTransport(), handshake_.identity());
    }
  }
  void WatchWritable(bool watch) {
    if (std::exchange(watching_writable_, watch) != watch) all_->loop_->WatchWritable(fd(), this, watch);
  }

  Handshakes* const all_;
  TlsHandshake handshake_;
  const std::string host_;
  const std::unique_ptr<Outcome> outcome_;
  const int64_t began_ns_;
  bool watching_writable_ = false;
};

Handshakes::Handshakes(const Limits& limits) : limits_(limits) {}

Handshakes::~Handshakes() { Stop(); }

absl::Status Handshakes::Start() {
  absl::StatusOr<std::unique_ptr<net::EventLoop>> loop = net::EventLoop::Create();
  if (!loop.ok()) return loop.status();
  loop_ = *std::move(loop);
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-tls");
    Run();
  });
  return absl::OkStatus();
}

void Handshakes::Stop() {
  if (!thread_.joinable()) return;
  loop_->Post([this] { stopping_ = true; });
  thread_.join();
}

void Handshakes::Begin(std::shared_ptr<const TlsContext> context, net::OwnedFd fd, std::string host,
                       std::unique_ptr<Outcome> outcome) {
  // std::function must be copyable, so it is shared. Work that is never run closes the connection.
  auto pending = std::make_shared<std::unique_ptr<Pending>>(
      std::make_unique<Pending>(this, *context, std::move(fd), std::move(host), std::move(outcome)));
  loop_->Post([this, pending] { Add(std::move(*pending)); });
}

void Handshakes::Run() {
  while (!stopping_) {
    loop_->RunOnce(TimeLeft());
    EndOverdue();
    over_.clear();
  }
  for (const std::unique_ptr<Pending>& pending : pending_) loop_->Remove(pending->fd(), pending.get());
  pending_.clear();
}

void Handshakes::Add(std::unique_ptr<Pending> pending) {
  if (stopping_) return;
  if (pending_.size() >= limits_.most) {
    return pending->Fail(net::StrCat("there are ", limits_.most, " other handshakes"));
  }
  size_t& of_host = of_host_[pending->host()];
  if (of_host >= limits_.most_per_host) {
    return pending->Fail(net::StrCat("there are ", limits_.most_per_host, " other handshakes of its host"));
  }
  const int fd = pending->fd();
  Pending* const raw = pending.get();
  ++of_host;
  raw->place = pending_.insert(pending_.end(), std::move(pending));
  if (const absl::Status status = loop_->Add(fd, raw); !status.ok()) {
    Remove(raw);
    raw->Fail(std::string(status.message()));
  }
}

void Handshakes::Remove(Pending* pending) {
  loop_->Remove(pending->fd(), pending);
  const auto of_host = of_host_.find(pending->host());
  MCGW_INVARIANT(of_host != of_host_.end() && of_host->second > 0);
  if (--of_host->second == 0) of_host_.erase(of_host);
  over_.splice(over_.end(), pending_, pending->place);
}

absl::Duration Handshakes::TimeLeft() const {
  if (pending_.empty()) return absl::InfiniteDuration();
  const absl::Duration age = absl::Nanoseconds(net::MonotonicNs() - pending_.front()->began_ns());
  return std::max(limits_.patience - age, absl::ZeroDuration());
}

void Handshakes::EndOverdue() {
  while (!pending_.empty() && TimeLeft() == absl::ZeroDuration()) {
    Pending* const oldest = pending_.front().get();
    Remove(oldest);
    oldest->Fail(net::StrCat("its handshake took more than ", absl::FormatDuration(limits_.patience)));
  }
}

}  // namespace mcgw::http2
