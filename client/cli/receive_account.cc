#include "client/cli/receive_account.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/event_text.h"
#include "mcgw/channel_text.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

std::string Name(uint64_t channel_id, const ChannelTable& channels) {
  const auto channel = channels.find(channel_id);
  return channel == channels.end() ? absl::StrCat("channel#", channel_id) : client::FormatChannel(channel->second);
}

}  // namespace

void ReceiveAccount::TakeUnexpected(uint64_t sequence, ChannelAccount* account) {
  if (sequence < account->next_sequence) {
    ++account->out_of_order;
    return;
  }
  account->unannounced += sequence - account->next_sequence;
  account->next_sequence = sequence + 1;
}

void ReceiveAccount::TakeSubscribed(const v1::Subscribed& subscribed) {
  if (!announcing_) {
    for (auto& [id, account] : channels_) former_.push_back(std::move(account));
    channels_.clear();
  }
  announcing_ = subscribed.continued();
  for (const v1::ChannelState& state : subscribed.channels()) {
    const v1::Channel& channel = state.channel();
    const std::string name = client::FormatChannel(channel);
    ChannelAccount& account = channels_[channel.channel_id()];
    const auto former =
        std::find_if(former_.begin(), former_.end(), [&name](const ChannelAccount& one) { return one.name == name; });
    if (former != former_.end()) {
      account = std::move(*former);
      former_.erase(former);
    }
    // Within an epoch the new stream continues where the old one was.
    if (account.next_sequence != 0 && account.epoch == channel.epoch() &&
        channel.next_sequence() > account.next_sequence) {
      account.unannounced += channel.next_sequence() - account.next_sequence;
    }
    if (account.epoch != channel.epoch() || channel.next_sequence() > account.next_sequence) {
      account.next_sequence = channel.next_sequence();
    }
    account.epoch = channel.epoch();
    account.name = name;
  }
}

void ReceiveAccount::Take(const v1::Event& event) {
  if (event.has_subscribed()) {
    TakeSubscribed(event.subscribed());
  } else if (event.has_ledger()) {
    ledger_ = event.ledger();
  } else if (event.has_membership_changed() && !event.membership_changed().left()) {
    // A change of filter moves the position too; datagrams before it are no longer expected.
    const v1::Channel& channel = event.membership_changed().channel().channel();
    ChannelAccount& account = channels_[channel.channel_id()];
    account.next_sequence = channel.next_sequence();
    account.epoch = channel.epoch();
    account.name = client::FormatChannel(channel);
  } else if (event.has_position()) {
    ChannelAccount& account = channels_[event.position().channel_id()];
    const uint64_t next = event.position().next_sequence();
    if (account.next_sequence != 0 && next > account.next_sequence) {
      account.unannounced += next - account.next_sequence;
      account.next_sequence = next;
    }
  } else if (event.has_gap()) {
    const v1::Gap& gap = event.gap();
    ChannelAccount& account = channels_[gap.channel_id()];
    if (!gap.has_range()) {
      ++account.unknown_gaps[gap.cause()];
      // Another epoch starts its own count.
      account.next_sequence = gap.unknown().before_sequence();
      return;
    }
    account.lost[gap.cause()] += gap.range().last() - gap.range().first() + 1;
    if (account.next_sequence != 0 && gap.range().first() > account.next_sequence) {
      account.unannounced += gap.range().first() - account.next_sequence;
    }
    account.next_sequence = std::max(account.next_sequence, gap.range().last() + 1);
  }
}

std::string ReceiveAccount::FaultsOf(const std::string& name, const ChannelAccount& account) const {
  std::string text;
  if (account.unannounced > 0 && !filtered_) {
    absl::StrAppend(&text, name, ": ", account.unannounced, " datagrams are missing without an announced gap\n");
  }
  if (account.out_of_order > 0) {
    absl::StrAppend(&text, name, ": ", account.out_of_order, " datagrams came twice or out of order\n");
  }
  return text;
}

std::string ReceiveAccount::Faults(const ChannelTable& channels) const {
  std::string text;
  for (const ChannelAccount& account : former_) absl::StrAppend(&text, FaultsOf(account.name, account));
  for (const auto& [id, account] : channels_) absl::StrAppend(&text, FaultsOf(Name(id, channels), account));
  return text;
}

std::string ReceiveAccount::SummaryOf(const std::string& name, const ChannelAccount& account) const {
  uint64_t lost = 0;
  std::string causes;
  for (const auto& [cause, count] : account.lost) {
    lost += count;
    absl::StrAppend(&causes, "; ", count, " ", GapCauseText(cause));
  }
  for (const auto& [cause, count] : account.unknown_gaps) {
    absl::StrAppend(&causes, "; ", count, count == 1 ? " gap" : " gaps", " of unknown extent: ", GapCauseText(cause));
  }
  std::string text =
      absl::StrCat(name, ": ", account.datagrams, " datagrams, ", account.bytes, " bytes, ", lost, " lost", causes);
  if (account.unannounced > 0) {
    absl::StrAppend(&text, "; ", account.unannounced,
                    filtered_ ? " not for this subscriber" : " missing without a gap");
  }
  return text + '\n';
}

std::string ReceiveAccount::Summary(absl::Duration elapsed, const ChannelTable& channels) const {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-9);
  std::string text = absl::StrFormat("received %d datagrams, %d bytes in %.3f s: %.1f datagrams/s, %.3f Mbit/s\n",
                                     datagrams_, bytes_, seconds, static_cast<double>(datagrams_) / seconds,
                                     static_cast<double>(bytes_) * 8 / seconds / 1e6);
  for (const ChannelAccount& account : former_) absl::StrAppend(&text, SummaryOf(account.name, account));
  for (const auto& [id, account] : channels_) absl::StrAppend(&text, SummaryOf(Name(id, channels), account));
  if (ledger_.has_value()) {
    absl::StrAppend(&text, "the gateway's last report: ", ledger_->offered_datagrams(),
                    " offered = ", ledger_->written_datagrams(), " written + ", ledger_->filtered_datagrams(),
                    " filtered + ", ledger_->kernel_dropped_datagrams(), " dropped + ", ledger_->lagged_datagrams(),
                    " lagged + ", ledger_->expired_datagrams(), " expired + ", ledger_->in_flight_datagrams(),
                    " in flight + ", ledger_->pending_datagrams(), " pending + ", ledger_->abandoned_datagrams(),
                    " abandoned\n");
  }
  return text;
}

}  // namespace mcgw::cli
