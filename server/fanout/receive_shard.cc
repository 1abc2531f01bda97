#include "server/fanout/receive_shard.h"

#include <algorithm>
#include <utility>

#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/status.h"

namespace mcgw::fanout {
namespace {

// After this many reads, a busy channel yields to the others.
constexpr int kReadsInARow = 4;

// After this long without datagrams, a reader at the log's head has had time to read everything.
constexpr int64_t kIdleNs = 1'000'000'000;

// More than the largest receive buffer holds, in case a leave failed.
constexpr int kMostTurnsAtStop = 1024;

void Add(std::atomic<uint64_t>* counter, uint64_t n) {
  counter->store(counter->load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

// One socket and the channels that it feeds: one, or several if it is shared.
class ReceiveShard::Receiver : public net::EventLoop::Handler {
 public:
  // A channel, and what the current read has brought it.
  struct Sink {
    net::IpAddress group;
    std::shared_ptr<ChannelLog> log;
    std::shared_ptr<ReceiveCounters> counters;
    uint64_t read = 0;
    uint64_t payload_bytes = 0;
    net::IpAddress source;
    uint8_t hop_limit = 0;
    bool missing = false;  // A shared socket has dropped something between these times.
    int64_t missing_from_unix_ns = 0;
    int64_t missing_to_unix_ns = 0;

    void TellWhatIsMissing() {
      if (missing) log->AppendUnknown(GapCause::kKernelDrop, missing_from_unix_ns, missing_to_unix_ns);
      missing = false;
    }
  };

  Receiver(ReceiveShard* shard, const Spec& spec)
      : socket(spec.socket),
        shared(spec.socket->shared()),
        counters(spec.socket_counters != nullptr ? spec.socket_counters : std::make_shared<SocketCounters>()),
        shard_(shard) {}
  void OnReadable() override { shard_->Receive(this); }

  // The sink of a datagram; nullptr if no channel has its group.
  Sink* SinkOf(const net::ReceivedDatagram& datagram) {
    if (!shared) return &sinks.front();
    // Datagrams of a group tend to come in succession.
    if (last_sink_ < sinks.size() && sinks[last_sink_].group == datagram.destination) return &sinks[last_sink_];
    for (last_sink_ = 0; last_sink_ < sinks.size(); ++last_sink_) {
      if (sinks[last_sink_].group == datagram.destination) return &sinks[last_sink_];
    }
    return nullptr;
  }

  // Accounts at this place for drops up to the socket's running count. The counts are 32 bits and wrap. A drop at a
  // shared socket may concern any of its channels, so each is told that it may miss some.
  void Account(uint32_t drops_so_far, int64_t to_unix_ns) {
    const auto drops = static_cast<int32_t>(drops_so_far - drops_accounted);
    if (drops <= 0) return;
    if (!shared) {
      sinks.front().log->AppendDrops(drops, last_unix_ns, to_unix_ns);
      Add(&sinks.front().counters->kernel_drops, drops);
    } else {
      for (Sink& sink : sinks) {
        if (!sink.missing) sink.missing_from_unix_ns = last_unix_ns;
        sink.missing = true;
        sink.missing_to_unix_ns = to_unix_ns;
      }
    }
    Add(&counters->kernel_drops, drops);
    drops_accounted = drops_so_far;
  }

  // Adds the socket's reads and mismatches since the last call to the counters.
  void AccountReads() {
    const uint64_t reads = socket->reads();
    const uint64_t mismatches = socket->mismatches();
    const uint64_t fresh_reads = reads - reads_accounted_;
    const uint64_t fresh_mismatches = mismatches - mismatches_accounted_;
    MCGW_INVARIANT(reads >= reads_accounted_ && mismatches >= mismatches_accounted_);
    reads_accounted_ = reads;
    mismatches_accounted_ = mismatches;
    if (fresh_reads == 0) return;
    Add(&counters->read, fresh_reads);
    Add(&counters->mismatches, fresh_mismatches);
    if (shared) return;
    Add(&sinks.front().counters->read, fresh_reads);
    Add(&sinks.front().counters->mismatches, fresh_mismatches);
  }

  // Publishes what a read has brought.
  void Commit() {
    for (Sink& sink : sinks) {
      sink.TellWhatIsMissing();
      sink.log->Commit();
      if (sink.read == 0) continue;
      ReceiveCounters& channel = *sink.counters;
      if (shared) Add(&channel.read, sink.read);  // Only the sink knows its channel.
      Add(&channel.payload_bytes, sink.payload_bytes);
      channel.last_receive_unix_ns.store(last_unix_ns, std::memory_order_relaxed);
      channel.last_hop_limit.store(sink.hop_limit, std::memory_order_relaxed);
      sink.read = 0;
      sink.payload_bytes = 0;
      net::MutexLock lock(&channel.mutex);
      channel.source = sink.source;
    }
  }

  const std::shared_ptr<net::ReceiveSocket> socket;
  const bool shared;
  const std::shared_ptr<SocketCounters> counters;
  std::vector<Sink> sinks;  // Never empty while the loop knows the receiver.
  bool watched = false;     // By the loop.
  uint32_t drops_accounted = 0;
  int64_t last_unix_ns = net::UnixNs();

 private:
  ReceiveShard* const shard_;
  size_t last_sink_ = 0;
  uint64_t reads_accounted_ = 0;
  uint64_t mismatches_accounted_ = 0;
};

ReceiveShard::ReceiveShard(net::EventLoop* loop, net::SocketFactory* factory, std::shared_ptr<LogBudget> budget)
    : loop_(loop), budget_(std::move(budget)), batch_(factory->NewReceiveBatch()) {}

ReceiveShard::~ReceiveShard() {
  while (!receivers_.empty()) StopNow(receivers_.begin()->first, nullptr, net::UnixNs());
}

void ReceiveShard::Start(Spec spec) {
  // Numbered now, so that a subscriber that starts from now on is behind it.
  const uint32_t interruption = spec.interruption.has_value() ? spec.log->NextInterruption() : 0;
  loop_->Post([this, spec = std::move(spec), interruption]() mutable { StartNow(std::move(spec), interruption); });
}

void ReceiveShard::Stop(std::shared_ptr<net::ReceiveSocket> socket, std::function<void()> done,
                        std::shared_ptr<ChannelLog> log) {
  loop_->Post(
      [this, socket = std::move(socket), done = std::move(done), log = std::move(log), now = net::UnixNs()]() mutable {
        StopNow(socket.get(), log.get(), now);
        socket.reset();
        if (done) done();
      });
}

void ReceiveShard::Interrupt(std::shared_ptr<ChannelLog> log, GapCause cause, int64_t from_unix_ns) {
  const uint32_t interruption = log->NextInterruption();
  loop_->Post([log = std::move(log), cause, from_unix_ns, interruption] {
    log->AppendUnknown(cause, from_unix_ns, /*to_time_unix_ns=*/0, interruption);
    log->Commit();
  });
}

void ReceiveShard::Sweep(int64_t now_ns) {
  loop_->Post([this, now_ns] {
    for (const auto& [socket, receiver] : receivers_) {
      // If the loop watches the socket, queued datagrams make it call.
      const bool watched = Watch(receiver.get());
      if (!watched || socket->Drops() != receiver->drops_accounted) Receive(receiver.get());
    }
    for (const auto& [key, weak] : logs_) {
      const std::shared_ptr<ChannelLog> log = weak.lock();
      if (log == nullptr) continue;
      log->Expire(now_ns);
      if (budget_->spent() && budget_->logged_bytes() > budget_->budget_bytes() / 2) log->EvictIfIdle(now_ns, kIdleNs);
    }
  });
}

bool ReceiveShard::Watch(Receiver* receiver) {
  if (receiver->watched) return true;
  const absl::Status status = loop_->Add(receiver->socket->fd(), receiver);
  receiver->watched = status.ok();
  receiver->counters->watch_errno.store(status.ok() ? 0 : net::ErrnoOf(status), std::memory_order_relaxed);
  return status.ok();
}

void ReceiveShard::StartNow(Spec spec, uint32_t interruption) {
  const net::ReceiveSocket* const socket = spec.socket.get();
  if (spec.interruption.has_value()) {
    spec.log->AppendUnknown(*spec.interruption, spec.interrupted_unix_ns, net::UnixNs(), interruption);
    spec.log->Commit();
  }
  if (logs_.size() >= sweep_logs_at_) {
    std::erase_if(logs_, [](const auto& entry) { return entry.second.expired(); });
    sweep_logs_at_ = std::max<size_t>(64, 2 * logs_.size());
  }
  logs_[spec.log.get()] = spec.log;
  std::unique_ptr<Receiver>& receiver = receivers_[socket];
  if (receiver == nullptr) receiver = std::make_unique<Receiver>(this, spec);
  MCGW_INVARIANT(receiver->shared || receiver->sinks.empty());
  receiver->sinks.push_back({.group = spec.group, .log = std::move(spec.log), .counters = std::move(spec.counters)});
  Watch(receiver.get());
}

void ReceiveShard::StopNow(const net::ReceiveSocket* socket, const ChannelLog* log, int64_t stopped_unix_ns) {
  const auto at = receivers_.find(socket);
  if (at == receivers_.end()) return;
  Receiver* const receiver = at->second.get();
  const bool last = log == nullptr || (receiver->sinks.size() == 1 && receiver->sinks.front().log.get() == log);
  if (last && receiver->watched) loop_->Remove(socket->fd(), receiver);
  // The socket has left its group, so nothing comes beyond what is queued. A shared socket still hears its other
  // groups; datagrams that come after the leave are not waited for.
  for (int turns = 0; turns < kMostTurnsAtStop && Receive(receiver); ++turns) {
    if (!last && receiver->last_unix_ns > stopped_unix_ns) break;
  }
  if (last) {
    receivers_.erase(at);
  } else {
    std::erase_if(receiver->sinks, [log](const Receiver::Sink& sink) { return sink.log.get() == log; });
  }
}

bool ReceiveShard::Receive(Receiver* receiver) {
  const net::OneAtATime::Using reading(reading_);
  MCGW_INVARIANT(!receiver->sinks.empty() && (receiver->shared || receiver->sinks.size() == 1));
  bool drained = false;
  for (int reads = 0; reads < kReadsInARow && !drained; ++reads) {
    // What is queued behind an error still comes.
    if (!ReadOnce(receiver, &drained)) return true;
  }
  if (drained) drained = AccountTrailing(receiver);
  return !drained;
}

bool ReceiveShard::ReadOnce(Receiver* receiver, bool* drained) {
  const absl::StatusOr<size_t> count = receiver->socket->Receive(batch_.get(), drained);
  receiver->AccountReads();
  if (!count.ok()) {
    Add(&receiver->counters->errors, 1);
    if (!receiver->shared) Add(&receiver->sinks.front().counters->errors, 1);
    return false;
  }
  const absl::Span<const net::ReceivedDatagram> datagrams = batch_->datagrams();
  if (datagrams.empty()) return true;
  const int64_t now_ns = net::MonotonicNs();
  for (const net::ReceivedDatagram& datagram : datagrams) {
    receiver->Account(datagram.drops_so_far, datagram.receive_time_unix_ns);
    receiver->last_unix_ns = datagram.receive_time_unix_ns;
    Receiver::Sink* const sink = receiver->SinkOf(datagram);
    if (sink == nullptr) {  // The group was left meanwhile.
      Add(&receiver->counters->mismatches, 1);
      continue;
    }
    sink->TellWhatIsMissing();
    sink->log->Append(datagram, now_ns);
    ++sink->read;
    sink->payload_bytes += datagram.payload.size();
    sink->source = datagram.source;
    sink->hop_limit = datagram.hop_limit;
  }
  receiver->Commit();
  return true;
}

bool ReceiveShard::AccountTrailing(Receiver* receiver) {
  const uint32_t drops = receiver->socket->Drops();
  if (drops == receiver->drops_accounted) return true;
  // Since the queue was last seen empty it may have filled and overflowed, so what was queued meanwhile comes before
  // those drops. The count is right for this place only if the queue is empty again after this read.
  bool drained = false;
  if (!ReadOnce(receiver, &drained) || !drained) return false;
  receiver->Account(drops, net::UnixNs());
  receiver->Commit();
  return true;
}

}  // namespace mcgw::fanout
