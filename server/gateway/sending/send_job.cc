#include "server/gateway/sending/send_job.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "server/gateway/sending/sender.h"
#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/status.h"

namespace mcgw::gateway {
namespace {

net::OutgoingDatagram Outgoing(const SendRequest& request, const Transmission::Exit& exit) {
  return {.group = request.group,
          .port = request.port,
          .interface_index = exit.interface->index,
          .source = exit.source,
          .hop_limit = request.hop_limit,
          .traffic_class = request.traffic_class,
          .payload = {}};
}

// Errors from below name fields of a datagram; those of the request have other names.
absl::Status InRequest(const absl::Status& status) {
  const std::string field = net::FieldOf(status);
  if (field == "interface") return net::WithFieldPrefix(status, "destination.");
  if (field == "source_address") return net::WithFieldPrefix(status, "options.");
  return status;
}

}  // namespace

void PublishResult::AddFailure(uint32_t first, uint32_t count, const absl::Status& status,
                               const std::string& interface_name) {
  if (!failures.empty()) {
    ItemFailure& last = failures.back();
    const bool same =
        last.first + last.count == first && last.status == status && last.interface_name == interface_name;
    if (same || failures.size() == kMostFailures) {
      last.count += count;
      rest_merged |= !same;
      return;
    }
  }
  failures.push_back({first, count, status, interface_name});
}

void CompleteJob(SendJob* job) {
  int64_t progress_ns = net::MonotonicNs();
  SendJob::Turn turn;
  while (true) {
    const uint64_t sent = job->sent();
    const SendJob::Next next = job->Step(turn);
    if (next == SendJob::Next::kDone) return;
    const int64_t now_ns = net::MonotonicNs();
    if (job->sent() > sent) progress_ns = now_ns;
    turn = {.of = job->socket().get(), .patient = now_ns - progress_ns < net::SendSocket::kPatienceNs};
    turn.may_block = next == SendJob::Next::kMayBlock;
    if (next == SendJob::Next::kMoment) poll(nullptr, 0, net::SendSocket::kMomentNs / 1'000'000);
    if (next == SendJob::Next::kWritable && turn.patient) {
      pollfd room = {job->socket()->fd(), POLLOUT, 0};
      poll(&room, 1, static_cast<int>((progress_ns + net::SendSocket::kPatienceNs - now_ns) / 1'000'000 + 1));
    }
  }
}

// ---- Transmission ----

Transmission::~Transmission() {
  if (begun_) End(exits_[exit_]);
}

SendJob::Next Transmission::Step(const SendJob::Turn& turn) {
  using Next = SendJob::Next;
  if (!prepared_) {
    // This one joins; the others only look up.
    if (request_.hop_limit == 0 && !turn.may_block) return Next::kMayBlock;
    prepared_ = true;
    absl::StatusOr<std::vector<Exit>> exits = sender_->Prepare(request_, from_);
    status_ = exits.status();
    if (exits.ok()) exits_ = *std::move(exits);
  }
  while (exit_ < exits_.size()) {
    Exit& exit = exits_[exit_];
    if (!begun_) Begin(exit);
    if (next_ < datagrams_.size()) {
      if (socket_.get() != turn.of && socket_->waiting().load(std::memory_order_relaxed) > 0) return Next::kWritable;
      const net::SendStep step = Send(&exit, turn.patient);
      if (step.wait == net::SendStep::Wait::kWritable) return Next::kWritable;
      if (step.wait == net::SendStep::Wait::kMoment) return Next::kMoment;
    }
    if (next_ == datagrams_.size()) {
      End(exit);
      ++exit_;
      if (exit_ == exits_.size()) break;
    }
    if (net::MonotonicNs() >= turn.until_ns) return Next::kMore;
  }
  return Next::kDone;
}

void Transmission::Begin(const Exit& exit) {
  const auto count = static_cast<uint32_t>(payloads_.size());
  begun_ = true;
  socket_ = exit.socket;
  datagrams_.clear();
  datagrams_.reserve(count);
  items_.clear();
  items_.reserve(count);
  next_ = sent_here_ = sent_bytes_ = 0;
  sender_->Requested(count);
  const net::OutgoingDatagram datagram = Outgoing(request_, exit);
  for (uint32_t i = 0; i < count; ++i) {
    const absl::Status status =
        exit.status.ok() ? CheckPayload(payloads_[i].size(), request_.group.family()) : exit.status;
    if (!status.ok()) {
      Fail(i, status, &exits_[exit_]);
      continue;
    }
    datagrams_.push_back(datagram);
    datagrams_.back().payload = payloads_[i];
    items_.push_back(i);
  }
}

net::SendStep Transmission::Send(Exit* exit, bool patient) {
  std::vector<net::SendFailure> failures;
  const net::SendStep step = socket_->TrySend(absl::MakeConstSpan(datagrams_).subspan(next_), patient, &failures);
  MCGW_INVARIANT(step.done <= datagrams_.size() - next_ && step.sent + failures.size() == step.done);
  for (size_t i = next_; i < next_ + step.done; ++i) sent_bytes_ += datagrams_[i].payload.size();
  for (const net::SendFailure& failure : failures) {
    sent_bytes_ -= datagrams_[next_ + failure.index].payload.size();
    Fail(items_[next_ + failure.index], InRequest(failure.status), exit);
  }
  next_ += step.done;
  sent_ += step.sent;
  sent_here_ += step.sent;
  return step;
}

void Transmission::Fail(uint32_t item, const absl::Status& status, Exit* exit) {
  failed_.resize(payloads_.size());
  if (failed_[item].exit == nullptr) failed_[item] = {status, exit};
  sender_->Failed(exit->interface->index, status);
  if (exit->status.ok() && payloads_.size() == 1) exit->status = status;
}

void Transmission::End(const Exit& exit) {
  begun_ = false;
  sender_->Sent(exit.interface->index, sent_here_, sent_bytes_);
  sender_->Abandoned(datagrams_.size() - next_);
}

void Transmission::Report(uint32_t first, PublishResult* result) const {
  const auto count = static_cast<uint32_t>(payloads_.size());
  for (uint32_t i = 0; i < count; ++i) {
    if (failed_.empty() || failed_[i].exit == nullptr) {
      ++result->accepted;
    } else {
      result->AddFailure(first + i, 1, failed_[i].status, failed_[i].exit->interface->name);
    }
  }
}

// ---- DatagramJob ----

absl::StatusOr<std::vector<SendResult>> DatagramJob::TakeResults() {
  if (!transmission_.status().ok()) return transmission_.status();
  std::vector<SendResult> results;
  for (Transmission::Exit& exit : transmission_.exits()) {
    results.push_back({.interface_name = exit.interface->name,
                       .interface_index = exit.interface->index,
                       .source = exit.source,
                       .source_port = exit.socket->source_port(),
                       .status = std::move(exit.status)});
  }
  return results;
}

// ---- BatchJob ----

SendJob::Next BatchJob::Step(const Turn& turn) {
  while (true) {
    if (!transmission_.has_value()) {
      if (next_ == bursts_->size()) return Next::kDone;
      burst_ = bursts_->Read(next_);
      transmission_.emplace(sender_, from_.get(), burst_.request, burst_.payloads);
    }
    if (burst_.invalid.ok() && !burst_.payloads.empty()) {
      const Next next = transmission_->Step(turn);
      if (next != Next::kDone) return next;
    }
    EndBurst();
    if (++next_ == bursts_->size()) return Next::kDone;
    if (net::MonotonicNs() >= turn.until_ns) return Next::kMore;
  }
}

void BatchJob::EndBurst() {
  const auto count = static_cast<uint32_t>(burst_.payloads.size());
  const absl::Status& refused = burst_.invalid.ok() ? transmission_->status() : burst_.invalid;
  if (refused.ok()) {
    transmission_->Report(item_, &result_);
    sent_ += transmission_->sent();
  } else if (count > 0) {
    result_.AddFailure(item_, count, refused, "");
    sender_->Refused(count);
  }
  item_ += count;
  transmission_.reset();
}

const std::shared_ptr<net::SendSocket>& BatchJob::socket() const {
  static const std::shared_ptr<net::SendSocket> kNone;
  return transmission_.has_value() ? transmission_->socket() : kNone;
}

}  // namespace mcgw::gateway
