// What people write for mcgw: channels, addresses of senders, hop limits, numbers, durations and rates.

#include <string>

#include "client/cli/flags.h"
#include "client/cli/hop_limit.h"
#include "mcgw/channel_text.h"
#include "mcgw/error.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(client_text) {
  const absl::string_view text(input.data(), input.size());
  const auto membership = client::ParseChannel(text);
  if (membership.ok()) {
    const std::string canonical = client::FormatChannel(*membership);
    const auto again = client::ParseChannel(canonical);
    // An interface's name may hold what only brackets protect: "[ff02::1%a]b]:5000".
    if (again.ok()) FUZZ_CHECK(client::FormatChannel(*again) == canonical);
    FUZZ_CHECK(membership->port() >= 1 && membership->port() <= 65535);
  } else {
    FUZZ_CHECK(!client::DetailsOf(membership.status()).reason.empty());
    FUZZ_CHECK(!client::Describe(membership.status()).empty());
  }

  const auto source = client::ParseUnicastAddress(text, "source_address", "source");
  if (source.ok()) FUZZ_CHECK(client::ParseUnicastAddress(*source, "", "").value() == *source);
  FUZZ_CHECK(!client::FormatAddress(text).empty());

  const auto hops = cli::ParseHopLimit("--ttl", text);
  FUZZ_CHECK(!hops.ok() || *hops <= 255);
  const auto number = cli::ParseNumber({.flag = "--count", .field = "count", .minimum = 1, .maximum = 1000}, text);
  FUZZ_CHECK(!number.ok() || (*number >= 1 && *number <= 1000));
  const auto wait = cli::ParseDuration("--wait", text, absl::ZeroDuration(), absl::Hours(1));
  FUZZ_CHECK(!wait.ok() || (*wait >= absl::ZeroDuration() && *wait <= absl::Hours(1)));
  const auto rate = cli::ParseRate("--rate", text);
  FUZZ_CHECK(!rate.ok() || (*rate > 0 && *rate <= 1e12));
}

}  // namespace mcgw
