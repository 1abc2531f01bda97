// The size of events as API messages.

#ifndef MCGW_FANOUT_EVENT_SIZE_H_
#define MCGW_FANOUT_EVENT_SIZE_H_

#include <cstddef>

#include "server/fanout/event.h"

namespace mcgw::fanout {

// An upper bound of an event's size in a SubscribeResponse, in bytes. This floor does not use protobuf: a test of the
// RPC floor compares the bound with real messages.
size_t MostBytesOf(const Event& event);

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_EVENT_SIZE_H_
