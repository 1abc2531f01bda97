// The datagrams of mcgw ping and mcgw pong.

#include "client/cli/ring_message.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(ring_message) {
  const auto message = cli::DecodeRingMessage(absl::string_view(input.data(), input.size()));
  if (message.has_value()) FUZZ_CHECK(cli::EncodeRingMessage(*message) == input);
}

}  // namespace mcgw
