// The subscriber's own count of received and missing datagrams, by the sequences it sees.

#ifndef MCGW_CLIENT_CLI_RECEIVE_ACCOUNT_H_
#define MCGW_CLIENT_CLI_RECEIVE_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/datagram_format.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::cli {

// Not thread-safe.
class ReceiveAccount {
 public:
  struct ChannelAccount {
    uint64_t datagrams = 0;
    uint64_t bytes = 0;
    std::map<multicast::gateway::v1::GapCause, uint64_t> lost;          // Announced in ranges.
    std::map<multicast::gateway::v1::GapCause, uint64_t> unknown_gaps;  // Announced without an extent.
    uint64_t unannounced = 0;    // Sequences missing without an announced gap: filtered out, or a fault.
    uint64_t out_of_order = 0;   // Sequences that came twice or late: a fault.
    uint64_t next_sequence = 0;  // 0: not known.
    uint64_t epoch = 0;
    std::string name;
  };

  // `filtered`: a source filter may hold datagrams back, so a hole in the sequences is not a fault.
  explicit ReceiveAccount(bool filtered) : filtered_(filtered) {}

  // Take events in order, before the datagrams of their message.
  void Take(const multicast::gateway::v1::Event& event);
  void Take(const multicast::gateway::v1::Datagram& datagram) {
    ChannelAccount& account = channels_[datagram.channel_id()];
    if (account.next_sequence == 0 || datagram.sequence() == account.next_sequence) {
      account.next_sequence = datagram.sequence() + 1;
    } else {
      TakeUnexpected(datagram.sequence(), &account);
    }
    ++account.datagrams;
    account.bytes += datagram.payload().size();
    ++datagrams_;
    bytes_ += datagram.payload().size();
  }

  uint64_t datagrams() const { return datagrams_; }
  uint64_t bytes() const { return bytes_; }
  const std::map<uint64_t, ChannelAccount>& channels() const { return channels_; }

  // Lines that describe where the received datagrams contradict the gateway's announcements; empty if nowhere.
  std::string Faults(const ChannelTable& channels) const;

  // Lines for people: one for all channels, then one for each.
  std::string Summary(absl::Duration elapsed, const ChannelTable& channels) const;

 private:
  // Starts a stream. The accounts of channels that the stream shares with the last one continue.
  void TakeSubscribed(const multicast::gateway::v1::Subscribed& subscribed);
  std::string FaultsOf(const std::string& name, const ChannelAccount& account) const;
  std::string SummaryOf(const std::string& name, const ChannelAccount& account) const;
  static void TakeUnexpected(uint64_t sequence, ChannelAccount* account);

  const bool filtered_;
  std::map<uint64_t, ChannelAccount> channels_;
  std::vector<ChannelAccount> former_;                              // Of earlier streams, not in this one.
  bool announcing_ = false;                                         // More Subscribed events of this stream follow.
  std::optional<multicast::gateway::v1::SubscriberLedger> ledger_;  // The gateway's last report.
  uint64_t datagrams_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_RECEIVE_ACCOUNT_H_
