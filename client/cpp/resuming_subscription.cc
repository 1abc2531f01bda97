#include "mcgw/resuming_subscription.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "mcgw/gateway_address.h"
#include "socket_watcher.h"

namespace mcgw::client {

namespace v1 = multicast::gateway::v1;

// ---- ResumePoints ----

namespace {

// The number after a sequence; the greatest has none, and 0 is not a place to resume at.
uint64_t After(uint64_t sequence) { return std::max(sequence, sequence + 1); }

}  // namespace

ResumePoints::Key ResumePoints::KeyOf(const v1::Channel& channel) {
  return absl::StrCat(channel.interface_name(), " ", channel.group(), " ", channel.port());
}

void ResumePoints::Take(const v1::SubscribeResponse& message) {
  for (const v1::Event& event : message.events()) TakeEvent(event);
  for (const v1::Datagram& datagram : message.datagrams()) {
    v1::ResumePoint* const point = PointOf(datagram.channel_id());
    if (point == nullptr) continue;
    point->set_next_sequence(After(datagram.sequence()));
    point->set_last_receive_time_unix_ns(datagram.receive_time_unix_ns());
  }
}

void ResumePoints::BeginStream() { ids_.clear(); }

v1::ResumePoint* ResumePoints::PointOf(uint64_t channel_id) {
  const auto id = ids_.find(channel_id);
  if (id == ids_.end()) return nullptr;
  const auto place = places_.find(id->second);
  return place == places_.end() ? nullptr : &place->second;
}

void ResumePoints::TakeChannel(const v1::Channel& channel) {
  if (channel.epoch() == 0) return;  // Not joined yet.
  const Key key = KeyOf(channel);
  ids_[channel.channel_id()] = key;
  v1::ResumePoint& point = places_[key];  // Keeps the time of the last datagram.
  point.set_interface_name(channel.interface_name());
  point.set_group(channel.group());
  point.set_port(channel.port());
  point.set_epoch(channel.epoch());
  point.set_next_sequence(std::max<uint64_t>(channel.next_sequence(), 1));
}

void ResumePoints::TakeEvent(const v1::Event& event) {
  if (event.has_subscribed()) {
    for (const v1::ChannelState& state : event.subscribed().channels()) TakeChannel(state.channel());
  } else if (event.has_membership_changed()) {
    const v1::Channel& channel = event.membership_changed().channel().channel();
    if (event.membership_changed().left()) {
      places_.erase(KeyOf(channel));
      ids_.erase(channel.channel_id());
    } else {
      TakeChannel(channel);
    }
  } else if (event.has_gap()) {
    v1::ResumePoint* const point = PointOf(event.gap().channel_id());
    const uint64_t next =
        event.gap().has_range() ? After(event.gap().range().last()) : event.gap().unknown().before_sequence();
    if (point != nullptr) point->set_next_sequence(std::max(point->next_sequence(), next));
  } else if (event.has_position()) {
    v1::ResumePoint* const point = PointOf(event.position().channel_id());
    if (point != nullptr) {
      point->set_next_sequence(std::max(point->next_sequence(), event.position().next_sequence()));
    }
  } else if (event.has_interface_renamed()) {
    std::map<Key, v1::ResumePoint> places;
    std::map<Key, Key> renamed;
    for (auto& [key, point] : places_) {
      Key name = key;
      if (point.interface_name() == event.interface_renamed().old_name()) {
        point.set_interface_name(event.interface_renamed().new_name());
        name = absl::StrCat(point.interface_name(), " ", point.group(), " ", point.port());
      }
      renamed[key] = name;
      places[name] = std::move(point);
    }
    places_.swap(places);
    for (auto& [id, key] : ids_) key = renamed[key];
  }
}

v1::Start::ResumePoints ResumePoints::Get() const {
  v1::Start::ResumePoints points;
  for (const auto& [key, point] : places_) *points.add_points() = point;
  return points;
}

// ---- ResumingSubscription ----

namespace {

v1::SubscribeRequest WithRetain(v1::SubscribeRequest request, absl::Duration retain) {
  if (request.options().has_retain()) return request;
  const int64_t ns = absl::ToInt64Nanoseconds(retain);
  request.mutable_options()->mutable_retain()->set_seconds(ns / 1'000'000'000);
  request.mutable_options()->mutable_retain()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
  return request;
}

}  // namespace

bool ResumingSubscription::Pause::Until(Clock::time_point time) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_until(lock, time, [this] { return ended_ || cut_; });
  return std::exchange(cut_, false);
}

void ResumingSubscription::Pause::Cut() {
  std::lock_guard<std::mutex> lock(mutex_);
  cut_ = true;
  changed_.notify_all();
}

void ResumingSubscription::Pause::End() {
  std::lock_guard<std::mutex> lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

ResumingSubscription::ResumingSubscription(const Client& client, v1::SubscribeRequest request,
                                           const ResumeOptions& options, OnBreak on_break)
    : client_(client.channel(), client.address()),
      request_(WithRetain(std::move(request), options.retain)),
      options_(options),
      on_break_(std::move(on_break)),
      wait_(options.first_wait) {
  Begin();
}

ResumingSubscription::~ResumingSubscription() { watcher_.reset(); }

bool ResumingSubscription::Begin() {
  v1::SubscribeRequest request = request_;
  points_.BeginStream();
  if (!points_.empty()) *request.mutable_start()->mutable_resume() = points_.Get();
  absl::MutexLock lock(&mutex_);
  if (cancelled_) return false;
  stream_ = std::make_unique<Subscription>(client_, request,
                                           stood_ ? Subscription::Patience::kWait : Subscription::Patience::kNone);
  return true;
}

bool ResumingSubscription::IsBreak(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kUnavailable) return true;  // Also the gateway's CANCELLED, by FromGrpc.
  const ErrorDetails details = DetailsOf(status);
  if (status.code() == absl::StatusCode::kResourceExhausted) return details.retry_delay.has_value();
  // The transport's errors for a stream that was cut.
  return details.reason.empty() &&
         (status.code() == absl::StatusCode::kUnknown || status.code() == absl::StatusCode::kInternal);
}

bool ResumingSubscription::Break(const absl::Status& why) {
  std::unique_ptr<Subscription> gone;  // Destroyed after the lock is released, because it waits for its end.
  {
    absl::MutexLock lock(&mutex_);
    gone = std::move(stream_);
    if (cancelled_ || !stood_ || !IsBreak(why)) return false;
  }
  std::uniform_real_distribution<double> part(0.5, 1.0);
  absl::Duration wait = wait_ * part(random_);
  if (why.code() == absl::StatusCode::kResourceExhausted) {
    // From one delay to two, so that clients refused together do not return together.
    wait = std::max(wait, DetailsOf(why).retry_delay.value_or(absl::ZeroDuration()) * 2 * part(random_));
  }
  wait_ = std::min(2 * wait_, options_.most_wait);
  next_attempt_ = Clock::now() + absl::ToChronoNanoseconds(wait);
  if (watcher_ == nullptr) WatchSocket();
  if (on_break_) on_break_(why, wait);
  return true;
}

void ResumingSubscription::WatchSocket() {
  const absl::StatusOr<std::string> target = GatewayTarget(client_.address());
  absl::string_view path = target.ok() ? absl::string_view(*target) : absl::string_view();
  if (!absl::ConsumePrefix(&path, "unix:")) return;
  watcher_ = std::make_unique<SocketWatcher>(std::string(path), [this] {
    pause_.Cut();
    grpc::experimental::ChannelResetConnectionBackoff(client_.channel().get());
  });
}

ResumingSubscription::ReadResult ResumingSubscription::Read(absl::Duration timeout, v1::SubscribeResponse* response) {
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);
  const Clock::time_point deadline =
      timeout > kLongest ? Clock::time_point::max() : Clock::now() + absl::ToChronoNanoseconds(timeout);
  while (!ended_) {
    Subscription* stream = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      stream = stream_.get();
    }
    if (stream == nullptr) {
      const bool returned = pause_.Until(std::min(deadline, next_attempt_));
      const Clock::time_point now = Clock::now();
      if (!returned && now < next_attempt_ && now >= deadline) return ReadResult::kTimedOut;
      if (Begin()) continue;
      ended_ = true;
      end_ = absl::CancelledError("cancelled by the client");
      break;
    }
    const absl::Duration left = absl::FromChrono(deadline - Clock::now());
    const ReadResult result = stream->Read(std::max(left, absl::ZeroDuration()), response);
    if (result == ReadResult::kTimedOut) return result;
    if (result == ReadResult::kMessage) {
      points_.Take(*response);
      stood_ = true;
      watcher_.reset();
      wait_ = options_.first_wait;
      return result;
    }
    const absl::Status why = stream->Finish();
    if (why.ok() || !Break(why)) {
      ended_ = true;
      end_ = why;
    }
  }
  return ReadResult::kEnded;
}

bool ResumingSubscription::Read(v1::SubscribeResponse* response) {
  return Read(absl::InfiniteDuration(), response) == ReadResult::kMessage;
}

void ResumingSubscription::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (stream_ != nullptr) stream_->Cancel();
  pause_.End();
}

absl::Status ResumingSubscription::Finish() {
  if (!ended_) Cancel();
  v1::SubscribeResponse dropped;
  while (Read(&dropped)) {
  }
  return end_;
}

}  // namespace mcgw::client
