#include "server/rpc/inspect_accounts.h"

#include <algorithm>
#include <map>
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
using gateway::ChannelSnapshot;
using gateway::SubscriberSnapshot;

absl::StatusOr<std::map<uint64_t, ChannelSnapshot>> Channels(const gateway::Gateway* gateway) {
  absl::StatusOr<std::vector<ChannelSnapshot>> list = gateway->ListChannels();
  if (!list.ok()) return list.status();
  std::map<uint64_t, ChannelSnapshot> channels;
  for (ChannelSnapshot& channel : *list) channels.emplace(channel.status.channel_id, std::move(channel));
  return channels;
}

absl::Status NoChannel(uint64_t id) {
  return net::Error(net::Reason::kChannelNotFound, "channel_id",
                    net::StrCat("there is no channel ", id, ": ListChannels shows those that there are"));
}

// A channel and its sockets. One that is shared serves others of `channels` too, and stands in the answer once.
void WriteChannel(const ChannelSnapshot& channel, const std::map<uint64_t, ChannelSnapshot>& channels,
                  v1::GetLedgerResponse* response) {
  WriteChannelLedger(channel.status.channel_id, channel.account, response->add_channels());
  for (const gateway::SocketSnapshot& socket : channel.sockets) {
    const bool known = std::any_of(response->sockets().begin(), response->sockets().end(),
                                   [&](const v1::SocketLedger& one) { return one.inode() == socket.facts.inode; });
    if (known) continue;
    v1::SocketLedger* const out = response->add_sockets();
    WriteSocket(socket, out);
    if (!socket.shared) {
      out->add_channel_ids(channel.status.channel_id);
      continue;
    }
    for (const auto& [id, other] : channels) {
      const bool served = std::any_of(other.sockets.begin(), other.sockets.end(),
                                      [&](const auto& its) { return its.facts.inode == socket.facts.inode; });
      if (served) out->add_channel_ids(id);
    }
  }
}

// The subscribers that have been offered something of the channel, or are.
absl::Status OfChannel(gateway::Gateway* gateway, uint64_t id, Page page, v1::GetLedgerResponse* response) {
  const absl::StatusOr<std::map<uint64_t, ChannelSnapshot>> channels = Channels(gateway);
  if (!channels.ok()) return channels.status();
  const auto channel = channels->find(id);
  if (channel == channels->end()) return NoChannel(id);
  WriteChannel(channel->second, *channels, response);
  for (const SubscriberSnapshot& subscriber : gateway->ListSubscribers(true)) {
    const auto entry = std::find_if(subscriber.ledgers.begin(), subscriber.ledgers.end(),
                                    [id](const LedgerEntry& one) { return one.channel_id == id; });
    if (entry == subscriber.ledgers.end() || subscriber.id <= page.after) continue;
    if (page.IsFull(response->subscribers())) {
      response->set_next_page_token(std::to_string(response->subscribers().rbegin()->subscriber_id()));
      break;
    }
    WriteSubscriberLedger(*entry, subscriber.id, response->add_subscribers());
    page.Count(*response->subscribers().rbegin());
  }
  return absl::OkStatus();
}

absl::Status OfSubscriber(gateway::Gateway* gateway, uint64_t id, Page page, v1::GetLedgerResponse* response) {
  const std::vector<SubscriberSnapshot> all = gateway->ListSubscribers(true);
  const auto found = std::find_if(all.begin(), all.end(), [id](const SubscriberSnapshot& one) { return one.id == id; });
  if (found == all.end()) {
    return net::Error(net::Reason::kSubscriberNotFound, "subscriber_id",
                      net::StrCat("there is no open stream ", id, ": ListSubscribers shows those that there are"));
  }
  WriteSubscriberLedger(found->total, id, response->mutable_subscriber_total());
  const absl::StatusOr<std::map<uint64_t, ChannelSnapshot>> channels = Channels(gateway);
  if (!channels.ok()) return channels.status();
  std::vector<LedgerEntry> entries = found->ledgers;
  std::sort(entries.begin(), entries.end(),
            [](const LedgerEntry& a, const LedgerEntry& b) { return a.channel_id < b.channel_id; });
  for (const LedgerEntry& entry : entries) {
    // Entry 0, of channels that it left long ago, is in the total only.
    if (entry.channel_id <= page.after) continue;
    if (page.IsFull(response->subscribers())) {
      response->set_next_page_token(std::to_string(response->subscribers().rbegin()->channel_id()));
      break;
    }
    WriteSubscriberLedger(entry, id, response->add_subscribers());
    page.Count(*response->subscribers().rbegin());
    if (const auto channel = channels->find(entry.channel_id); channel != channels->end()) {
      WriteChannel(channel->second, *channels, response);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ListSubscribers(gateway::Gateway* gateway, const v1::ListSubscribersRequest& request,
                             v1::ListSubscribersResponse* response) {
  absl::StatusOr<Page> page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  const uint64_t channel_id = request.channel_id();
  if (channel_id != 0) {
    const absl::StatusOr<std::map<uint64_t, ChannelSnapshot>> channels = Channels(gateway);
    if (!channels.ok()) return channels.status();
    if (!channels->contains(channel_id)) return NoChannel(channel_id);
  }
  for (const SubscriberSnapshot& subscriber : gateway->ListSubscribers(true)) {
    const bool has =
        channel_id == 0 || std::any_of(subscriber.lags.begin(), subscriber.lags.end(),
                                       [channel_id](const fanout::Lag& lag) { return lag.channel_id == channel_id; });
    if (!has || subscriber.id <= page->after) continue;
    if (page->IsFull(response->subscribers())) {
      response->set_next_page_token(std::to_string(response->subscribers().rbegin()->subscriber_id()));
      break;
    }
    WriteSubscriberInfo(subscriber, channel_id, response->add_subscribers());
    page->Count(*response->subscribers().rbegin());
  }
  return absl::OkStatus();
}

absl::Status GetLedger(gateway::Gateway* gateway, const v1::GetLedgerRequest& request,
                       v1::GetLedgerResponse* response) {
  const absl::StatusOr<Page> page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  WriteTime(net::UnixNs(), response->mutable_read_time());
  WriteGatewayLedger(gateway->Account(), gateway->sender().counters(), response->mutable_gateway());
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
