#include "server/gateway/send_source.h"

#include "server/net/clock.h"

namespace mcgw::gateway {

using net::Family;

SendSource::~SendSource() {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (const uint16_t port = ports_->port(family); port != 0) {
      traffic_->RetirePort(family, port, net::MonotonicNs());
    }
  }
}

absl::StatusOr<net::SendSocket*> SendSource::Socket(const Way& way) {
  net::MutexLock lock(&mutex_);
  std::unique_ptr<net::SendSocket>& socket = made_[way];
  if (socket != nullptr) return socket.get();
  const uint16_t port = ports_->port(way.family);
  absl::StatusOr<std::unique_ptr<net::SendSocket>> made =
      sockets_->NewSendSocket({.family = way.family,
                               .loop = way.loop,
                               .dont_fragment = way.dont_fragment,
                               .host_only = way.host_only,
                               .source_port = port != 0 ? port : source_port_,
                               .shares_port = port != 0});
  if (!made.ok()) return made.status();
  socket = *std::move(made);
  if (port == 0) {
    // Known before anything is sent from it.
    traffic_->AddPort(way.family, socket->source_port());
    ports_->Set(way.family, socket->source_port());
  }
  return socket.get();
}

}  // namespace mcgw::gateway
