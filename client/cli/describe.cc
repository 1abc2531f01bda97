#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/hop_limit.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kDescribeDescription[] = "Explain a group: scope, registered purpose, MAC, hop limit";

constexpr char kDescribeFooter[] =
    R"(describe looks only at the address. It joins and sends nothing, and the group need not be in use.

--ttl is the hop limit that you intend to send with; a warning shows if it contradicts the group's scope. The advised
hop limit fits the scope for routers with the customary thresholds (32 at the border of a site, 64 of a region). A
warning is not a failure: describe exits with 0 for every multicast group.

-o json prints the API's answer, with all groups that share the MAC.

Examples:
  mcgw describe 239.255.1.1
  mcgw describe ff05::101 --ttl site
  mcgw describe 239.1.1.1 -o json | jq -r '.mac.aliases[]'
)";

struct DescribeOptions {
  std::string group;
  std::string ttl;
  std::string format = "text";
};

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string Refusals(const v1::DescribeGroupResponse& group) {
  if (group.join_refused()) return "may be neither joined nor sent to";
  return group.send_refused() ? "may be joined, but not sent to" : "may be joined and sent to";
}

Lines Describe(const v1::DescribeGroupResponse& group) {
  const v1::WellKnownName& name = group.well_known_name();
  Lines lines = {{"group", absl::StrCat(group.group(), group.source_specific() ? " (source-specific)" : "")},
                 {"name", absl::StrCat(name.name(), ": ", name.description())},
                 {"range", absl::StrCat(name.range(), " (", name.source(), ")")},
                 {"scope", group.scope_description()},
                 {"hop limit", absl::StrCat("at most ", group.advised_hop_limit(), " advised")},
                 {"gateway", Refusals(group)},
                 {"MAC", group.mac().address()},
                 {"", group.mac().rule()}};
  constexpr int kAliasesOfALine = 6;
  const auto& aliases = group.mac().aliases();
  for (int i = 0; i < aliases.size(); i += kAliasesOfALine) {
    const auto begin = aliases.begin() + i;
    const auto end = aliases.begin() + std::min(i + kAliasesOfALine, aliases.size());
    lines.emplace_back(i == 0 ? "same MAC" : "", absl::StrJoin(begin, end, " "));
  }
  for (const v1::GroupWarning& warning : group.warnings()) lines.emplace_back("warning", warning.message());
  return lines;
}

std::string Format(const Lines& lines) {
  size_t width = 0;
  for (const auto& [label, text] : lines) width = std::max(width, label.size());
  std::string out;
  for (const auto& [label, text] : lines) {
    absl::StrAppend(&out, label, std::string(width + 2 - label.size(), ' '), text, "\n");
  }
  return out;
}

int RunDescribe(const DescribeOptions& options, const GlobalOptions& global) {
  v1::DescribeGroupRequest request;
  request.set_group(options.group);
  if (!options.ttl.empty()) {
    const auto hop_limit = ParseHopLimit("--ttl", options.ttl);
    if (!hop_limit.ok()) return Fail(hop_limit.status());
    request.set_hop_limit(*hop_limit);
  }
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  const auto group = (*client)->DescribeGroup(request);
  if (!group.ok()) return Fail(group.status());
  if (options.format == "json") return PrintJson(absl::StrCat(ToJson(*group), "\n"));
  return Print(Format(Describe(*group)));
}

}  // namespace

void AddDescribe(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("describe", kDescribeDescription);
  command->footer(kDescribeFooter);
  auto options = std::make_shared<DescribeOptions>();
  command->add_option("group", options->group, "A multicast address, such as 239.1.1.1 or ff15::1")
      ->type_name("GROUP")
      ->required();
  command
      ->add_option("--ttl", options->ttl,
                   absl::StrCat("Hop limit to compare with the scope: 0 to 255, or ", HopLimitPresets()))
      ->type_name("N");
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunDescribe(*options, *global); }; });
}

}  // namespace mcgw::cli
