// Writes accounts as API messages.

#ifndef MCGW_RPC_WRITE_LEDGER_H_
#define MCGW_RPC_WRITE_LEDGER_H_

#include <cstdint>

#include "multicast/gateway/v1/inspection_service.pb.h"
#include "multicast/gateway/v1/ledger.pb.h"
#include "server/fanout/event.h"
#include "server/gateway/channels/accounts.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/gateway/sending/sender.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

void WriteTime(int64_t unix_ns, google::protobuf::Timestamp* message);
void WriteDuration(int64_t ns, google::protobuf::Duration* message);

void WriteSubscriberLedger(const fanout::LedgerEntry& entry, uint64_t subscriber_id, v1::SubscriberLedger* message);
void WriteChannelLedger(uint64_t channel_id, const gateway::ChannelAccount& account, v1::ChannelLedger* message);
// Writes a socket, without the channels that it serves; the caller adds them.
void WriteSocket(const gateway::SocketSnapshot& snapshot, v1::SocketLedger* message);
void WriteGatewayLedger(const gateway::GatewayAccount& account, const gateway::SendCounters& sent,
                        v1::GatewayLedger* message);
void WriteSubscriberInfo(const gateway::SubscriberSnapshot& snapshot, v1::SubscriberInfo* message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_WRITE_LEDGER_H_
