#include "server/rpc/write_ledger.h"

#include "server/rpc/write_response.h"

namespace mcgw::rpc {

using fanout::GapCause;

void WriteTime(int64_t unix_ns, google::protobuf::Timestamp* message) {
  message->set_seconds(unix_ns / 1'000'000'000);
  message->set_nanos(static_cast<int32_t>(unix_ns % 1'000'000'000));
}

void WriteDuration(int64_t ns, google::protobuf::Duration* message) {
  message->set_seconds(ns / 1'000'000'000);
  message->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
}

void WriteSubscriberLedger(const fanout::LedgerEntry& entry, uint64_t subscriber_id, v1::SubscriberLedger* message) {
  message->set_subscriber_id(subscriber_id);
  message->set_channel_id(entry.channel_id);
  message->set_offered_datagrams(entry.offered);
  message->set_written_datagrams(entry.written);
  message->set_filtered_datagrams(entry.filtered);
  message->set_kernel_dropped_datagrams(entry.skipped[static_cast<int>(GapCause::kKernelDrop)]);
  message->set_lagged_datagrams(entry.skipped[static_cast<int>(GapCause::kLagged)]);
  message->set_expired_datagrams(entry.skipped[static_cast<int>(GapCause::kExpired)]);
  message->set_in_flight_datagrams(entry.in_flight);
  message->set_pending_datagrams(entry.pending);
  message->set_abandoned_datagrams(entry.abandoned);
  message->set_range_gaps(entry.range_gaps);
  message->set_unknown_gaps(entry.unknown_gaps);
  message->set_written_bytes(entry.written_bytes);
}

void WriteChannelLedger(uint64_t channel_id, const gateway::ChannelAccount& account, v1::ChannelLedger* message) {
  message->set_channel_id(channel_id);
  message->set_read_datagrams(account.read);
  message->set_logged_datagrams(account.logged);
  message->set_kernel_dropped_datagrams(account.kernel_drops);
  message->set_mismatched_datagrams(account.mismatched);
  message->set_evicted_datagrams(account.evicted);
  message->set_unknown_gaps(account.unknown_gaps);
  message->set_logged_payload_bytes(account.logged_payload_bytes);
}

void WriteSocket(const gateway::SocketSnapshot& snapshot, v1::SocketLedger* message) {
  message->set_inode(snapshot.facts.inode);
  message->set_read_datagrams(snapshot.facts.reads);
  message->set_kernel_dropped_datagrams(snapshot.facts.kernel_drops);
  message->set_receive_buffer_bytes(snapshot.facts.receive_buffer_bytes);
}

void WriteGatewayLedger(const gateway::GatewayAccount& account, const gateway::SendCounters& sent,
                        v1::GatewayLedger* message) {
  WriteChannelLedger(0, account.channels, message->mutable_channels());
  fanout::LedgerEntry subscribers = account.subscribers;
  subscribers.channel_id = 0;
  WriteSubscriberLedger(subscribers, 0, message->mutable_subscribers());
  message->set_send_requested_datagrams(sent.requested.load(std::memory_order_relaxed));
  message->set_sent_datagrams(sent.sent.load(std::memory_order_relaxed));
  message->set_send_failed_datagrams(sent.failed.load(std::memory_order_relaxed));
  message->set_sent_payload_bytes(sent.payload_bytes.load(std::memory_order_relaxed));
}

void WriteSubscriberInfo(const gateway::SubscriberSnapshot& snapshot, v1::SubscriberInfo* message) {
  message->set_subscriber_id(snapshot.id);
  message->set_peer(snapshot.peer);
  message->set_identity(snapshot.identity);
  WriteTime(snapshot.created_unix_ns, message->mutable_create_time());
  WriteOptions(snapshot.options, snapshot.retain_ns, message->mutable_options());
  message->set_has_session(snapshot.has_session);
  message->set_channel_count(static_cast<uint32_t>(snapshot.channels));
  WriteSubscriberLedger(snapshot.total, snapshot.id, message->mutable_ledger());
  message->set_pinned_bytes(snapshot.pinned_bytes);
  const fanout::Lag shown = snapshot.lag.value_or(fanout::Lag());
  v1::SubscriberLag* const out = message->mutable_lag();
  out->set_channel_id(shown.channel_id);
  out->set_next_sequence(shown.next_sequence);
  out->set_datagrams(shown.datagrams);
  out->set_bytes(shown.bytes);
  WriteDuration(shown.age_ns, out->mutable_age());
}

}  // namespace mcgw::rpc
