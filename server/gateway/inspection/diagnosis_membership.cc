// Checks of what clients requested and what the kernel joined.

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/gateway/rules/policy.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

// The channel as an argument of `mcgw`, for a shell.
std::string ChannelWord(const ChannelFacts& channel, std::string_view source = "") {
  return ShellWord(net::StrCat(source, source.empty() ? "" : "@", net::ToString(channel.group, channel.port), "%",
                               channel.interface_name));
}

}  // namespace

std::optional<Finding> CheckWanted(const ChannelFacts& channel) {
  const std::string what = Describe(channel);
  const bool held = channel.snapshot.has_value() && !channel.snapshot->holders.empty();
  if (!held) {
    const std::string command =
        channel.port == 0
            ? std::string()
            : net::StrCat("mcgw sub ",
                          ChannelWord(channel, channel.group.IsSourceSpecific() && channel.asked_source.has_value()
                                                   ? channel.asked_source->ToString()
                                                   : ""));
    return Finding{FindingCode::kMembershipWished,
                   Severity::kError,
                   channel.snapshot.has_value()
                       ? net::StrCat("no client wants ", what, " any more; only its log is kept")
                       : net::StrCat("no client of the gateway has joined ", what),
                   "the gateway receives only what a client has joined",
                   command,
                   channel.port == 0 ? "join it, with its port" : ""};
  }
  const fanout::ChannelStatus& status = channel.snapshot->status;
  const size_t holders = channel.snapshot->holders.size();
  const std::string requested =
      net::StrCat(holders, holders == 1 ? " membership requests " : " memberships request ", what);
  if (status.phase == fanout::ChannelPhase::kFailed) {
    return Finding{FindingCode::kMembershipWished,
                   Severity::kError,
                   net::StrCat(requested, ", but the join failed: ", net::ToStd(status.error.message())),
                   "nothing is received until it is joined",
                   "",
                   ""};
  }
  if (status.phase == fanout::ChannelPhase::kWaiting) {
    // A finding about the interface says what it waits for.
    return Finding{FindingCode::kMembershipWished,
                   Severity::kWarning,
                   net::StrCat(requested, ", which cannot be joined yet: ", net::ToStd(status.error.message())),
                   "the gateway joins it once the interface can be used",
                   "",
                   "fix the interface"};
  }
  return Finding{FindingCode::kMembershipWished,
                 Severity::kOk,
                 net::StrCat(requested, ", ", channel.snapshot->wanted.ToString()),
                 "",
                 "",
                 ""};
}

std::optional<Finding> CheckSourceWanted(const ChannelFacts& channel) {
  if (!channel.snapshot.has_value() || channel.snapshot->holders.empty() || !channel.asked_source.has_value()) {
    return std::nullopt;
  }
  const net::IpAddress& source = *channel.asked_source;
  const std::vector<Holder>& holders = channel.snapshot->holders;
  const auto leaving_out = static_cast<size_t>(std::count_if(
      holders.begin(), holders.end(), [&](const Holder& holder) { return !holder.filter.Allows(source); }));
  if (leaving_out == 0) {
    return Finding{FindingCode::kMembershipWished,
                   Severity::kOk,
                   net::StrCat("all memberships of ", Describe(channel), " let ", source.ToString(), " pass"),
                   "",
                   "",
                   ""};
  }
  const bool all = leaving_out == holders.size();
  return Finding{
      FindingCode::kMembershipWished,
      all ? Severity::kError : Severity::kWarning,
      net::StrCat(all ? std::string("no membership")
                      : net::StrCat("only ", holders.size() - leaving_out, " of ", holders.size(), " memberships"),
                  " of ", Describe(channel), all ? " lets " : " let ", source.ToString(), " pass: the filter is ",
                  channel.snapshot->wanted.ToString()),
      "the source filter keeps its datagrams from these clients",
      channel.port == 0 ? std::string() : net::StrCat("mcgw sub ", ChannelWord(channel, source.ToString())),
      "or correct the filter, or the sender's address"};
}

std::optional<Finding> CheckInKernel(const ChannelFacts& channel) {
  const std::string what = net::StrCat(channel.group.ToString(), " on ", channel.interface_name);
  if (!channel.host_users.has_value()) {
    return Finding{FindingCode::kMembershipInKernel,
                   Severity::kUnknown,
                   net::StrCat("whether the kernel has joined ", what, " cannot be read: there is no /proc/net/igmp"),
                   "without a membership the group is not received",
                   net::StrCat("ip maddr show dev ", ShellWord(channel.interface_name)),
                   ""};
  }
  const uint32_t host_users = *channel.host_users;
  const uint32_t others = host_users - std::min(host_users, channel.gateway_sockets);
  const std::string users = net::StrCat(host_users, host_users == 1 ? " user, " : " users, ", channel.gateway_sockets,
                                        " of them sockets of the gateway");
  const bool wanted = channel.snapshot.has_value() && !channel.snapshot->holders.empty();
  if (wanted && channel.snapshot->joined) {
    return Finding{FindingCode::kMembershipInKernel,
                   Severity::kOk,
                   net::StrCat("the kernel has joined ", what, " (", users, ")"),
                   "",
                   "",
                   ""};
  }
  if (wanted) {
    const bool lost = channel.snapshot->status.phase == fanout::ChannelPhase::kJoined;
    return Finding{
        FindingCode::kMembershipInKernel,
        Severity::kError,
        net::StrCat("the kernel has not joined ", what, lost ? ", though it had before: it lost the membership" : ""),
        "the group is not received, and the network does not learn that it is wanted",
        "",
        !lost                   ? "fix what keeps the join from succeeding"
        : channel.group.is_v4() ? "the gateway joins again within 10 s"
                                : "the gateway joins again within 10 s, unless the MTU is below 1280"};
  }
  return Finding{FindingCode::kMembershipInKernel,
                 Severity::kInfo,
                 host_users == 0 ? net::StrCat("the kernel has not joined ", what)
                                 : net::StrCat("the kernel has joined ", what, ", but not for this channel (", users,
                                               others > 0 ? ", others of other processes" : "", ")"),
                 "without a membership the group is not received",
                 "",
                 ""};
}

std::optional<Finding> CheckFilter(const ChannelFacts& channel, const HostFacts& host) {
  if (!channel.snapshot.has_value() || !channel.snapshot->joined) return std::nullopt;
  const ChannelSnapshot& snapshot = *channel.snapshot;
  if (snapshot.told == snapshot.wanted) return std::nullopt;
  const std::string what = Describe(channel);
  const std::string why =
      "the gateway filters for each client, so nothing is lost, but the network carries unwanted datagrams";
  if (snapshot.narrows) {
    return Finding{FindingCode::kMembershipInKernel,
                   Severity::kInfo,
                   net::StrCat("the kernel still passes ", snapshot.told.ToString(), " of ", what,
                               ", but the clients want ", snapshot.wanted.ToString()),
                   why,
                   "",
                   "wait: the gateway narrows it after a second without a datagram, and after 30 s in any case"};
  }
  if (!snapshot.told.IsAnySource()) return std::nullopt;
  const bool is_v4 = channel.group.is_v4();
  const std::optional<int64_t> limit = is_v4 ? host.settings.igmp_max_msf : host.settings.mld_max_msf;
  const std::string setting = is_v4 ? "net.ipv4.igmp_max_msf" : "net.ipv6.mld_max_msf";
  const auto sources = static_cast<int64_t>(snapshot.wanted.sources().size());
  const std::string seen = net::StrCat("the kernel refused the filter of ", what, " with its ", sources, " sources");
  if (!limit.has_value()) {
    return Finding{FindingCode::kLimits,
                   Severity::kUnknown,
                   net::StrCat(seen, "; its limit cannot be read"),
                   why,
                   net::StrCat("sysctl ", setting, " net.core.optmem_max"),
                   "if the limit is lower, raise it; then change the filter, or leave the channel and join it again"};
  }
  if (sources <= *limit) {
    return Finding{FindingCode::kLimits,
                   Severity::kInfo,
                   net::StrCat(seen, ", though it keeps ", *limit, " now (", setting, ")"),
                   why,
                   "",
                   "if the limit was raised since, leave the channel and join it again; if not, option memory was "
                   "short: raise net.core.optmem_max first"};
  }
  return Finding{FindingCode::kLimits,
                 Severity::kInfo,
                 net::StrCat(seen, ": it keeps ", *limit, " (", setting, ")"),
                 why,
                 net::StrCat("sysctl -w ", setting, "=", sources),
                 "then leave the channel and join it again"};
}

std::optional<Finding> CheckSourceRequired(const ChannelFacts& channel) {
  if (!channel.group.IsSourceSpecific()) return std::nullopt;
  const bool wanted =
      channel.snapshot.has_value() && !channel.snapshot->wanted.sources().empty() && !channel.snapshot->holders.empty();
  const std::string range = channel.group.is_v4() ? "232.0.0.0/8" : "ff3x::/32";
  if (wanted || channel.asked_source.has_value()) {
    return Finding{FindingCode::kSourceRequired,
                   Severity::kOk,
                   net::StrCat(channel.group.ToString(), " is source-specific (", range, "), and sources are named"),
                   "",
                   "",
                   ""};
  }
  return Finding{FindingCode::kSourceRequired,
                 Severity::kError,
                 net::StrCat(channel.group.ToString(), " is source-specific (", range, "), and no source is named"),
                 "the network delivers such a group only from sources that the receiver names; joins without one are "
                 "refused with SOURCE_REQUIRED",
                 "",
                 "name the sender: SOURCE@GROUP:PORT%INTERFACE"};
}

std::optional<Finding> CheckScope(const ChannelFacts& channel) {
  const std::string group = channel.group.ToString();
  const int scope = channel.group.Ipv6Scope();
  const auto finding = [&](Severity severity, std::string_view seen, std::string_view why, std::string_view remedy) {
    return Finding{FindingCode::kGroupScope, severity, net::StrCat(group, " ", seen),
                   std::string(why),         "",       std::string(remedy)};
  };
  if (scope == 0 || scope == 15 || group == "224.0.0.0") {
    return finding(Severity::kError, "is reserved and names no group",
                   "joins and sends are refused with GROUP_RESERVED",
                   "use a group of 239.0.0.0/8, or of a scope between 1 and e");
  }
  if (!channel.named_interface && (scope == 1 || scope == 2)) {
    return finding(Severity::kError, "is ambiguous without an interface",
                   "joins without one are refused with SCOPE_NEEDS_INTERFACE", "name one: [GROUP]:PORT%INTERFACE");
  }
  if (IsHeldByTheHost(channel.group)) {
    return finding(Severity::kError, "is held by every host, for the network's own traffic",
                   "joins and sends are refused with GROUP_RESERVED", "use a group of your own");
  }
  if (const std::string_view name = ReservedGroupName(channel.group); !name.empty()) {
    return finding(Severity::kInfo, net::StrCat("belongs to the network itself (", name, ")"),
                   "clients receive it, but the gateway does not send to it", "");
  }
  if (scope == 1) {
    return finding(Severity::kWarning, "has interface-local scope", "it never leaves the host that sends it",
                   "use a wider scope, such as ff15::/16 for a site");
  }
  const bool link_local = scope == 2 || (channel.group.is_v4() &&
                                         channel.group.bytes().substr(0, 3) == std::string_view("\xe0\x00\x00", 3));
  if (link_local) {
    return finding(Severity::kInfo, "has link-local scope",
                   "no router forwards it: only senders on the interface's own link are heard",
                   "for senders further away use a wider scope, such as 239.0.0.0/8 or ff15::/16");
  }
  return finding(Severity::kOk, "has a scope that routers may forward", "", "");
}

}  // namespace mcgw::gateway
