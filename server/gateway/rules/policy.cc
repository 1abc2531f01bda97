#include "server/gateway/rules/policy.h"

#include "absl/strings/str_cat.h"
#include "server/gateway/rules/group_table.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using net::Error;
using net::IpAddress;
using net::Reason;

// What the table calls reserved, and RFC 4291, 2.7: scopes 0 and 15, whatever the flags.
bool IsReservedForAll(const IpAddress& group) {
  if (group.Ipv6Scope() == 0 || group.Ipv6Scope() == 15) return true;
  return FindGroup(group)->use == GroupUse::kReserved;
}

absl::Status CheckGroup(const IpAddress& group, std::string_view selector, std::string_view field_prefix) {
  const auto field = [&] { return net::StrCat(field_prefix, "group"); };  // Built only for an error.
  if (!group.IsMulticast()) {
    return Error(Reason::kNotAMulticastGroup, field(),
                 net::StrCat(group.ToString(), " is not a multicast group: groups are 224.0.0.0 to 239.255.255.255 (",
                             "239.0.0.0/8 for use within a site) and ff00::/8"));
  }
  if (IsReservedForAll(group)) {
    return Error(Reason::kGroupReserved, field(),
                 net::StrCat(group.ToString(), " is reserved and names no group (",
                             group.is_v4() ? "the base address" : "IPv6 scopes 0 and f, RFC 4291", ")"));
  }
  const int scope = group.Ipv6Scope();
  if ((scope == 1 || scope == 2) && selector.empty()) {
    return Error(Reason::kScopeNeedsInterface, net::StrCat(field_prefix, "interface"),
                 net::StrCat(group.ToString(), " has ", scope == 1 ? "interface-local" : "link-local",
                             " scope, which means nothing without an interface: name one"));
  }
  return absl::OkStatus();
}

absl::Status CheckSource(const IpAddress& source, const IpAddress& group, std::string_view field) {
  std::string_view problem;
  if (source.family() != group.family()) {
    problem = group.is_v4() ? "is not an IPv4 address, as the group is" : "is not an IPv6 address, as the group is";
  } else if (source.IsMulticast()) {
    problem = "is a multicast address, which is never a sender's";
  } else if (source.IsUnspecified()) {
    problem = "is the unspecified address";
  } else if (source.IsBroadcast()) {
    problem = "is the broadcast address";
  }
  if (problem.empty()) return absl::OkStatus();
  return Error(Reason::kInvalidSource, field,
               net::StrCat("source ", source.ToString(), " ", problem, ": name a sender's unicast ",
                           net::FamilyName(group.family()), " address"));
}

}  // namespace

absl::Status NoMulticast(std::string_view interface_name, std::string_view field) {
  return Error(
      Reason::kNoMulticast, field,
      net::StrCat("interface ", interface_name, " is an ipvlan device in a mode that carries no multicast (l3 or ",
                  "l3s): ip link set dev ", interface_name, " type ipvlan mode l2, or name another interface"));
}

bool IsHeldByTheHost(const IpAddress& group) {
  const std::string text = group.ToString();
  return text == "224.0.0.1" || text == "ff01::1" || text == "ff02::1";
}

std::string_view ReservedGroupName(const IpAddress& group) {
  const GroupEntry* const entry = FindGroup(group);
  return entry == nullptr || entry->use == GroupUse::kOpen ? std::string_view() : entry->name;
}

absl::Status CheckMembership(const MembershipRequest& request, size_t most_sources) {
  if (absl::Status status = CheckGroup(request.group, request.selector, ""); !status.ok()) return status;
  if (IsHeldByTheHost(request.group)) {
    return Error(Reason::kGroupReserved, "group",
                 net::StrCat(request.group.ToString(), " (", ReservedGroupName(request.group),
                             ") is held by every host and carries the network's own traffic: join a group of "
                             "your own"));
  }
  const fanout::SourceFilter& filter = request.filter;
  for (size_t i = 0; i < filter.sources().size(); ++i) {
    absl::Status status = CheckSource(filter.sources()[i], request.group, "source_filter.sources");
    if (!status.ok()) return status;
  }
  if (filter.sources().size() > most_sources) {
    return Error(Reason::kSourceLimit, "source_filter.sources",
                 net::StrCat(filter.sources().size(), " sources; a filter may have at most ", most_sources));
  }
  if (filter.IsEmpty()) {
    return Error(Reason::kInvalidSourceFilter, "source_filter.sources",
                 "a filter with mode INCLUDE names no source: list the wanted ones, or leave the filter out");
  }
  if (request.group.IsSourceSpecific() && filter.mode() != net::FilterMode::kInclude) {
    return Error(Reason::kSourceRequired, "source_filter",
                 net::StrCat(request.group.ToString(), " is source-specific (",
                             request.group.is_v4() ? "232.0.0.0/8" : "ff3x::/32",
                             ", RFC 4607): name the sources to receive from"));
  }
  return absl::OkStatus();
}

absl::Status CheckSend(const SendRequest& request) {
  absl::Status status = CheckGroup(request.group, request.selector, "destination.");
  if (!status.ok()) return status;
  if (const std::string_view name = ReservedGroupName(request.group); !name.empty()) {
    return Error(Reason::kGroupReserved, "destination.group",
                 net::StrCat(request.group.ToString(), " belongs to the network itself (", name,
                             "): the gateway does not send to it"));
  }
  if (request.source.has_value()) {
    status = CheckSource(*request.source, request.group, "options.source_address");
    if (!status.ok()) return status;
  }
  if (request.hop_limit == 0 && !request.loop) {
    return Error(Reason::kLoopRequired, "options.loop",
                 "hop limit 0 keeps the datagram on the host, and without loop no receiver there gets it either: "
                 "set loop, or a hop limit of at least 1");
  }
  return absl::OkStatus();
}

absl::Status CheckPayload(size_t size_bytes, net::Family family) {
  const size_t limit = net::MaxPayloadBytes(family);
  if (size_bytes <= limit) return absl::OkStatus();
  return Error(Reason::kPayloadTooLarge, "payload",
               net::StrCat("a payload of ", size_bytes, " bytes is too large: an ", net::FamilyName(family),
                           " datagram carries at most ", limit));
}

}  // namespace mcgw::gateway
