// Packets that the raw sockets of the querier listener hear: IGMP from the IPv4 header on, MLD with its control
// messages.

#include "server/net/querier_listener.h"
#include "tests/fuzz/received.h"

namespace mcgw {

FUZZ_TARGET(queries) {
  fuzz::Input parts(input);
  const fuzz::Received received(&parts);
  const auto heard = net::JudgePacket(received.message(), received.bytes());
  if (!heard.has_value()) return;
  FUZZ_CHECK(heard->interface_index != 0);
  FUZZ_CHECK(heard->verdict.version <= (heard->source.is_v4() ? 3u : 2u));
  FUZZ_CHECK(heard->verdict.version == 0 || heard->verdict.fault.empty());
}

}  // namespace mcgw
