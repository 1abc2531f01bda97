#include "server/gateway/rules/group_table.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "absl/numeric/int128.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using net::IpAddress;

constexpr GroupUse kOpen = GroupUse::kOpen;
constexpr GroupUse kNetwork = GroupUse::kNetwork;
constexpr GroupUse kReserved = GroupUse::kReserved;
constexpr bool kAnyScope = true;
constexpr std::string_view kIana4 = "IANA IPv4 multicast registry";
constexpr std::string_view kIana6 = "IANA IPv6 multicast registry";

constexpr GroupEntry kTable[] = {
    {"224.0.0.0/24", "local network control block", "protocols of one link; routers never forward it", "RFC 5771"},
    {"224.0.0.0/32", "the base address", "reserved, names no group", "RFC 1112", kReserved},
    {"224.0.0.1/32", "all hosts, IGMP queries", "every IPv4 host of the link", "RFC 1112", kNetwork},
    {"224.0.0.2/32", "all routers", "every multicast router of the link", "RFC 1112", kNetwork},
    {"224.0.0.4/32", "DVMRP routers", "distance-vector multicast routing", "RFC 1075", kNetwork},
    {"224.0.0.5/32", "OSPF routers", "all OSPF routers of the link", "RFC 2328", kNetwork},
    {"224.0.0.6/32", "OSPF designated routers", "the link's designated OSPF routers", "RFC 2328", kNetwork},
    {"224.0.0.7/32", "ST routers", "Internet Stream Protocol", "RFC 1190"},
    {"224.0.0.8/32", "ST hosts", "Internet Stream Protocol", "RFC 1190"},
    {"224.0.0.9/32", "RIP version 2", "routing information between routers", "RFC 2453", kNetwork},
    {"224.0.0.10/32", "EIGRP", "Cisco's interior gateway routing", "RFC 7868", kNetwork},
    {"224.0.0.11/32", "mobile agents", "Mobile IP agent discovery", "RFC 5944"},
    {"224.0.0.12/32", "DHCP servers and relay agents", "of the link", kIana4},
    {"224.0.0.13/32", "PIM routers", "multicast routing between routers", "RFC 7761", kNetwork},
    {"224.0.0.14/32", "RSVP encapsulation", "resource reservation carried in UDP", kIana4},
    {"224.0.0.18/32", "VRRP", "which router owns a shared address", "RFC 9568", kNetwork},
    {"224.0.0.22/32", "IGMPv3 reports", "memberships, to routers and snooping switches", "RFC 3376", kNetwork},
    {"224.0.0.24/32", "OSPF traffic engineering", "OSPF-TE routers", "RFC 4973"},
    {"224.0.0.102/32", "HSRP version 2", "Cisco's redundant default gateway", kIana4},
    {"224.0.0.106/32", "all snoopers", "multicast router discovery by switches", "RFC 4286"},
    {"224.0.0.107/32", "PTP peer delay", "Precision Time Protocol, delay of one link", "IEEE 1588"},
    {"224.0.0.109/32", "MANET routers", "mobile ad hoc routing on one link", "RFC 5498"},
    {"224.0.0.111/32", "Babel", "Babel routing", "RFC 8966"},
    {"224.0.0.117/32", "DLEP discovery", "Dynamic Link Exchange Protocol", "RFC 8175"},
    {"224.0.0.119/32", "GRASP neighbours", "autonomic signalling", "RFC 8990"},
    {"224.0.0.121/32", "RIFT routers", "Routing in Fat Trees", "RFC 9692"},
    {"224.0.0.251/32", "mDNS", "names and services of the link (Bonjour, Avahi)", "RFC 6762", kNetwork},
    {"224.0.0.252/32", "LLMNR", "link-local name resolution", "RFC 4795", kNetwork},
    {"224.0.0.253/32", "Teredo", "IPv6 through IPv4 address translators", "RFC 4380"},
    {"224.0.0.254/32", "experiments", "explicitly configured experiments only", "RFC 4727"},
    {"224.0.1.0/24", "internetwork control block", "control protocols that routers may forward", "RFC 5771"},
    {"224.0.1.1/32", "NTP", "Network Time Protocol servers", "RFC 5905"},
    {"224.0.1.3/32", "rwhod", "who is logged in where", kIana4},
    {"224.0.1.8/32", "NIS+", "Sun's network information service", kIana4},
    {"224.0.1.22/32", "SLP", "Service Location Protocol, version 1", "RFC 2165"},
    {"224.0.1.24/32", "WINS", "Microsoft's name servers finding each other", kIana4},
    {"224.0.1.35/32", "SLP directory agents", "Service Location Protocol, version 1", "RFC 2165"},
    {"224.0.1.39/32", "Cisco RP announce", "Auto-RP: candidates for rendezvous point", kIana4},
    {"224.0.1.40/32", "Cisco RP discovery", "Auto-RP: the rendezvous points chosen", kIana4},
    {"224.0.1.41/32", "H.323 gatekeepers", "gatekeeper discovery", "ITU-T H.225.0"},
    {"224.0.1.60/32", "HP device discovery", "printers", kIana4},
    {"224.0.1.68/32", "MADCAP", "allocation of multicast addresses", "RFC 2730"},
    {"224.0.1.75/32", "SIP", "all SIP servers", "RFC 3261"},
    {"224.0.1.76/32", "IAPP", "Inter-Access Point Protocol", kIana4},
    {"224.0.1.84/32", "Jini announcement", "lookup services", kIana4},
    {"224.0.1.85/32", "Jini request", "lookup services", kIana4},
    {"224.0.1.129/32", "PTP", "Precision Time Protocol, all but peer delay", "IEEE 1588"},
    {"224.0.1.130/32", "PTP alternate 1", "Precision Time Protocol, version 1", "IEEE 1588"},
    {"224.0.1.131/32", "PTP alternate 2", "Precision Time Protocol, version 1", "IEEE 1588"},
    {"224.0.1.132/32", "PTP alternate 3", "Precision Time Protocol, version 1", "IEEE 1588"},
    {"224.0.1.140/32", "CAPWAP", "controllers of wireless access points", "RFC 5415"},
    {"224.0.1.187/32", "CoAP", "all CoAP nodes", "RFC 7252"},
    {"224.0.1.190/32", "CoRE resource directories", "lookup of CoAP resources", "RFC 9176"},
    {"224.0.2.0-224.0.255.255", "AD-HOC block I", "single assignments; routers may forward it", "RFC 5771"},
    {"224.0.23.12/32", "KNXnet/IP", "building automation", kIana4},
    {"224.1.0.0/16", "reserved", "not assigned", "RFC 5771"},
    {"224.2.0.0/16", "SDP/SAP block", "sessions announced by SAP", "RFC 5771"},
    {"224.2.127.254/32", "SAP version 1", "announcements of global sessions", "RFC 2974"},
    {"224.2.127.255/32", "SAP version 0", "announcements, deprecated", "RFC 2974"},
    {"224.3.0.0-224.4.255.255", "AD-HOC block II", "single assignments; routers may forward it", "RFC 5771"},
    {"224.5.0.0-231.255.255.255", "reserved", "not assigned", "RFC 5771"},
    {"232.0.0.0/8", "source-specific multicast", "a join names its sources; no assignment needed", "RFC 4607"},
    {"232.0.0.0/32", "reserved", "the base of the source-specific block", "RFC 4607"},
    {"232.0.0.1-232.0.0.255", "reserved for IANA", "source-specific groups for later assignment", "RFC 4607"},
    {"233.0.0.0-233.251.255.255", "GLOP", "256 groups for each 16-bit AS number: 233.x.y.0/24", "RFC 3180"},
    {"233.252.0.0/14", "AD-HOC block III", "single assignments; routers may forward it", "RFC 5771"},
    {"233.252.0.0/24", "MCAST-TEST-NET", "for documentation and tests", "RFC 6676"},
    {"234.0.0.0/8", "unicast-prefix-based", "groups for each holder of a unicast prefix", "RFC 6034"},
    {"235.0.0.0-238.255.255.255", "reserved", "not assigned", "RFC 5771"},
    {"239.0.0.0/8", "administratively scoped", "for use within an organisation, without assignment", "RFC 2365"},
    {"239.192.0.0/14", "organisation-local scope", "for use within one organisation", "RFC 2365"},
    {"239.255.0.0/16", "local scope", "for use within one site or less", "RFC 2365"},
    {"239.255.255.250/32", "SSDP", "discovery of UPnP devices", "UPnP Device Architecture"},
    {"239.255.255.251/32", "DNS discovery", "multicast discovery of DNS services", kIana4},
    {"239.255.255.252/32", "MZAP", "announcement of multicast zones", "RFC 2776"},
    {"239.255.255.253/32", "SLP", "Service Location Protocol, version 2", "RFC 2608"},
    {"239.255.255.254/32", "MADCAP", "allocation of multicast addresses", "RFC 2730"},
    {"239.255.255.255/32", "SAP", "announcements of local sessions", "RFC 2974"},
    {"ff00::/8", "IPv6 multicast", "flags that no RFC defines", "RFC 4291"},
    {"ff00::/12", "permanently assigned", "only what the registry assigns", "RFC 4291"},
    {"ff00::/128", "reserved", "group 0 of a scope, never assigned", "RFC 4291", kOpen, kAnyScope},
    {"ff00::c/128", "SSDP", "discovery of UPnP devices", "UPnP Device Architecture", kOpen, kAnyScope},
    {"ff00::fb/128", "mDNS", "names and services", "RFC 6762", kOpen, kAnyScope},
    {"ff00::fc/128", "MPL forwarders", "multicast in low-power networks", "RFC 7731", kOpen, kAnyScope},
    {"ff00::fd/128", "CoAP", "all CoAP nodes", "RFC 7252", kOpen, kAnyScope},
    {"ff00::fe/128", "CoRE resource directories", "lookup of CoAP resources", "RFC 9176", kOpen, kAnyScope},
    {"ff00::101/128", "NTP", "Network Time Protocol servers", "RFC 5905", kOpen, kAnyScope},
    {"ff00::103/128", "rwhod", "who is logged in where", kIana6, kOpen, kAnyScope},
    {"ff00::108/128", "NIS+", "Sun's network information service", kIana6, kOpen, kAnyScope},
    {"ff00::114/128", "private experiments", "explicitly configured experiments only", "RFC 4727", kOpen, kAnyScope},
    {"ff00::116/128", "SLP", "Service Location Protocol", "RFC 3111", kOpen, kAnyScope},
    {"ff00::123/128", "SLP directory agents", "Service Location Protocol", "RFC 3111", kOpen, kAnyScope},
    {"ff00::127/128", "Cisco RP announce", "candidates for rendezvous point", kIana6, kOpen, kAnyScope},
    {"ff00::128/128", "Cisco RP discovery", "the rendezvous points chosen", kIana6, kOpen, kAnyScope},
    {"ff00::12d/128", "DVB service discovery", "television services", kIana6, kOpen, kAnyScope},
    {"ff00::130/128", "UPnP", "events of UPnP devices", "UPnP Device Architecture", kOpen, kAnyScope},
    {"ff00::133/128", "ASAP", "server pool announcements", "RFC 5352", kOpen, kAnyScope},
    {"ff00::155/128", "Jini announcement", "lookup services", kIana6, kOpen, kAnyScope},
    {"ff00::156/128", "Jini request", "lookup services", kIana6, kOpen, kAnyScope},
    {"ff00::175/128", "SIP", "all SIP servers", kIana6, kOpen, kAnyScope},
    {"ff00::181/128", "PTP", "Precision Time Protocol, all but peer delay", "IEEE 1588", kOpen, kAnyScope},
    {"ff00::182/128", "PTP alternate 1", "Precision Time Protocol", "IEEE 1588", kOpen, kAnyScope},
    {"ff00::183/128", "PTP alternate 2", "Precision Time Protocol", "IEEE 1588", kOpen, kAnyScope},
    {"ff00::184/128", "PTP alternate 3", "Precision Time Protocol", "IEEE 1588", kOpen, kAnyScope},
    {"ff00::18c/128", "CAPWAP", "controllers of wireless access points", "RFC 5415", kOpen, kAnyScope},
    {"ff00::204/128", "C12.22 nodes", "utility meters", "RFC 6142", kOpen, kAnyScope},
    {"ff00::300/128", "Mbus", "message bus of conference tools", "RFC 3259", kOpen, kAnyScope},
    {"ff00::bac0/128", "BACnet", "building automation", kIana6, kOpen, kAnyScope},
    {"ff00::1:1000/118", "SLP", "Service Location Protocol, version 2", "RFC 3111", kOpen, kAnyScope},
    {"ff00::2:0-ff00::2:7ffd", "conference calls", "multimedia conference calls", kIana6, kOpen, kAnyScope},
    {"ff00::2:7ffe/128", "SAP version 1", "announcements of sessions of the scope", "RFC 2974", kOpen, kAnyScope},
    {"ff00::2:7fff/128", "SAP version 0", "announcements, deprecated", "RFC 2974", kOpen, kAnyScope},
    {"ff00::2:8000/113", "SAP dynamic assignments", "sessions announced by SAP", "RFC 2974", kOpen, kAnyScope},
    {"ff00::db8:0:0/96", "documentation", "for documentation", "RFC 6676", kOpen, kAnyScope},
    {"ff01::1/128", "all nodes", "the host itself", "RFC 4291", kNetwork},
    {"ff01::2/128", "all routers", "the host itself, if it is a router", "RFC 4291", kNetwork},
    {"ff02::1/128", "all nodes", "every IPv6 node of the link", "RFC 4291", kNetwork},
    {"ff02::2/128", "all routers", "every router of the link", "RFC 4291", kNetwork},
    {"ff02::4/128", "DVMRP routers", "distance-vector multicast routing", kIana6, kNetwork},
    {"ff02::5/128", "OSPF routers", "all OSPF routers of the link", "RFC 5340", kNetwork},
    {"ff02::6/128", "OSPF designated routers", "the link's designated OSPF routers", "RFC 5340", kNetwork},
    {"ff02::9/128", "RIP routers", "RIPng routing", "RFC 2080", kNetwork},
    {"ff02::a/128", "EIGRP routers", "Cisco's interior gateway routing", "RFC 7868", kNetwork},
    {"ff02::b/128", "mobile agents", "Mobile IP agents", kIana6},
    {"ff02::d/128", "PIM routers", "multicast routing between routers", "RFC 7761", kNetwork},
    {"ff02::e/128", "RSVP encapsulation", "resource reservation carried in UDP", kIana6},
    {"ff02::f/128", "UPnP", "devices of the link", "UPnP Device Architecture"},
    {"ff02::12/128", "VRRP", "which router owns a shared address", "RFC 9568", kNetwork},
    {"ff02::16/128", "MLDv2 reports", "memberships, to routers and snooping switches", "RFC 3810", kNetwork},
    {"ff02::1a/128", "RPL nodes", "routing in low-power networks", "RFC 6550"},
    {"ff02::6a/128", "all snoopers", "multicast router discovery by switches", "RFC 4286"},
    {"ff02::6b/128", "PTP peer delay", "Precision Time Protocol, delay of one link", "IEEE 1588"},
    {"ff02::6d/128", "MANET routers", "mobile ad hoc routing on one link", "RFC 5498"},
    {"ff02::fb/128", "mDNS", "names and services of the link (Bonjour, Avahi)", "RFC 6762", kNetwork},
    {"ff02::1:2/128", "DHCPv6 servers and relay agents", "of the link", "RFC 8415"},
    {"ff02::1:3/128", "LLMNR", "link-local name resolution", "RFC 4795", kNetwork},
    {"ff02::1:6/128", "Babel", "Babel routing", "RFC 8966"},
    {"ff02::1:ff00:0/104", "solicited node", "neighbour discovery of addresses with the same last 24 bits", "RFC 4291"},
    {"ff02::2:ff00:0/104", "node information queries", "names and addresses of a node", "RFC 4620"},
    {"ff05::2/128", "all routers", "every router of the site", "RFC 4291", kNetwork},
    {"ff05::1:3/128", "DHCPv6 servers", "all DHCPv6 servers of the site", "RFC 8415"},
    {"ff10::/12", "transient", "for use by programs, without assignment", "RFC 4291"},
    {"ff30::/12", "unicast-prefix-based", "groups for each holder of a unicast prefix", "RFC 3306"},
    {"ff30::/32", "source-specific multicast", "a join names its sources; no assignment needed", "RFC 4607", kOpen,
     kAnyScope},
    {"ff70::/12", "embedded rendezvous point", "the group holds the address of its rendezvous point", "RFC 3956"},
};

absl::uint128 Number(const IpAddress& address) {
  absl::uint128 number = 0;
  for (const char byte : address.bytes()) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

IpAddress Address(absl::uint128 number, net::Family family) {
  if (family == net::Family::kIpv4) return IpAddress::FromV4({htonl(static_cast<uint32_t>(number))});
  in6_addr v6;
  for (int i = 15; i >= 0; --i, number >>= 8) v6.s6_addr[i] = static_cast<uint8_t>(number);
  return IpAddress::FromV6(v6);
}

// The scope is the low half of the second byte.
IpAddress WithScope(const IpAddress& group, uint8_t scope) {
  in6_addr v6 = group.ToV6();
  v6.s6_addr[1] = (v6.s6_addr[1] & 0xf0) | scope;
  return IpAddress::FromV6(v6);
}

// An entry's range in numbers; an entry that holds for every scope has one for each.
struct Range {
  const GroupEntry* entry;
  absl::uint128 first;
  absl::uint128 last;
};

// From `first` up to the next stretch, all groups have this entry.
struct Stretch {
  absl::uint128 first;
  const GroupEntry* entry;  // Null where there is none.
};

std::vector<Range> RangesOf(net::Family family) {
  std::vector<Range> ranges;
  for (const GroupEntry& entry : kTable) {
    const absl::StatusOr<GroupRange> range = ParseRange(entry.range);
    if (!range.ok() || range->first.family() != family) continue;  // A test checks that all parse.
    if (!entry.any_scope) ranges.push_back({&entry, Number(range->first), Number(range->last)});
    for (uint8_t scope = 0; entry.any_scope && scope < 16; ++scope) {
      ranges.push_back({&entry, Number(WithScope(range->first, scope)), Number(WithScope(range->last, scope))});
    }
  }
  return ranges;
}

// Sorted, so that a group is found by binary search: every send looks one up.
std::vector<Stretch> StretchesOf(net::Family family) {
  std::vector<Range> ranges = RangesOf(family);
  std::vector<absl::uint128> ends = {0};
  for (const Range& range : ranges) {
    ends.push_back(range.first);
    if (range.last != absl::Uint128Max()) ends.push_back(range.last + 1);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  // The smallest ranges first, so that the first that contains a group is the answer.
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    const absl::uint128 a_size = a.last - a.first;
    const absl::uint128 b_size = b.last - b.first;
    return a_size != b_size ? a_size < b_size : a.entry->any_scope < b.entry->any_scope;
  });
  std::vector<Stretch> stretches;
  for (const absl::uint128 first : ends) {
    const auto found = std::find_if(ranges.begin(), ranges.end(),
                                    [&](const Range& range) { return range.first <= first && first <= range.last; });
    stretches.push_back({first, found == ranges.end() ? nullptr : found->entry});
  }
  return stretches;
}

}  // namespace

absl::Span<const GroupEntry> GroupTable() { return kTable; }

absl::StatusOr<GroupRange> ParseRange(std::string_view range) {
  const size_t separator = range.find_first_of("/-");
  const absl::StatusOr<IpAddress> first = IpAddress::Parse(range.substr(0, separator));
  if (!first.ok()) return first.status();
  const std::string_view rest = separator == range.npos ? std::string_view() : range.substr(separator + 1);
  if (separator != range.npos && range[separator] == '-') {
    const absl::StatusOr<IpAddress> last = IpAddress::Parse(rest);
    if (!last.ok()) return last.status();
    if (last->family() == first->family() && *first <= *last) return GroupRange{*first, *last};
  } else {
    const int bits = static_cast<int>(first->bytes().size()) * 8;
    int prefix = -1;
    const std::from_chars_result read = std::from_chars(rest.data(), rest.data() + rest.size(), prefix);
    if (read.ec == std::errc() && read.ptr == rest.data() + rest.size() && prefix > 0 && prefix <= bits) {
      const absl::uint128 host = (absl::uint128(1) << (bits - prefix)) - 1;
      if ((Number(*first) & host) == 0) return GroupRange{*first, Address(Number(*first) | host, first->family())};
    }
  }
  return net::Error(net::Reason::kInvalidAddress, "", net::StrCat("\"", range, "\" is not a range of addresses"));
}

const GroupEntry* FindGroup(const IpAddress& group) {
  static const std::vector<Stretch>& v4 = *new std::vector<Stretch>(StretchesOf(net::Family::kIpv4));
  static const std::vector<Stretch>& v6 = *new std::vector<Stretch>(StretchesOf(net::Family::kIpv6));
  const std::vector<Stretch>& stretches = group.is_v4() ? v4 : v6;
  const auto after =
      std::upper_bound(stretches.begin(), stretches.end(), Number(group),
                       [](const absl::uint128& number, const Stretch& stretch) { return number < stretch.first; });
  return std::prev(after)->entry;  // The first stretch begins at 0.
}

std::string RangeFor(const GroupEntry& entry, const IpAddress& group) {
  const absl::StatusOr<GroupRange> range = ParseRange(entry.range);
  if (!entry.any_scope || !range.ok() || group.is_v4()) return std::string(entry.range);
  const auto scope = static_cast<uint8_t>(group.Ipv6Scope());
  const size_t separator = entry.range.find_first_of("/-");
  const std::string first = WithScope(range->first, scope).ToString();
  if (entry.range[separator] == '/') return net::StrCat(first, entry.range.substr(separator));
  return net::StrCat(first, "-", WithScope(range->last, scope).ToString());
}

}  // namespace mcgw::gateway
