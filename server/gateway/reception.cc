#include "server/gateway/reception.h"

#include <atomic>
#include <cerrno>
#include <optional>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;

// Once is enough: the limit is the host's, and all sockets meet it.
void WarnOfSmallBuffer(size_t asked_bytes, size_t granted_bytes) {
  static std::atomic<bool> warned{false};
  // The kernel answers with twice what it was asked, for its own overhead (socket(7)).
  if (granted_bytes / 2 >= asked_bytes || warned.exchange(true)) return;
  spdlog::warn("receive buffers: asked for {} bytes, got {}; bursts may be dropped: sysctl -w net.core.rmem_max={}",
               asked_bytes, granted_bytes / 2, asked_bytes);
}

}  // namespace

std::string Reception::Describe() const {
  return net::StrCat(net::ToString(spec_.group, spec_.port), " on ", interface_name_);
}

absl::Status Reception::Explain(const absl::Status& status, const SourceFilter& wished) const {
  if (net::ErrnoOf(status) != ENOBUFS) return status;
  return net::Error(net::Reason::kSourceLimit, "source_filter.sources",
                    net::StrCat(Describe(), ": the kernel refuses ", wished.sources().size(),
                                " sources for one group; raise net.ipv4.igmp_max_msf or net.ipv6.mld_max_msf"));
}

absl::Status Reception::Join(const net::ReceiveSocketSpec& spec, const SourceFilter& filter) {
  absl::StatusOr<std::unique_ptr<net::ReceiveSocket>> socket = spec_.sockets->NewReceiveSocket(spec);
  if (!socket.ok()) return socket.status();
  if (absl::Status status = (*socket)->Join(filter.mode(), filter.sources()); !status.ok()) return status;
  WarnOfSmallBuffer(spec_.socket_buffer_bytes, (*socket)->Facts().receive_buffer_bytes);
  socket_ = *std::move(socket);
  told_ = filter;
  return absl::OkStatus();
}

absl::Status Reception::Open(uint32_t interface_index, const std::string& interface_name, const SourceFilter& wished) {
  interface_name_ = interface_name;
  const net::ReceiveSocketSpec spec{.interface_index = interface_index,
                                    .interface_name = interface_name,
                                    .group = spec_.group,
                                    .port = spec_.port,
                                    .receive_buffer_bytes = spec_.socket_buffer_bytes};
  absl::Status status = Join(spec, wished);
  if (net::ErrnoOf(status) == ENOBUFS && !spec_.group.IsSourceSpecific()) {
    // More sources than the kernel keeps for a socket: it passes all, and each subscriber's own filter does the rest.
    // The failed join may have left a part behind, so the socket is made anew.
    status = Join(spec, SourceFilter::AnySource());
  }
  if (!status.ok()) return Explain(status, wished);
  spec_.shard->Start({.socket = socket_,
                      .log = spec_.log,
                      .counters = counters_,
                      .interruption = was_open_ ? std::optional(closed_cause_) : std::nullopt,
                      .interrupted_unix_ns = closed_unix_ns_});
  was_open_ = true;
  return absl::OkStatus();
}

absl::Status Reception::Tell(const SourceFilter& wished) {
  if (wished == told_) return absl::OkStatus();
  absl::Status status = socket_->SetFilter(wished.mode(), wished.sources());
  if (status.ok()) {
    told_ = wished;
  } else if (net::ErrnoOf(status) == ENOBUFS && !spec_.group.IsSourceSpecific()) {
    status = told_.IsAnySource() ? absl::OkStatus() : socket_->SetFilter(net::FilterMode::kExclude, {});
    if (status.ok()) told_ = SourceFilter::AnySource();
  }
  return status.ok() ? status : Explain(status, wished);
}

void Reception::Close(fanout::GapCause cause) {
  if (const absl::Status status = socket_->Leave(); !status.ok()) {
    // Closing the socket leaves all the same.
    spdlog::debug("leave of {}: {}", Describe(), net::ToStd(status.message()));
  }
  spec_.shard->Stop(std::move(socket_), nullptr);
  socket_.reset();
  closed_cause_ = cause;
  closed_unix_ns_ = net::UnixNs();
}

}  // namespace mcgw::gateway
