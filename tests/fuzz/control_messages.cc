// A datagram and the control messages beside it, as the receive batch reads them.

#include "server/net/linux_receive_batch.h"
#include "tests/fuzz/received.h"

namespace mcgw {

FUZZ_TARGET(control_messages) {
  fuzz::Input parts(input);
  const fuzz::Received received(&parts);
  const mmsghdr message{.msg_hdr = received.message(), .msg_len = static_cast<unsigned>(received.bytes())};
  const net::ReceivedDatagram datagram = net::ReadDatagram(message);
  FUZZ_CHECK(datagram.payload.size() == received.bytes());
  FUZZ_CHECK(!datagram.source.ToString().empty() && !datagram.destination.ToString().empty());
}

}  // namespace mcgw
