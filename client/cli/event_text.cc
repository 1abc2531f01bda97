#include "client/cli/event_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "mcgw/channel_text.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

std::string Name(uint64_t channel_id, const ChannelTable& channels) {
  const auto channel = channels.find(channel_id);
  return channel == channels.end() ? absl::StrCat("channel#", channel_id) : client::FormatChannel(channel->second);
}

// "no carrier" for INTERFACE_LOST_CAUSE_NO_CARRIER.
std::string Words(absl::string_view enum_name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StrReplaceAll(absl::StripPrefix(enum_name, prefix), {{"_", " "}}));
}

std::string Where(const v1::Channel& channel) {
  return absl::StrCat(client::FormatChannel(channel.group(), channel.port(), ""), " on ", channel.interface_name());
}

std::string StateText(const v1::ChannelState& state) {
  switch (state.state()) {
    case v1::JOIN_STATE_WAITING:
      return absl::StrCat("waiting for ", Where(state.channel()), ": ", client::Describe(state.failure()));
    case v1::JOIN_STATE_FAILED:
      return absl::StrCat("not joined: ", Where(state.channel()), ": ", client::Describe(state.failure()));
    default:
      return absl::StrCat("subscribed to ", Where(state.channel()));
  }
}

std::vector<EventLine> DescribeSubscribed(const v1::Subscribed& subscribed) {
  std::vector<EventLine> lines;
  for (const v1::ChannelState& state : subscribed.channels()) {
    lines.push_back({StateText(state), state.state() == v1::JOIN_STATE_FAILED});
  }
  if (lines.empty() && !subscribed.continued()) lines.push_back({"subscribed; there is no channel yet"});
  return lines;
}

std::vector<EventLine> DescribeMembership(const v1::MembershipChanged& change) {
  const std::string cause = Words(v1::MembershipChangeCause_Name(change.cause()), "MEMBERSHIP_CHANGE_CAUSE_");
  if (change.left()) {
    return {{absl::StrCat("no longer subscribed to ", Where(change.channel().channel()), " (", cause, ")"),
             change.cause() == v1::MEMBERSHIP_CHANGE_CAUSE_REFUSED}};
  }
  std::string text = absl::StrCat(StateText(change.channel()), " (", cause);
  if (change.has_source_filter()) {
    const bool include = change.source_filter().mode() == v1::SOURCE_FILTER_MODE_INCLUDE;
    absl::StrAppend(&text, include ? ", from " : ", not from ", absl::StrJoin(change.source_filter().sources(), ","));
  }
  return {{text + ")", change.channel().state() == v1::JOIN_STATE_FAILED}};
}

std::vector<EventLine> DescribeGap(const v1::Gap& gap, const ChannelTable& channels) {
  std::string text = absl::StrCat("gap in ", Name(gap.channel_id(), channels), ": ");
  if (gap.has_range()) {
    const uint64_t lost = gap.range().last() - gap.range().first() + 1;
    absl::StrAppend(&text, lost, lost == 1 ? " datagram" : " datagrams", " lost, sequence ", gap.range().first());
    if (lost > 1) absl::StrAppend(&text, " to ", gap.range().last());
  } else if (gap.unknown().has_at_most()) {
    absl::StrAppend(&text, "at most ", gap.unknown().at_most(), " datagrams lost before sequence ",
                    gap.unknown().before_sequence());
  } else {
    absl::StrAppend(&text, "an unknown number of datagrams lost before sequence ", gap.unknown().before_sequence());
  }
  return {{absl::StrCat(text, ", ", GapCauseText(gap.cause())), true}};
}

}  // namespace

std::string GapCauseText(v1::GapCause cause) {
  switch (cause) {
    case v1::GAP_CAUSE_KERNEL_DROP:
      return "dropped by the kernel of the gateway's host";
    case v1::GAP_CAUSE_LAGGED:
      return "skipped because this subscriber was too slow";
    case v1::GAP_CAUSE_EXPIRED:
      return "no longer in the gateway's log";
    case v1::GAP_CAUSE_OTHER_EPOCH:
      return "the gateway's log started again";
    case v1::GAP_CAUSE_INTERFACE_LOST:
      return "the interface was lost meanwhile, or joined again";
    case v1::GAP_CAUSE_NOT_JOINED:
      return "the channel was not joined meanwhile";
    default:
      return absl::StrCat("cause ", static_cast<int>(cause));
  }
}

std::vector<EventLine> DescribeEvent(const v1::Event& event, const ChannelTable& channels) {
  switch (event.kind_case()) {
    case v1::Event::kSubscribed:
      return DescribeSubscribed(event.subscribed());
    case v1::Event::kMembershipChanged:
      return DescribeMembership(event.membership_changed());
    case v1::Event::kGap:
      return DescribeGap(event.gap(), channels);
    case v1::Event::kInterfaceLost:
      return {
          {absl::StrCat("interface ", event.interface_lost().interface_name(), " was lost: ",
                        Words(v1::InterfaceLostCause_Name(event.interface_lost().cause()), "INTERFACE_LOST_CAUSE_")),
           true}};
    case v1::Event::kInterfaceRestored:
      return {{absl::StrCat("interface ", event.interface_restored().interface_name(), " is back"), true}};
    case v1::Event::kInterfaceRenamed:
      return {{absl::StrCat("interface ", event.interface_renamed().old_name(), " is now ",
                            event.interface_renamed().new_name())}};
    case v1::Event::kDraining:
      return {{absl::StrCat("the gateway is stopping; it serves this stream for ", event.draining().grace().seconds(),
                            " s more")}};
    default:
      return {};
  }
}

void UpdateChannels(const v1::Event& event, ChannelTable* channels) {
  if (event.has_subscribed()) {
    for (const v1::ChannelState& state : event.subscribed().channels()) {
      (*channels)[state.channel().channel_id()] = state.channel();
    }
  } else if (event.has_membership_changed()) {
    const v1::Channel& channel = event.membership_changed().channel().channel();
    (*channels)[channel.channel_id()] = channel;
  } else if (event.has_interface_renamed()) {
    for (auto& [id, channel] : *channels) {
      if (channel.interface_name() == event.interface_renamed().old_name()) {
        channel.set_interface_name(event.interface_renamed().new_name());
      }
    }
  }
}

}  // namespace mcgw::cli
