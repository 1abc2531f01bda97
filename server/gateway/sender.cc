#include "server/gateway/sender.h"

#include <algorithm>

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

// What the host itself would send from. The source that its route prefers may be another interface's, as routers have
// it on the loopback; but an interface without an address of its own is refused below.
IpAddress SourceFor(const Selected& selected, const IpAddress& group) {
  const std::optional<IpAddress> own = selected.interface->SourceFor(group);
  if (!own.has_value()) return IpAddress::Unspecified(group.family());
  return selected.source.value_or(*own);
}

bool HasAddress(const Interface& interface, const IpAddress& address) {
  return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                     [&](const net::InterfaceAddress& entry) { return entry.address == address; });
}

// What the kernel would not say, or would say badly: without a carrier IPv4 datagrams vanish, and without an address of
// its own an interface sends with another one's.
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

net::OutgoingDatagram Outgoing(const SendRequest& request, uint32_t interface_index, const IpAddress& source,
                               std::string_view payload) {
  return {.group = request.group,
          .port = request.port,
          .interface_index = interface_index,
          .source = source,
          .hop_limit = request.hop_limit,
          .traffic_class = request.traffic_class,
          .payload = payload};
}

// A failure below names fields of a datagram; the request's are named otherwise.
absl::Status InRequest(const absl::Status& status) {
  const std::string field = net::FieldOf(status);
  if (field == "interface") return net::WithFieldPrefix(status, "destination.");
  if (field == "source_address") return net::WithFieldPrefix(status, "options.");
  return status;
}

void AddFailure(uint32_t item, const absl::Status& status, const std::string& interface_name,
                std::vector<ItemFailure>* failures) {
  if (!failures->empty()) {
    ItemFailure& last = failures->back();
    if (last.first + last.count == item && last.status == status && last.interface_name == interface_name) {
      ++last.count;
      return;
    }
  }
  failures->push_back({item, 1, status, interface_name});
}

}  // namespace

Sender::Sender(net::SocketFactory* sockets, InterfaceDirectory* directory, uint16_t source_port, size_t most_sources)
    : sockets_(sockets),
      directory_(directory),
      most_sources_(most_sources),
      own_(sockets, traffic_, std::make_shared<fanout::SourcePorts>(), source_port),
      host_memberships_(sockets) {}

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
                 net::StrCat(most_sources_, " sessions send from ports of their own, which is the gateway's limit: ",
                             "leave those that are no longer needed, or send without a session"));
  }
  return std::shared_ptr<SendSource>(new SendSource(sockets_, traffic_, std::move(ports), 0),
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
}

absl::StatusOr<std::vector<Sender::Exit>> Sender::Exits(const SendRequest& request) {
  if (absl::Status status = CheckSend(request); !status.ok()) return status;
  absl::StatusOr<std::vector<Selected>> interfaces = directory_->Resolve(request.selector, request.group);
  // What speaks against an interface may be over: the host is looked at again before a send is refused.
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
  std::vector<Exit> exits;
  exits.reserve(interfaces->size());
  for (const Selected& selected : *interfaces) {
    const IpAddress source = request.source.has_value() ? *request.source : SourceFor(selected, request.group);
    Exit exit{.interface = selected.interface,
              .source = source,
              .status = CheckInterface(*selected.interface, request),
              .membership = nullptr};
    if (request.hop_limit == 0 && exit.status.ok()) {
      auto membership = host_memberships_.Hold(*exit.interface, request.group, exit.source, net::MonotonicNs());
      exit.status = InRequest(membership.status());
      if (membership.ok()) exit.membership = *std::move(membership);
    }
    exits.push_back(std::move(exit));
  }
  return exits;
}

absl::StatusOr<Sender::Plan> Sender::Prepare(const SendRequest& request, SendSource* from) {
  absl::StatusOr<std::vector<Exit>> exits = Exits(request);
  if (!exits.ok()) return exits.status();
  const absl::StatusOr<net::SendSocket*> socket = (from == nullptr ? &own_ : from)
                                                      ->Socket({.family = request.group.family(),
                                                                .loop = request.loop,
                                                                .dont_fragment = request.dont_fragment,
                                                                .host_only = request.hop_limit == 0});
  if (!socket.ok()) return socket.status();
  // Before anybody can receive it.
  traffic_->SetTable(directory_->table());
  return Plan{.exits = *std::move(exits), .socket = *socket};
}

absl::StatusOr<std::vector<SendResult>> Sender::Send(const SendRequest& request, std::string_view payload,
                                                     SendSource* from) {
  if (absl::Status status = CheckPayload(payload.size(), request.group.family()); !status.ok()) return status;
  const absl::StatusOr<Plan> plan = Prepare(request, from);
  if (!plan.ok()) return plan.status();

  std::vector<SendResult> results;
  for (const Exit& exit : plan->exits) {
    SendResult result{.interface_name = exit.interface->name,
                      .interface_index = exit.interface->index,
                      .source = exit.source,
                      .source_port = plan->socket->source_port(),
                      .status = exit.status};
    counters_.requested.fetch_add(1, std::memory_order_relaxed);
    if (result.status.ok()) {
      const net::OutgoingDatagram datagram = Outgoing(request, exit.interface->index, exit.source, payload);
      std::vector<net::SendFailure> failures;
      plan->socket->Send(absl::MakeConstSpan(&datagram, 1), &failures);
      if (!failures.empty()) result.status = InRequest(failures.front().status);
    }
    if (result.status.ok()) {
      account_.Sent(exit.interface->index, 1);
      counters_.sent.fetch_add(1, std::memory_order_relaxed);
      counters_.payload_bytes.fetch_add(payload.size(), std::memory_order_relaxed);
    } else {
      account_.Failed(exit.interface->index, result.status);
      counters_.failed.fetch_add(1, std::memory_order_relaxed);
    }
    results.push_back(std::move(result));
  }
  return results;
}

PublishResult Sender::Publish(const std::vector<Burst>& bursts, SendSource* from) {
  PublishResult result;
  uint32_t item = 0;
  for (const Burst& burst : bursts) {
    PublishBurst(burst, item, from, &result);
    item += burst.payloads.size();
  }
  return result;
}

void Sender::PublishBurst(const Burst& burst, uint32_t first_item, SendSource* from, PublishResult* result) {
  const auto count = static_cast<uint32_t>(burst.payloads.size());
  if (count == 0) return;
  const auto all_fail = [&](const absl::Status& status) {
    result->failures.push_back({first_item, count, status, ""});
    counters_.requested.fetch_add(count, std::memory_order_relaxed);
    counters_.failed.fetch_add(count, std::memory_order_relaxed);
  };
  if (!burst.invalid.ok()) return all_fail(burst.invalid);
  const absl::StatusOr<Plan> plan = Prepare(burst.request, from);
  if (!plan.ok()) return all_fail(plan.status());
  const Family family = burst.request.group.family();

  // What fails of each item, by the first interface that did not take it; empty as long as nothing has failed.
  std::vector<net::SendFailure> kernel_failures;
  std::vector<std::pair<absl::Status, const Exit*>> failed;
  for (const Exit& exit : plan->exits) {
    const net::OutgoingDatagram datagram = Outgoing(burst.request, exit.interface->index, exit.source, {});
    std::vector<net::OutgoingDatagram> datagrams;
    std::vector<uint32_t> items;
    datagrams.reserve(count);
    items.reserve(count);
    size_t payload_bytes = 0;
    const auto fail = [&](uint32_t i, const absl::Status& status) {
      failed.resize(count);
      if (failed[i].second == nullptr) failed[i] = {status, &exit};
      account_.Failed(exit.interface->index, status);
      counters_.failed.fetch_add(1, std::memory_order_relaxed);
    };
    counters_.requested.fetch_add(count, std::memory_order_relaxed);
    for (uint32_t i = 0; i < count; ++i) {
      const absl::Status status = exit.status.ok() ? CheckPayload(burst.payloads[i].size(), family) : exit.status;
      if (!status.ok()) {
        fail(i, status);
        continue;
      }
      datagrams.push_back(datagram);
      datagrams.back().payload = burst.payloads[i];
      items.push_back(i);
      payload_bytes += burst.payloads[i].size();
    }
    kernel_failures.clear();
    const size_t sent = plan->socket->Send(datagrams, &kernel_failures);
    for (const net::SendFailure& failure : kernel_failures) {
      payload_bytes -= datagrams[failure.index].payload.size();
      fail(items[failure.index], InRequest(failure.status));
    }
    account_.Sent(exit.interface->index, sent);
    counters_.sent.fetch_add(sent, std::memory_order_relaxed);
    counters_.payload_bytes.fetch_add(payload_bytes, std::memory_order_relaxed);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (failed.empty() || failed[i].second == nullptr) {
      ++result->accepted;
    } else {
      AddFailure(first_item + i, failed[i].first, failed[i].second->interface->name, &result->failures);
    }
  }
}

}  // namespace mcgw::gateway
