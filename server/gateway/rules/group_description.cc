#include "server/gateway/rules/group_description.h"

#include "absl/strings/str_format.h"
#include "server/gateway/rules/policy.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using net::IpAddress;
using net::Reason;

constexpr uint32_t kMacBits = 0x007fffff;  // The part of an IPv4 group that its MAC holds.

uint32_t V4Number(const IpAddress& group) { return ntohl(group.ToV4().s_addr); }

// The hop limits of a scope, by the customary thresholds of border routers: they forward datagrams with more than 32
// out of a site, and with more than 64 out of a region. Below `least` a datagram stays inside a narrower scope, above
// `most` it may leave this one. `advised` is below the threshold, since some routers forward at the threshold itself.
struct ScopeFacts {
  std::string_view description;
  int least;
  int advised;
  int most;
};

ScopeFacts FactsOf(GroupScope scope, const IpAddress& group) {
  const bool v4 = group.is_v4();
  switch (scope) {
    case GroupScope::kInterfaceLocal:
      return {"interface-local: stays on the host that sends it", 0, 0, 0};
    case GroupScope::kLinkLocal:
      return {"link-local: one network segment; routers never forward it, whatever its hop limit", 1, 1, 1};
    case GroupScope::kRealmLocal:
      return {"realm-local: a network that the link technology defines; routers at its border hold it back", 2, 31, 32};
    case GroupScope::kAdminLocal:
      return v4 ? ScopeFacts{"local scope: at most one site; border routers must be configured to hold it back", 2, 31,
                             32}
                : ScopeFacts{
                      "admin-local: the smallest scope that administrators define; routers at its border hold it back",
                      2, 31, 32};
    case GroupScope::kSiteLocal:
      return {"site-local: one site; routers at its border hold it back", 2, 31, 32};
    case GroupScope::kOrganizationLocal:
      return v4 ? ScopeFacts{"organisation-local: one organisation; border routers must be configured to hold it back",
                             33, 63, 64}
                : ScopeFacts{"organisation-local: the sites of one organisation; routers at its border hold it back",
                             33, 63, 64};
    case GroupScope::kAdministered:
      if (v4) return {"administratively scoped: within one organisation, as its administrators define", 2, 63, 64};
      // Scopes grow with their numbers: 6 and 7 lie below an organisation (8), 9 to d above it.
      if (group.Ipv6Scope() < 8) return {"not assigned: larger than a site, for administrators to define", 2, 63, 64};
      return {"not assigned: larger than an organisation, for administrators to define", 33, 255, 255};
    case GroupScope::kGlobal:
      return {"global: everywhere that routers forward multicast", 65, 255, 255};
    case GroupScope::kReserved:
      return {"reserved: no group has this scope", 0, 1, 255};
  }
  return {"", 0, 1, 255};
}

std::vector<IpAddress> MacAliases(const IpAddress& group) {
  std::vector<IpAddress> aliases;
  const uint32_t own = V4Number(group);
  for (uint32_t high = 0; high < 32; ++high) {
    const uint32_t alias = 0xe0000000 | high << 23 | (own & kMacBits);
    if (alias != own) aliases.push_back(IpAddress::FromV4({htonl(alias)}));
  }
  return aliases;
}

bool IsRefused(const absl::Status& status) { return net::ReasonOf(status) == Reason::kGroupReserved; }

std::vector<GroupWarning> WarningsOf(const GroupDescription& description) {
  std::vector<GroupWarning> warnings;
  const IpAddress& group = description.group;
  if (description.join_refused) {
    warnings.push_back({GroupWarningCode::kReserved, "reserved: the gateway neither joins it nor sends to it"});
  } else if (description.send_refused) {
    warnings.push_back(
        {GroupWarningCode::kReserved, net::StrCat("belongs to the network itself (", description.entry->name,
                                                  "): the gateway does not send to it, but may join it")});
  }
  if (description.source_specific) {
    warnings.push_back({GroupWarningCode::kSourceRequired,
                        "source-specific: a join names the senders it wants, such as 10.0.0.2@GROUP:PORT"});
  }
  if (group.is_v4() && description.scope != GroupScope::kLinkLocal && (V4Number(group) & kMacBits) < 256) {
    const IpAddress flooded = IpAddress::FromV4({htonl(0xe0000000 | (V4Number(group) & 0xff))});
    warnings.push_back({GroupWarningCode::kFloodedMac,
                        net::StrCat("shares its MAC with ", flooded.ToString(),
                                    ", which switches flood to every port: choose a group whose last 23 bits are 256 "
                                    "or more")});
  }
  if (description.scope == GroupScope::kInterfaceLocal ||
      (description.scope == GroupScope::kLinkLocal && !group.is_v4())) {
    warnings.push_back({GroupWarningCode::kInterfaceRequired,
                        "means another group on each interface: name the interface when joining and sending"});
  }
  return warnings;
}

std::optional<GroupWarning> HopLimitWarning(const GroupDescription& description, const ScopeFacts& facts,
                                            int hop_limit) {
  if (hop_limit > facts.most) {
    return GroupWarning{
        GroupWarningCode::kHopLimitExceedsScope,
        absl::StrFormat("hop limit %d reaches farther than the scope: use at most %d%s", hop_limit, facts.most,
                        description.group.is_v4() && description.scope != GroupScope::kLinkLocal
                            ? ""
                            : "; routers hold it back by its address")};
  }
  if (hop_limit < facts.least) {
    const char* const stays = hop_limit == 0 ? "on the host" : hop_limit == 1 ? "on the link" : "in a narrower scope";
    return GroupWarning{GroupWarningCode::kHopLimitBelowScope,
                        absl::StrFormat("hop limit %d stays %s: the scope reaches farther, and %d covers it", hop_limit,
                                        stays, facts.advised)};
  }
  return std::nullopt;
}

}  // namespace

GroupScope ScopeOf(const IpAddress& group) {
  if (group.is_v4()) {
    const uint32_t number = V4Number(group);
    if (number >> 8 == 0xe00000) return GroupScope::kLinkLocal;              // 224.0.0.0/24
    if (number >> 16 == 0xefff) return GroupScope::kAdminLocal;              // 239.255.0.0/16
    if (number >> 18 == 0xefc0 >> 2) return GroupScope::kOrganizationLocal;  // 239.192.0.0/14
    return number >> 24 == 0xef ? GroupScope::kAdministered : GroupScope::kGlobal;
  }
  switch (group.Ipv6Scope()) {
    case 1:
      return GroupScope::kInterfaceLocal;
    case 2:
      return GroupScope::kLinkLocal;
    case 3:
      return GroupScope::kRealmLocal;
    case 4:
      return GroupScope::kAdminLocal;
    case 5:
      return GroupScope::kSiteLocal;
    case 8:
      return GroupScope::kOrganizationLocal;
    case 14:
      return GroupScope::kGlobal;
    case 0:
    case 15:
      return GroupScope::kReserved;
    default:
      return GroupScope::kAdministered;
  }
}

std::string MacOf(const IpAddress& group) {
  if (group.is_v4()) {
    const uint32_t low = V4Number(group) & kMacBits;
    return absl::StrFormat("01:00:5e:%02x:%02x:%02x", low >> 16, low >> 8 & 0xff, low & 0xff);
  }
  const in6_addr v6 = group.ToV6();
  return absl::StrFormat("33:33:%02x:%02x:%02x:%02x", v6.s6_addr[12], v6.s6_addr[13], v6.s6_addr[14], v6.s6_addr[15]);
}

absl::StatusOr<GroupDescription> DescribeGroup(const IpAddress& group, std::optional<uint8_t> hop_limit) {
  // Every interface, and a filter that any group accepts, so that only the group itself decides.
  const absl::Status sending = CheckSend({.selector = "*", .group = group, .port = 1, .source = std::nullopt});
  if (net::ReasonOf(sending) == Reason::kNotAMulticastGroup)
    return net::Error(Reason::kNotAMulticastGroup, "group", std::string(sending.message()));
  const absl::Status joining = CheckMembership({.selector = "*", .group = group, .port = 1, .filter = {}}, 0);

  GroupDescription description;
  description.group = group;
  description.scope = ScopeOf(group);
  const ScopeFacts facts = FactsOf(description.scope, group);
  description.scope_description = facts.description;
  description.entry = FindGroup(group);
  description.range = RangeFor(*description.entry, group);
  description.mac = MacOf(group);
  if (group.is_v4()) description.mac_aliases = MacAliases(group);
  description.mac_rule =
      group.is_v4() ? "01:00:5e and the low 23 bits of the group: 32 groups share each MAC (RFC 1112, 6.4)"
                    : "33:33 and the low 32 bits of the group: all groups that end alike share a MAC (RFC 2464, 7)";
  description.advised_hop_limit = static_cast<uint8_t>(facts.advised);
  description.source_specific = group.IsSourceSpecific();
  description.send_refused = IsRefused(sending);
  description.join_refused = IsRefused(joining);
  description.warnings = WarningsOf(description);
  if (hop_limit.has_value()) {
    if (auto warning = HopLimitWarning(description, facts, *hop_limit)) {
      description.warnings.push_back(*std::move(warning));
    }
  }
  return description;
}

}  // namespace mcgw::gateway
