// Checks of the host as a whole, and of the gateway's limits on it.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

// Each join takes a few hundred bytes of a socket's option memory; a filter with many sources takes more.
constexpr int64_t kEnoughOptmemBytes = 4096;
constexpr uint64_t kDescriptorsToSpare = 16;

}  // namespace

std::optional<Finding> CheckDescriptors(const HostFacts& host) {
  const uint64_t limit = host.settings.open_files_limit;
  if (limit == 0) return std::nullopt;
  if (!host.settings.open_files.has_value()) {
    return Finding{FindingCode::kLimits,
                   Severity::kUnknown,
                   absl::StrCat("the number of open descriptors (at most ", limit, ") cannot be read"),
                   "when none is left, joins fail with HOST_LIMIT",
                   "",
                   "give mcgwd access to /proc, then diagnose again"};
  }
  const uint64_t used = *host.settings.open_files;
  const std::string seen = absl::StrCat("the gateway has ", used, " of at most ", limit, " descriptors open");
  const bool spent = used + kDescriptorsToSpare >= limit;
  if (!spent && used * 10 < limit * 8) return Finding{FindingCode::kLimits, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kLimits,
                 spent ? Severity::kError : Severity::kWarning,
                 seen,
                 "each channel and each connection takes one; when none is left, joins fail with HOST_LIMIT",
                 "",
                 "start mcgwd with a higher limit: ulimit -n, or LimitNOFILE= of its systemd unit"};
}

std::optional<Finding> CheckChannelLimit(const HostFacts& host) {
  const std::string seen =
      absl::StrCat("the gateway holds ", host.channels, " of at most ", host.channels_limit, " channels");
  if (host.channels * 10 < host.channels_limit * 9)
    return Finding{FindingCode::kLimits, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kLimits,
                 host.channels >= host.channels_limit ? Severity::kError : Severity::kWarning,
                 seen,
                 "at the limit, joins of further channels fail with CHANNEL_LIMIT",
                 "",
                 "raise max_channels, or have clients leave what they do not need"};
}

std::optional<Finding> CheckKernelLimits(const HostFacts& host) {
  const net::HostSettings& settings = host.settings;
  if (settings.igmp_max_memberships.has_value() && *settings.igmp_max_memberships < 1) {
    return Finding{FindingCode::kLimits,
                   Severity::kError,
                   absl::StrCat("net.ipv4.igmp_max_memberships is ", *settings.igmp_max_memberships),
                   "a socket may then join no IPv4 group at all",
                   "sysctl -w net.ipv4.igmp_max_memberships=20",
                   ""};
  }
  if (settings.optmem_max.has_value() && *settings.optmem_max < kEnoughOptmemBytes) {
    return Finding{FindingCode::kLimits,
                   Severity::kWarning,
                   absl::StrCat("net.core.optmem_max is ", *settings.optmem_max, " bytes"),
                   "memberships and source filters are kept in this memory; a join that finds none left fails with "
                   "HOST_LIMIT",
                   "sysctl -w net.core.optmem_max=131072",
                   ""};
  }
  if (!settings.igmp_max_memberships.has_value()) {
    return Finding{FindingCode::kLimits,
                   Severity::kUnknown,
                   "the kernel's limits of memberships and option memory cannot be read",
                   "a join that exceeds one fails with HOST_LIMIT",
                   "sysctl net.ipv4.igmp_max_memberships net.core.optmem_max",
                   ""};
  }
  return Finding{FindingCode::kLimits,
                 Severity::kOk,
                 "the kernel's limits of memberships and option memory suffice: the gateway keeps one membership on a "
                 "socket",
                 "",
                 "",
                 ""};
}

std::optional<Finding> CheckBufferLimit(const HostFacts& host) {
  const std::string asked = absl::StrCat(host.asked_buffer_bytes);
  if (host.granted_buffer_bytes.has_value() && *host.granted_buffer_bytes >= host.asked_buffer_bytes) {
    return Finding{FindingCode::kReceiveBuffer,
                   Severity::kOk,
                   net::StrCat("the kernel grants receive buffers of the ", asked, " bytes that the gateway asks for"),
                   "",
                   "",
                   ""};
  }
  if (!host.settings.rmem_max.has_value()) {
    return Finding{FindingCode::kReceiveBuffer,
                   Severity::kUnknown,
                   "net.core.rmem_max cannot be read in this network namespace",
                   "it caps the receive buffers, and a burst that does not fit is dropped",
                   "nsenter -t 1 -n sysctl net.core.rmem_max",
                   ""};
  }
  const auto rmem_max = static_cast<uint64_t>(*host.settings.rmem_max);
  const std::string seen =
      absl::StrCat("net.core.rmem_max allows receive buffers of ", rmem_max, " bytes; the gateway asks for ", asked);
  if (rmem_max >= host.asked_buffer_bytes) return Finding{FindingCode::kReceiveBuffer, Severity::kOk, seen, "", "", ""};
  return Finding{FindingCode::kReceiveBuffer,
                 host.granted_buffer_bytes.has_value() ? Severity::kWarning : Severity::kInfo,
                 seen,
                 "without CAP_NET_ADMIN the gateway gets no more than that, and a burst that does not fit is dropped",
                 absl::StrCat("sysctl -w net.core.rmem_max=", asked),
                 "channels joined from then on have the larger buffer"};
}

}  // namespace mcgw::gateway
