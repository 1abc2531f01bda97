#include "server/rpc/calls.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/page.h"
#include "server/rpc/write_ledger.h"

namespace mcgw::rpc {
namespace {

using fanout::LedgerEntry;

absl::Status NoChannel(uint64_t id) {
  return net::Error(net::Reason::kChannelNotFound, "channel_id",
                    net::StrCat("there is no channel ", id, ": ListChannels shows the channels"));
}

// Writes a channel and its sockets. A shared socket serves other channels too; it appears in the answer once.
void WriteChannel(const gateway::ChannelLedger& channel, v1::GetLedgerResponse* response) {
  WriteChannelLedger(channel.channel_id, channel.account, response->add_channels());
  for (size_t i = 0; i < channel.sockets.size(); ++i) {
    const gateway::SocketSnapshot& socket = channel.sockets[i];
    const bool known =
        socket.shared && std::any_of(response->sockets().begin(), response->sockets().end(),
                                     [&](const v1::SocketLedger& one) { return one.inode() == socket.facts.inode; });
    if (known) continue;
    v1::SocketLedger* const out = response->add_sockets();
    WriteSocket(socket, out);
    out->mutable_channel_ids()->Add(channel.served[i].begin(), channel.served[i].end());
  }
}

// Writes the subscribers that receive the channel or have received it.
absl::Status OfChannel(gateway::Gateway* gateway, uint64_t id, Page page, v1::GetLedgerResponse* response) {
  const std::optional<gateway::ChannelLedger> channel = gateway->inspector().LedgerOfChannel(id);
  if (!channel.has_value()) return NoChannel(id);
  WriteChannel(*channel, response);
  const std::vector<gateway::SubscriberLedger> ledgers =
      gateway->inspector().LedgersInChannel({.after_id = page.after, .most = size_t{page.size} + 1, .channel_id = id});
  for (const gateway::SubscriberLedger& ledger : ledgers) {
    if (page.IsFull(response->subscribers())) {
      response->set_next_page_token(std::to_string(response->subscribers().rbegin()->subscriber_id()));
      break;
    }
    WriteSubscriberLedger(ledger.entry, ledger.subscriber_id, response->add_subscribers());
    page.Count(*response->subscribers().rbegin());
  }
  return absl::OkStatus();
}

absl::Status OfSubscriber(gateway::Gateway* gateway, uint64_t id, Page page, v1::GetLedgerResponse* response) {
  std::vector<LedgerEntry> entries;
  const std::optional<LedgerEntry> total =
      gateway->inspector().LedgerOfSubscriber(id, page.after, size_t{page.size} + 1, &entries);
  if (!total.has_value()) {
    return net::Error(net::Reason::kSubscriberNotFound, "subscriber_id",
                      net::StrCat("there is no open stream ", id, ": ListSubscribers shows the open streams"));
  }
  WriteSubscriberLedger(*total, id, response->mutable_subscriber_total());
  for (const LedgerEntry& entry : entries) {
    if (page.IsFull(response->subscribers())) {
      response->set_next_page_token(std::to_string(response->subscribers().rbegin()->channel_id()));
      break;
    }
    WriteSubscriberLedger(entry, id, response->add_subscribers());
    page.Count(*response->subscribers().rbegin());
    const std::optional<gateway::ChannelLedger> channel = gateway->inspector().LedgerOfChannel(entry.channel_id);
    if (channel.has_value()) WriteChannel(*channel, response);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ListSubscribers(gateway::Gateway* gateway, const v1::ListSubscribersRequest& request,
                             v1::ListSubscribersResponse* response) {
  absl::StatusOr<Page> page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  const uint64_t channel_id = request.channel_id();
  if (channel_id != 0 && !gateway->inspector().HasChannel(channel_id)) return NoChannel(channel_id);
  const std::vector<gateway::SubscriberSnapshot> subscribers = gateway->inspector().ListSubscribers(
      {.after_id = page->after, .most = size_t{page->size} + 1, .channel_id = channel_id});
  for (const gateway::SubscriberSnapshot& subscriber : subscribers) {
    if (page->IsFull(response->subscribers())) {
      response->set_next_page_token(std::to_string(response->subscribers().rbegin()->subscriber_id()));
      break;
    }
    WriteSubscriberInfo(subscriber, response->add_subscribers());
    page->Count(*response->subscribers().rbegin());
  }
  return absl::OkStatus();
}

absl::Status GetLedger(gateway::Gateway* gateway, const v1::GetLedgerRequest& request,
                       v1::GetLedgerResponse* response) {
  const absl::StatusOr<Page> page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  WriteTime(net::UnixNs(), response->mutable_read_time());
  WriteGatewayLedger(gateway->inspector().Account(), gateway->sender().counters(), response->mutable_gateway());
  switch (request.subject_case()) {
    case v1::GetLedgerRequest::kChannelId:
      return OfChannel(gateway, request.channel_id(), *page, response);
    case v1::GetLedgerRequest::kSubscriberId:
      return OfSubscriber(gateway, request.subscriber_id(), *page, response);
    case v1::GetLedgerRequest::SUBJECT_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

}  // namespace mcgw::rpc
