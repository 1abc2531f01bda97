// How large events are in the messages of the API.

#ifndef MCGW_FANOUT_EVENT_SIZE_H_
#define MCGW_FANOUT_EVENT_SIZE_H_

#include <cstddef>

#include "server/fanout/event.h"

namespace mcgw::fanout {

// An upper bound of what an event takes in a SubscribeResponse, in bytes. This floor knows no protobuf: a test of the
// RPC floor holds the bound against the messages themselves.
size_t MostBytesOf(const Event& event);

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_EVENT_SIZE_H_
