#include "server/gateway/sending/sender.h"

#include <algorithm>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {
namespace {

using net::Error;
using net::Family;
using net::Interface;
using net::IpAddress;
using net::Reason;

// The address that the host itself would send from. The source that its route prefers may belong to another interface,
// such as a router's loopback; but an interface without an address of its own is refused below.
IpAddress SourceFor(const Selected& selected, const IpAddress& group) {
  const std::optional<IpAddress> own = selected.interface->SourceFor(group);
  if (!own.has_value()) return IpAddress::Unspecified(group.family());
  return selected.source.value_or(*own);
}

bool HasAddress(const Interface& interface, const IpAddress& address) {
  return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                     [&](const net::InterfaceAddress& entry) { return entry.address == address; });
}

// Errors that the kernel does not report, or reports badly: without a carrier IPv4 datagrams vanish, and an interface
// without an address sends with another one's.
absl::Status CheckInterface(const Interface& interface, const SendRequest& request) {
  if (!interface.up) {
    return Error(Reason::kInterfaceDown, "destination.interface",
                 net::StrCat("interface ", interface.name, " is down: ip link set ", interface.name, " up"));
  }
  if (!interface.carries_multicast) return NoMulticast(interface.name, "destination.interface");
  if (!interface.carrier) {
    return Error(Reason::kNoCarrier, "destination.interface",
                 net::StrCat("interface ", interface.name,
                             " has no carrier, so the datagram would be lost: check the cable or the peer"));
  }
  if (!interface.HasAddress(request.group.family())) {
    return Error(Reason::kNoAddress, "destination.interface",
                 net::StrCat("interface ", interface.name, " has no ", net::FamilyName(request.group.family()),
                             " address to send from: ip address add ADDRESS dev ", interface.name));
  }
  if (request.source.has_value() && !HasAddress(interface, *request.source)) {
    return Error(Reason::kSourceNotLocal, "options.source_address",
                 net::StrCat(request.source->ToString(), " is not an address of interface ", interface.name));
  }
  return absl::OkStatus();
}

// Errors from below name a field of the membership; that of the request has another name.
absl::Status InDestination(const absl::Status& status) {
  return net::FieldOf(status) == "interface" ? net::WithFieldPrefix(status, "destination.") : status;
}

}  // namespace

Sender::Sender(net::SocketFactory* sockets, InterfaceDirectory* directory, uint16_t source_port, size_t most_sources,
               SocketBudget budget)
    : sockets_(sockets),
      directory_(directory),
      most_sources_(most_sources),
      budget_(std::move(budget)),
      own_(sockets, traffic_, std::make_shared<fanout::SourcePorts>(), source_port,
           {.for_all = {}, .for_one = budget_}),
      host_memberships_(sockets, budget_) {}

absl::Status Sender::Open() {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const absl::Status status = own_.Socket({.family = family}).status();
    if (net::ReasonOf(status) == Reason::kNoAddress) {
      spdlog::info("does not send over {}: {}", net::FamilyName(family), net::ToStd(status.message()));
    } else if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<SendSource>> Sender::NewSource(std::shared_ptr<fanout::SourcePorts> ports) {
  if (sources_.fetch_add(1) >= most_sources_) {
    sources_.fetch_sub(1);
    return Error(Reason::kSessionLimit, "session_id",
                 net::StrCat(most_sources_, " sessions send from ports of their own, the gateway's limit: ",
                             "leave those that are no longer needed, or send without a session"));
  }
  return std::shared_ptr<SendSource>(
      new SendSource(sockets_, traffic_, std::move(ports), 0, {.for_all = budget_, .for_one = budget_}),
      [this](SendSource* source) {
        delete source;
        sources_.fetch_sub(1);
      });
}

void Sender::Sweep(int64_t now_ns) {
  const std::shared_ptr<const net::InterfaceTable> table = directory_->table();
  traffic_->SetTable(table);
  traffic_->Sweep(now_ns);
  host_memberships_.Sweep(*table, now_ns);
  own_.Sweep(*table);
}

absl::StatusOr<std::vector<Transmission::Exit>> Sender::Exits(const SendRequest& request) {
  if (absl::Status status = CheckSend(request); !status.ok()) return status;
  absl::StatusOr<std::vector<Selected>> interfaces = directory_->Resolve(request.selector, request.group);
  // The obstacle may be gone: look at the host again before refusing a send.
  const auto is_refused = [&](const Selected& selected) { return !CheckInterface(*selected.interface, request).ok(); };
  if (interfaces.ok() && std::any_of(interfaces->begin(), interfaces->end(), is_refused) && directory_->CatchUp()) {
    interfaces = directory_->Resolve(request.selector, request.group);
  }
  if (!interfaces.ok()) return net::WithFieldPrefix(interfaces.status(), "destination.");
  if (interfaces->empty()) {
    return Error(Reason::kInterfaceNotFound, "destination.interface",
                 net::StrCat("no interface of the gateway's host is eligible for `*` and ",
                             net::FamilyName(request.group.family()), ", which leaves out ",
                             directory_->LeftOut(*directory_->table(), request.group.family()), ": name one"));
  }
  std::vector<Transmission::Exit> exits;
  exits.reserve(interfaces->size());
  for (const Selected& selected : *interfaces) {
    const IpAddress source = request.source.has_value() ? *request.source : SourceFor(selected, request.group);
    Transmission::Exit exit{.interface = selected.interface,
                            .source = source,
                            .status = CheckInterface(*selected.interface, request),
                            .membership = nullptr,
                            .socket = nullptr};
    if (request.hop_limit == 0 && exit.status.ok()) {
      auto membership = host_memberships_.Hold(*exit.interface, request.group, exit.source, net::MonotonicNs());
      exit.status = InDestination(membership.status());
      if (membership.ok()) exit.membership = *std::move(membership);
    }
    exits.push_back(std::move(exit));
  }
  return exits;
}

absl::StatusOr<std::vector<Transmission::Exit>> Sender::Prepare(const SendRequest& request, SendSource* from) {
  absl::StatusOr<std::vector<Transmission::Exit>> exits = Exits(request);
  if (!exits.ok()) return exits;
  SendSource::Way way = {.family = request.group.family(),
                         .loop = request.loop,
                         .dont_fragment = request.dont_fragment,
                         .host_only = request.hop_limit == 0};
  for (Transmission::Exit& exit : *exits) {
    // All clients share this source: the link of one must not hold up another's.
    if (from == nullptr) way.interface_index = exit.interface->index;
    absl::StatusOr<std::shared_ptr<net::SendSocket>> socket = (from == nullptr ? &own_ : from)->Socket(way);
    if (!socket.ok()) return socket.status();
    exit.socket = *std::move(socket);
  }
  // Before any receiver can get it.
  traffic_->SetTable(directory_->table());
  return exits;
}

absl::StatusOr<std::shared_ptr<DatagramJob>> Sender::NewDatagram(const SendRequest& request, std::string_view payload,
                                                                 std::shared_ptr<SendSource> from) {
  if (absl::Status status = CheckPayload(payload.size(), request.group.family()); !status.ok()) return status;
  return std::make_shared<DatagramJob>(this, std::move(from), request, payload);
}

std::shared_ptr<BatchJob> Sender::NewBatch(std::unique_ptr<Bursts> bursts, std::shared_ptr<SendSource> from) {
  return std::make_shared<BatchJob>(this, std::move(from), std::move(bursts));
}

absl::StatusOr<std::vector<SendResult>> Sender::Send(const SendRequest& request, std::string_view payload,
                                                     std::shared_ptr<SendSource> from) {
  const absl::StatusOr<std::shared_ptr<DatagramJob>> job = NewDatagram(request, payload, std::move(from));
  if (!job.ok()) return job.status();
  CompleteJob(job->get());
  return (*job)->TakeResults();
}

PublishResult Sender::Publish(const std::vector<Burst>& bursts, std::shared_ptr<SendSource> from) {
  const std::shared_ptr<BatchJob> job = NewBatch(std::make_unique<BurstList>(bursts), std::move(from));
  CompleteJob(job.get());
  return job->TakeResult();
}

void Sender::Sent(uint32_t interface_index, uint64_t count, uint64_t payload_bytes) {
  account_.Sent(interface_index, count);
  counters_.sent.fetch_add(count, std::memory_order_relaxed);
  counters_.payload_bytes.fetch_add(payload_bytes, std::memory_order_relaxed);
}

void Sender::Failed(uint32_t interface_index, const absl::Status& status) {
  account_.Failed(interface_index, status);
  counters_.failed.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace mcgw::gateway
