#include "server/fanout/receive_shard.h"

#include <algorithm>
#include <utility>

#include "server/net/clock.h"

namespace mcgw::fanout {
namespace {

// A busy channel gives way to the others after so many reads.
constexpr int kReadsInARow = 4;

// More than the largest receive buffer holds, should a leave have failed.
constexpr int kMostTurnsAtStop = 1024;

void Add(std::atomic<uint64_t>* counter, uint64_t n) {
  counter->store(counter->load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

class ReceiveShard::Receiver : public net::EventLoop::Handler {
 public:
  Receiver(ReceiveShard* shard, Spec the_spec) : spec(std::move(the_spec)), shard_(shard) {}
  void OnReadable() override { shard_->Receive(this); }

  // Accounts for drops up to the socket's running count, just here. The counts are 32 bits and wrap.
  void Account(uint32_t drops_so_far, int64_t to_unix_ns) {
    const auto drops = static_cast<int32_t>(drops_so_far - drops_accounted);
    if (drops <= 0) return;
    spec.log->AppendDrops(drops, last_unix_ns, to_unix_ns);
    Add(&spec.counters->kernel_drops, drops);
    drops_accounted = drops_so_far;
  }

  const Spec spec;
  uint32_t drops_accounted = 0;
  int64_t last_unix_ns = net::UnixNs();

 private:
  ReceiveShard* const shard_;
};

ReceiveShard::ReceiveShard(net::EventLoop* loop, net::SocketFactory* factory, std::shared_ptr<SlabPool> pool)
    : loop_(loop), pool_(std::move(pool)), batch_(factory->NewReceiveBatch()) {}

ReceiveShard::~ReceiveShard() {
  while (!receivers_.empty()) StopNow(receivers_.begin()->first);
}

void ReceiveShard::Start(Spec spec) {
  loop_->Post([this, spec = std::move(spec)]() mutable { StartNow(std::move(spec)); });
}

void ReceiveShard::Stop(std::shared_ptr<net::ReceiveSocket> socket, std::function<void()> done) {
  loop_->Post([this, socket = std::move(socket), done = std::move(done)]() mutable {
    StopNow(socket.get());
    socket.reset();
    if (done) done();
  });
}

void ReceiveShard::Sweep() {
  loop_->Post([this] {
    for (const auto& [socket, receiver] : receivers_) {
      Receive(receiver.get());
    }
  });
}

void ReceiveShard::StartNow(Spec spec) {
  const net::ReceiveSocket* const socket = spec.socket.get();
  if (spec.interruption.has_value()) {
    spec.log->AppendUnknown(*spec.interruption, spec.interrupted_unix_ns, net::UnixNs());
    spec.log->Commit();
  }
  std::erase_if(logs_, [](const std::weak_ptr<ChannelLog>& log) { return log.expired(); });
  const bool known = std::any_of(logs_.begin(), logs_.end(),
                                 [&](const std::weak_ptr<ChannelLog>& log) { return log.lock() == spec.log; });
  if (!known) logs_.push_back(spec.log);
  auto receiver = std::make_unique<Receiver>(this, std::move(spec));
  if (!loop_->Add(socket->fd(), receiver.get()).ok()) Add(&receiver->spec.counters->errors, 1);
  receivers_.emplace(socket, std::move(receiver));
}

void ReceiveShard::StopNow(const net::ReceiveSocket* socket) {
  const auto at = receivers_.find(socket);
  if (at == receivers_.end()) return;
  Receiver* const receiver = at->second.get();
  loop_->Remove(socket->fd(), receiver);
  // It has left its group, so no more comes than was queued.
  for (int turns = 0; turns < kMostTurnsAtStop && Receive(receiver); ++turns) {
  }
  receivers_.erase(at);
}

bool ReceiveShard::Receive(Receiver* receiver) {
  bool drained = false;
  for (int reads = 0; reads < kReadsInARow && !drained; ++reads) {
    if (!ReadOnce(receiver, &drained)) return false;
  }
  if (drained) drained = AccountTrailing(receiver);
  receiver->spec.counters->mismatches.store(receiver->spec.socket->mismatches(), std::memory_order_relaxed);
  if (pool_->over_budget()) MakeRoom();
  return !drained;
}

bool ReceiveShard::ReadOnce(Receiver* receiver, bool* drained) {
  ReceiveCounters& counters = *receiver->spec.counters;
  const absl::StatusOr<size_t> count = receiver->spec.socket->Receive(batch_.get(), drained);
  if (!count.ok()) {
    Add(&counters.errors, 1);
    return false;
  }
  const absl::Span<const net::ReceivedDatagram> datagrams = batch_->datagrams();
  if (datagrams.empty()) return true;
  ChannelLog& log = *receiver->spec.log;
  const int64_t now_ns = net::MonotonicNs();
  uint64_t payload_bytes = 0;
  for (const net::ReceivedDatagram& datagram : datagrams) {
    receiver->Account(datagram.drops_so_far, datagram.receive_time_unix_ns);
    log.Append(datagram, now_ns);
    receiver->last_unix_ns = datagram.receive_time_unix_ns;
    payload_bytes += datagram.payload.size();
  }
  log.Commit();
  Add(&counters.read, datagrams.size());
  Add(&counters.payload_bytes, payload_bytes);
  counters.last_receive_unix_ns.store(receiver->last_unix_ns, std::memory_order_relaxed);
  net::MutexLock lock(&counters.mutex);
  counters.source = datagrams.back().source;
  return true;
}

bool ReceiveShard::AccountTrailing(Receiver* receiver) {
  const uint32_t drops = receiver->spec.socket->Drops();
  if (drops == receiver->drops_accounted) return true;
  // Since the queue was seen empty it may have filled and overflowed: what was queued meanwhile comes before those
  // drops. So the count is right for this place only if the queue is seen empty after it was read.
  bool drained = false;
  if (!ReadOnce(receiver, &drained) || !drained) return false;
  receiver->Account(drops, net::UnixNs());
  receiver->spec.log->Commit();
  return true;
}

void ReceiveShard::MakeRoom() {
  while (pool_->over_budget()) {
    std::shared_ptr<ChannelLog> largest;
    for (const std::weak_ptr<ChannelLog>& weak : logs_) {
      std::shared_ptr<ChannelLog> log = weak.lock();
      if (log != nullptr && (largest == nullptr || log->footprint_bytes() > largest->footprint_bytes())) {
        largest = std::move(log);
      }
    }
    if (largest == nullptr || !largest->EvictOldest()) return;
  }
}

}  // namespace mcgw::fanout
