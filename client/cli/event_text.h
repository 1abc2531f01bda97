// Describes the events of a stream for people.

#ifndef MCGW_CLIENT_CLI_EVENT_TEXT_H_
#define MCGW_CLIENT_CLI_EVENT_TEXT_H_

#include <string>
#include <vector>

#include "client/cli/datagram_format.h"
#include "multicast/gateway/v1/events.pb.h"

namespace mcgw::cli {

struct EventLine {
  std::string text;
  bool loss = false;  // The line reports a loss, so it is shown even with --quiet.
};

// The lines for an event; none for those that only programs need (Position, Ledger).
std::vector<EventLine> DescribeEvent(const multicast::gateway::v1::Event& event, const ChannelTable& channels);

// "dropped by the kernel" for GAP_CAUSE_KERNEL_DROP.
std::string GapCauseText(multicast::gateway::v1::GapCause cause);

// Updates the table with an event's new channels and new names.
void UpdateChannels(const multicast::gateway::v1::Event& event, ChannelTable* channels);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_EVENT_TEXT_H_
