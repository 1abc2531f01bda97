#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/table.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kInterfacesDescription[] = "List the network interfaces of the gateway's host";

constexpr char kInterfacesFooter[] =
    R"(Columns: STATE is "ok", or why the interface cannot be used. DEFAULT lists the families for which an empty
interface means this one, STAR those for which * takes it. REQUESTED counts the memberships of the gateway's clients
on it, JOINED the groups that the host's kernel has joined on it. --long shows for each interface its flags, the
versions of IGMP and MLD in force, its counters, why * leaves it out, and each group that the kernel has joined, with
its users. -o json prints all fields.

Examples:
  mcgw interfaces
  mcgw interfaces eth0 --long
  mcgw interfaces -o json | jq '.[].name'
)";

struct InterfacesOptions {
  std::string interface;
  std::string format = "text";
  bool full = false;
};

bool HasFlag(const v1::NetworkInterface& interface, v1::InterfaceFlag flag) {
  for (const int set : interface.flags()) {
    if (set == flag) return true;
  }
  return false;
}

std::string State(const v1::NetworkInterface& interface) {
  if (!interface.permitted()) return "not-permitted";
  if (!HasFlag(interface, v1::INTERFACE_FLAG_UP)) return "down";
  if (interface.has_carrier() && !interface.carrier()) return "no-carrier";
  if (interface.lost()) return "lost";
  if (!HasFlag(interface, v1::INTERFACE_FLAG_MULTICAST) && !HasFlag(interface, v1::INTERFACE_FLAG_LOOPBACK)) {
    return "no-multicast";
  }
  return "ok";
}

std::string Families(bool ipv4, bool ipv6) { return ipv4 ? (ipv6 ? "4,6" : "4") : (ipv6 ? "6" : ""); }

std::vector<std::string> Row(const v1::NetworkInterface& interface) {
  const v1::InterfaceFamily& ipv4 = interface.ipv4();
  const v1::InterfaceFamily& ipv6 = interface.ipv6();
  return {interface.name(),
          absl::StrCat(interface.index()),
          State(interface),
          absl::StrCat(interface.mtu_bytes()),
          Families(ipv4.default_interface(), ipv6.default_interface()),
          Families(interface.has_ipv4() && ipv4.star_exclusions().empty(),
                   interface.has_ipv6() && ipv6.star_exclusions().empty()),
          absl::StrCat(ipv4.wished_memberships() + ipv6.wished_memberships()),
          absl::StrCat(ipv4.kernel_membership_count() + ipv6.kernel_membership_count()),
          absl::StrJoin(interface.addresses(), ",")};
}

// "UP RUNNING MULTICAST": the names of an enumeration without their prefix, lower case with spaces if they are prose.
template <typename Values, typename Name>
std::string Names(const Values& values, absl::string_view prefix, Name name) {
  return absl::StrJoin(values, " ", [&](std::string* out, int value) {
    const std::string& full = name(value);
    absl::StrAppend(out, full.empty() ? absl::StrCat(value) : std::string(absl::StripPrefix(full, prefix)));
  });
}

void AppendFamily(absl::string_view name, absl::string_view protocol, const v1::InterfaceFamily& family,
                  std::string* text) {
  const std::string version = family.membership_protocol_version() == 0
                                  ? absl::StrCat(protocol, " version unknown")
                                  : absl::StrCat(protocol, "v", family.membership_protocol_version());
  const std::string star =
      family.star_exclusions().empty()
          ? "* takes it"
          : absl::StrCat("* leaves it out: ", Names(family.star_exclusions(), "STAR_EXCLUSION_", [](int value) {
                           return v1::StarExclusion_Name(static_cast<v1::StarExclusion>(value));
                         }));
  absl::StrAppend(text, "  ", name, "       ", version, "; ", family.default_interface() ? "default; " : "", star, "; ",
                  family.wished_memberships(), " requested, ", family.kernel_membership_count(), " joined\n");
  for (const v1::KernelMembership& membership : family.kernel_memberships()) {
    absl::StrAppend(text, "             ", membership.group(), ": users ", membership.users(), ", of the gateway ",
                    membership.gateway_users(), "\n");
  }
}

std::string Block(const v1::NetworkInterface& interface) {
  const v1::InterfaceCounters& counters = interface.counters();
  std::string text = absl::StrCat(interface.name(), " (index ", interface.index(), "): ", State(interface), "\n");
  const auto line = [&text](absl::string_view label, absl::string_view value) {
    if (value.empty()) return;
    absl::StrAppend(&text, "  ", label, std::string(11 - label.size(), ' '), value, "\n");
  };
  line("flags", Names(interface.flags(), "INTERFACE_FLAG_",
                      [](int flag) { return v1::InterfaceFlag_Name(static_cast<v1::InterfaceFlag>(flag)); }));
  line("alt names", absl::StrJoin(interface.alternative_names(), ", "));
  line("kind", interface.kind());
  line("master", interface.master_name());
  line("mac", interface.mac_address());
  line("mtu", absl::StrCat(interface.mtu_bytes()));
  line("carrier", !interface.has_carrier() ? "unknown" : interface.carrier() ? "yes" : "no");
  line("addresses", absl::StrJoin(interface.addresses(), ", "));
  line("device", absl::StrCat(counters.has_device_multicast_packets()
                                  ? absl::StrCat(counters.device_multicast_packets(), " multicast packets received, ")
                                  : "",
                              counters.device_receive_dropped_packets(), " dropped on receipt"));
  line("gateway", absl::StrCat(counters.read_datagrams(), " datagrams read, ", counters.kernel_dropped_datagrams(),
                               " dropped by the kernel, ", counters.sent_datagrams(), " sent, ",
                               counters.send_failed_datagrams(), " failed to send"));
  AppendFamily("ipv4", "IGMP", interface.ipv4(), &text);
  AppendFamily("ipv6", "MLD", interface.ipv6(), &text);
  return text;
}

int RunInterfaces(const InterfacesOptions& options, const GlobalOptions& global) {
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  v1::ListInterfacesRequest request;
  request.set_interface(options.interface);
  const auto interfaces = (*client)->ListInterfaces(request);
  if (!interfaces.ok()) return Fail(interfaces.status());
  if (options.format == "json") {
    std::vector<const google::protobuf::Message*> messages;
    for (const v1::NetworkInterface& interface : *interfaces) messages.push_back(&interface);
    return PrintJson(ToJsonArray(messages));
  }
  if (options.full)
    return Print(absl::StrJoin(*interfaces, "\n",
                               [](std::string* out, const auto& interface) { out->append(Block(interface)); }));
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "INDEX", "STATE", "MTU", "DEFAULT", "STAR", "REQUESTED", "JOINED", "ADDRESSES"}};
  for (const v1::NetworkInterface& interface : *interfaces) rows.push_back(Row(interface));
  return Print(FormatTable(rows));
}

}  // namespace

void AddInterfaces(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("interfaces", kInterfacesDescription);
  command->footer(kInterfacesFooter);
  auto options = std::make_shared<InterfacesOptions>();
  command
      ->add_option("interface", options->interface,
                   "Show only this interface: its name, an alternative name, or one of its addresses")
      ->type_name("INTERFACE");
  command->add_flag("--long", options->full, "Show all about each interface, in lines instead of columns");
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunInterfaces(*options, *global); }; });
}

}  // namespace mcgw::cli
