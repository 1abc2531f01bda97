// The kernel's side of a channel, joined with one filter for all that want the channel.
//
// Usually one membership on one socket. A source-specific group with more sources than the kernel keeps for a socket
// has several memberships, each with its own sources. A source that stays wanted never moves from one to another, so
// none of its datagrams is lost or arrives twice. For other groups, siblings would deliver datagrams twice while one of
// them changes to EXCLUDE. There the kernel passes all sources, and each subscriber filters for itself.
//
// IPv6 sometimes loses a datagram when a filter changes its mode (net::ReceiveSocket::SetFilter). So an EXCLUDE that
// could become an INCLUDE does so while no datagrams arrive. Until then the kernel passes more than is wanted, and the
// network carries it. After `narrow_after_ns` the filter changes in any case, and a gap is announced.

#ifndef MCGW_GATEWAY_CHANNELS_RECEPTION_H_
#define MCGW_GATEWAY_CHANNELS_RECEPTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/receive_shard.h"
#include "server/fanout/source_filter.h"
#include "server/gateway/channels/channel_sockets.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

// Not thread-safe: InterfaceChannels locks. Its calls make system calls.
class Reception {
 public:
  // `sockets` and the spec's shard outlive it. Open sets the spec's interface.
  Reception(ChannelSockets* sockets, ChannelSpec spec, int64_t narrow_after_ns)
      : sockets_(sockets), spec_(std::move(spec)), narrow_after_ns_(narrow_after_ns) {}
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;

  // Joins on an interface and has the shard read. On failure nothing is joined. The log announces what was missed since
  // the last Close, with the cause given there.
  absl::Status Open(uint32_t interface_index, const std::string& interface_name, const fanout::SourceFilter& wanted);
  // Tells the kernel a new filter, or puts that off if the present one passes all that is wanted. On failure the old
  // filter stays.
  absl::Status Tell(const fanout::SourceFilter& wanted);
  // Tells the kernel a filter that was put off, if no datagram arrived between two calls or `narrow_after_ns` is over.
  // To be called once a second, with the monotonic time.
  void Narrow(int64_t now_ns);
  // Leaves and has the shard read what is still queued. `cause` is why datagrams are missed from now on.
  void Close(fanout::GapCause cause);

  bool is_open() const { return !siblings_.empty(); }
  bool was_open() const { return was_open_; }
  // The filter that the kernel was told, which passes at least what is wanted. While open.
  const fanout::SourceFilter& told() const { return told_; }
  // Whether the kernel passes more than is wanted, until Narrow.
  bool narrows() const { return put_off_.has_value(); }
  size_t socket_count() const { return siblings_.size(); }
  std::vector<SocketSnapshot> Sockets() const;
  // HOST_LIMIT if the shard found after Open that it cannot watch a socket, and so reads it late. While open.
  absl::Status Watched() const;
  // The sum over its sockets, with the inode of the first.
  net::ReceiveSocketFacts Facts() const;
  const fanout::ReceiveCounters& counters() const { return *spec_.counters; }
  const std::shared_ptr<fanout::ReceiveCounters>& counters_ptr() const { return spec_.counters; }
  // Calls `done` on the shard's thread once everything that Close left queued has been read.
  void AfterLastRead(std::function<void()> done) const { spec_.shard->Stop(nullptr, std::move(done)); }

 private:
  using Membership = ChannelSockets::Membership;
  using Sources = std::vector<net::IpAddress>;  // Sorted.
  struct Sibling {
    std::unique_ptr<Membership> membership;
    size_t most_sources = SIZE_MAX;
  };
  // Sources for the siblings that there are, and for new ones.
  struct Plan {
    std::vector<Sources> kept;
    std::vector<Sources> fresh;
  };

  std::string Describe() const;
  absl::StatusOr<std::unique_ptr<Membership>> Join(const fanout::SourceFilter& filter);
  void StartReading(Membership* membership);
  // As Join, but passes all sources if the kernel does not keep so many.
  absl::StatusOr<std::unique_ptr<Membership>> JoinAny(const fanout::SourceFilter& filter);
  absl::Status SetAny(const fanout::SourceFilter& filter);
  absl::Status SetSources(const Sources& wanted);
  Plan MakePlan(const Sources& wanted) const;
  // Carries out all of a plan or none of it. `*again`: the kernel keeps fewer sources than planned; make a new plan.
  absl::Status Carry(const Plan& plan, bool* again);
  absl::Status Explain(const absl::Status& status, size_t sources) const;

  ChannelSockets* const sockets_;
  ChannelSpec spec_;
  const int64_t narrow_after_ns_;
  std::vector<Sibling> siblings_;  // One, except for source-specific groups with many sources.
  size_t most_sources_ = 0;        // Of a new socket.
  fanout::SourceFilter told_;
  // A narrower filter that the kernel has not been told yet.
  struct PutOff {
    fanout::SourceFilter filter;
    int64_t since_ns = 0;                 // Monotonic; when the first of several in a row was put off.
    std::optional<uint64_t> read_before;  // counters().read at the last call of Narrow.
  };
  std::optional<PutOff> put_off_;
  bool was_open_ = false;
  std::optional<fanout::GapCause> interruption_;  // Announced when reading begins again.
  int64_t closed_unix_ns_ = 0;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_RECEPTION_H_
