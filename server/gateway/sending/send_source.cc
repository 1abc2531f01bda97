#include "server/gateway/sending/send_source.h"

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {

using net::Family;

absl::Status NoSendSocketLeft(const SocketBudget& budget) {
  return net::Error(net::Reason::kHostLimit, "",
                    net::StrCat("the gateway may hold ", budget.most(),
                                " sockets to send from, by the limit of open files, and all are in use: "
                                "leave sessions that send, or raise the limit (LimitNOFILE, ulimit -Hn)"));
}

SendSource::~SendSource() {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (const uint16_t port = ports_->port(family); port != 0) {
      traffic_->RetirePort(family, port, net::MonotonicNs());
    }
  }
}

absl::StatusOr<std::shared_ptr<net::SendSocket>> SendSource::Socket(const Way& way) {
  net::MutexLock lock(&mutex_);
  const auto at = made_.find(way);
  if (at != made_.end()) return at->second;
  absl::StatusOr<std::shared_ptr<net::SendSocket>> made = Make(way);
  if (made.ok() || way.interface_index == 0 || net::ReasonOf(made.status()) != net::Reason::kHostLimit) return made;
  Way for_all = way;
  for_all.interface_index = 0;
  const auto shared = made_.find(for_all);
  return shared != made_.end() ? shared->second : Make(for_all);
}

absl::StatusOr<std::shared_ptr<net::SendSocket>> SendSource::Make(const Way& way) {
  SocketBudget& budget = way.interface_index == 0 ? budgets_.for_all : budgets_.for_one;
  const SocketBudget::Token token = budget.TakeOwn();
  if (token == nullptr) return NoSendSocketLeft(budget);
  const uint16_t port = ports_->port(way.family);
  absl::StatusOr<std::unique_ptr<net::SendSocket>> made =
      sockets_->NewSendSocket({.family = way.family,
                               .loop = way.loop,
                               .dont_fragment = way.dont_fragment,
                               .host_only = way.host_only,
                               .source_port = port != 0 ? port : source_port_,
                               .shares_port = port != 0});
  if (!made.ok()) return made.status();
  // It counts until the last job that sends through it lets go.
  const std::shared_ptr<net::SendSocket> socket((*made).release(), [token](net::SendSocket* last) { delete last; });
  made_.emplace(way, socket);
  if (port == 0) {
    // Recorded before anything is sent from it.
    traffic_->AddPort(way.family, socket->source_port());
    ports_->Set(way.family, socket->source_port());
  }
  return socket;
}

void SendSource::Sweep(const net::InterfaceTable& table) {
  net::MutexLock lock(&mutex_);
  std::erase_if(made_, [&](const auto& made) {
    const uint32_t index = made.first.interface_index;
    return index != 0 && table.FindByIndex(index) == nullptr;
  });
}

}  // namespace mcgw::gateway
