#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/table.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kDescription[] = "List the network interfaces of the gateway's host";

constexpr char kFooter[] =
    R"(Columns: STATE is what keeps the interface from being used, or "ok"; DEFAULT the families for which an empty
interface means this one; STAR those for which * takes it; WISHED the memberships of the gateway's clients on
it; JOINED the groups that the host's kernel has joined on it. -o json prints all that the gateway knows.

Examples:
  mcgw interfaces
  mcgw interfaces eth0
  mcgw interfaces -o json | jq '.[].name'
)";

struct Options {
  std::string interface;
  std::string format = "text";
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

int RunInterfaces(const Options& options, const GlobalOptions& global) {
  const auto client = client::Client::Connect(global.gateway);
  if (!client.ok()) return Fail(client.status());
  v1::ListInterfacesRequest request;
  request.set_interface(options.interface);
  const auto interfaces = (*client)->ListInterfaces(request);
  if (!interfaces.ok()) return Fail(interfaces.status());
  if (options.format == "json") {
    std::vector<const google::protobuf::Message*> messages;
    for (const v1::NetworkInterface& interface : *interfaces) messages.push_back(&interface);
    return Print(ToJsonArray(messages));
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "INDEX", "STATE", "MTU", "DEFAULT", "STAR", "WISHED", "JOINED", "ADDRESSES"}};
  for (const v1::NetworkInterface& interface : *interfaces) rows.push_back(Row(interface));
  return Print(FormatTable(rows));
}

}  // namespace

void AddInterfaces(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("interfaces", kDescription);
  command->footer(kFooter);
  auto options = std::make_shared<Options>();
  command->add_option("interface", options->interface, "Only this one: its name or one of its addresses")
      ->type_name("INTERFACE");
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunInterfaces(*options, *global); }; });
}

}  // namespace mcgw::cli
