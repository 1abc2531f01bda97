// One request to send, carried out in steps that never wait.
//
// The thread that receives a request takes the first step, which is usually the last. What remains (because of a full
// buffer, a membership that must be joined first, or a long batch) goes to a SendLoop, so that the thread is free for
// others.

#ifndef MCGW_GATEWAY_SENDING_SEND_JOB_H_
#define MCGW_GATEWAY_SENDING_SEND_JOB_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/gateway/rules/policy.h"
#include "server/gateway/sending/send_source.h"
#include "server/net/clock.h"
#include "server/net/interface_table.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

class Sender;

// The result of a datagram on one interface.
struct SendResult {
  std::string interface_name;
  uint32_t interface_index = 0;
  net::IpAddress source;
  uint16_t source_port = 0;
  absl::Status status;
};

// Datagrams for one destination.
struct Burst {
  absl::Status invalid;  // Not OK: the burst is malformed, and all its items fail with this.
  SendRequest request;
  std::vector<std::string_view> payloads;  // Borrowed.
};

// The bursts of a batch, decoded one by one when needed.
class Bursts {
 public:
  virtual ~Bursts() = default;
  virtual size_t size() const = 0;
  // Its payloads stay valid as long as this object.
  virtual Burst Read(size_t index) = 0;
};

// Items `first` to `first + count - 1` failed for the same reason.
struct ItemFailure {
  uint32_t first = 0;
  uint32_t count = 0;
  absl::Status status;
  std::string interface_name;
};

struct PublishResult {
  // Further runs are not distinguished.
  static constexpr size_t kMostFailures = 256;

  uint32_t accepted = 0;
  std::vector<ItemFailure> failures;
  // There were more runs: the last failure counts all that failed from its first item on, for any reason.
  bool rest_merged = false;

  void AddFailure(uint32_t first, uint32_t count, const absl::Status& status, const std::string& interface_name);
};

// Used by one thread at a time, except Cancel.
class SendJob {
 public:
  enum class Next {
    kDone,
    kMore,      // Continue at once; the turn is over.
    kWritable,  // When socket() has room, in turn with others that wait for it.
    kMoment,    // After net::SendSocket::kMomentNs.
    kMayBlock,  // Continue on a thread that may block.
  };
  struct Turn {
    int64_t until_ns = 0;                 // Monotonic; the turn's end.
    const net::SendSocket* of = nullptr;  // The socket that it has waited for.
    bool patient = true;                  // As of SendSocket::TrySend.
    bool may_block = false;
  };

  // The turn of the thread that receives the request: at most a millisecond, since it serves others too.
  static Turn FirstTurn() { return {.until_ns = net::MonotonicNs() + 1'000'000}; }

  virtual ~SendJob() = default;
  SendJob() = default;
  SendJob(const SendJob&) = delete;
  SendJob& operator=(const SendJob&) = delete;

  // Sends at least one system call's worth, unless it has to wait.
  virtual Next Step(const Turn& turn) = 0;
  // The socket of the datagrams in progress; may be null before the first step.
  virtual const std::shared_ptr<net::SendSocket>& socket() const = 0;
  // The number of datagrams that the kernel has accepted so far.
  virtual uint64_t sent() const = 0;

  // The result is no longer wanted. Any thread may call it.
  void Cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> cancelled_{false};
};

// Takes all steps and waits between them. Blocks.
void CompleteJob(SendJob* job);

// One burst in progress, on each interface that its selector means.
class Transmission {
 public:
  // One interface to send on.
  struct Exit {
    std::shared_ptr<const net::Interface> interface;
    net::IpAddress source;
    absl::Status status;  // The first failure, including those found before sending: down, no carrier, no address.
    std::shared_ptr<net::MembershipSocket> membership;  // With hop limit 0: keeps them on the host.
    std::shared_ptr<net::SendSocket> socket;
  };

  // All outlive it; `payloads` too.
  Transmission(Sender* sender, SendSource* from, const SendRequest& request,
               const std::vector<std::string_view>& payloads)
      : sender_(sender), from_(from), request_(request), payloads_(payloads) {}
  Transmission(const Transmission&) = delete;
  Transmission& operator=(const Transmission&) = delete;
  // Gives up: what was not sent counts as failed.
  ~Transmission();

  // Also true if nothing could be tried: see status().
  SendJob::Next Step(const SendJob::Turn& turn);

  const absl::Status& status() const { return status_; }
  std::vector<Exit>& exits() { return exits_; }
  const std::shared_ptr<net::SendSocket>& socket() const { return socket_; }
  uint64_t sent() const { return sent_; }
  // Once done with an OK status: adds the results of the items, numbered from `first`.
  void Report(uint32_t first, PublishResult* result) const;

 private:
  // The first interface that did not accept an item, and why.
  struct Failure {
    absl::Status status;
    const Exit* exit = nullptr;
  };

  void Begin(const Exit& exit);
  net::SendStep Send(Exit* exit, bool patient);
  void Fail(uint32_t item, const absl::Status& status, Exit* exit);
  void End(const Exit& exit);

  Sender* const sender_;
  SendSource* const from_;
  const SendRequest& request_;
  const std::vector<std::string_view>& payloads_;
  absl::Status status_;
  bool prepared_ = false;
  std::vector<Exit> exits_;
  std::vector<Failure> failed_;  // By item; empty until something fails.
  uint64_t sent_ = 0;
  std::shared_ptr<net::SendSocket> socket_;

  // State of the exit in progress.
  size_t exit_ = 0;
  bool begun_ = false;
  std::vector<net::OutgoingDatagram> datagrams_;
  std::vector<uint32_t> items_;  // Of each datagram.
  size_t next_ = 0;
  uint64_t sent_here_ = 0;
  uint64_t sent_bytes_ = 0;
};

// Send: one datagram.
class DatagramJob final : public SendJob {
 public:
  DatagramJob(Sender* sender, std::shared_ptr<SendSource> from, SendRequest request, std::string_view payload)
      : from_(std::move(from)),
        request_(std::move(request)),
        payloads_{payload},
        transmission_(sender, from_.get(), request_, payloads_) {}

  Next Step(const Turn& turn) override { return transmission_.Step(turn); }
  const std::shared_ptr<net::SendSocket>& socket() const override { return transmission_.socket(); }
  uint64_t sent() const override { return transmission_.sent(); }
  // Once done: one result for each interface that the selector means, or why nothing could be tried.
  absl::StatusOr<std::vector<SendResult>> TakeResults();

 private:
  const std::shared_ptr<SendSource> from_;
  const SendRequest request_;
  const std::vector<std::string_view> payloads_;
  Transmission transmission_;
};

// Publish: the bursts of one batch, in order; items are numbered across them.
class BatchJob final : public SendJob {
 public:
  BatchJob(Sender* sender, std::shared_ptr<SendSource> from, std::unique_ptr<Bursts> bursts)
      : sender_(sender), from_(std::move(from)), bursts_(std::move(bursts)) {}

  Next Step(const Turn& turn) override;
  const std::shared_ptr<net::SendSocket>& socket() const override;
  uint64_t sent() const override { return sent_ + (transmission_.has_value() ? transmission_->sent() : 0); }
  PublishResult TakeResult() { return std::move(result_); }

 private:
  void EndBurst();

  Sender* const sender_;
  const std::shared_ptr<SendSource> from_;
  const std::unique_ptr<Bursts> bursts_;
  size_t next_ = 0;  // Burst.
  uint32_t item_ = 0;
  uint64_t sent_ = 0;  // By bursts that are done.
  Burst burst_;        // In progress.
  std::optional<Transmission> transmission_;
  PublishResult result_;
};

// Bursts in memory.
class BurstList final : public Bursts {
 public:
  explicit BurstList(std::vector<Burst> bursts) : bursts_(std::move(bursts)) {}
  size_t size() const override { return bursts_.size(); }
  Burst Read(size_t index) override { return bursts_[index]; }

 private:
  const std::vector<Burst> bursts_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_SEND_JOB_H_
