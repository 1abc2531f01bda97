#include <array>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "mcgw/channel_text.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kDoctorDescription[] =
    "Find out why nothing arrives: check the gateway's host, an interface or a channel";

constexpr char kDoctorFooter[] =
    R"(Without CHANNEL, doctor checks the host and all channels that clients have joined. With CHANNEL, it checks the
channel's interface, memberships and traffic; with a SOURCE, also whether that sender's datagrams would pass.

Each finding shows its severity, the check, the interface, what was seen, why it matters, and what to do. Run the
command after "fix with" on the gateway's host; the command after "find out with" changes nothing. The most severe
findings come first. Checks that passed are counted, and shown with --all.
  ERROR    keeps datagrams away
  WARNING  may keep them away, or will when conditions change
  UNKNOWN  could not be checked
  INFO     worth knowing

The exit code is 7 if there is an ERROR, and 0 otherwise.

Examples:
  mcgw doctor
  mcgw doctor 239.1.1.1:5000%eth0
  mcgw doctor 10.0.0.2@239.1.1.1:5000%eth0     would datagrams from 10.0.0.2 arrive?
  mcgw doctor --interface eth0 --all
  mcgw doctor -o json | jq '.findings[] | select(.severity == "FINDING_SEVERITY_ERROR") | .remedy_command'
)";

struct DoctorOptions {
  std::string channel;
  std::string interface;
  std::string format = "text";
  bool all = false;
};

absl::StatusOr<v1::DiagnoseRequest> Request(const DoctorOptions& options) {
  v1::DiagnoseRequest request;
  request.set_interface(options.interface);
  if (options.channel.empty()) return request;
  const auto membership = client::ParseChannel(options.channel);
  if (!membership.ok()) return membership.status();
  if (membership->source_filter().sources_size() > 1) {
    return client::InvalidInput(v1::ERROR_REASON_INVALID_SOURCE, "source_address",
                                absl::StrCat(options.channel, " names ", membership->source_filter().sources_size(),
                                             " sources: name only the one whose datagrams do not arrive"));
  }
  if (!membership->interface().empty()) {
    if (!options.interface.empty()) {
      return client::InvalidInput(v1::ERROR_REASON_CONFLICTING_FIELDS, "interface",
                                  absl::StrCat("both --interface ", options.interface, " and %",
                                               membership->interface(), " name an interface: give only one"));
    }
    request.set_interface(membership->interface());
  }
  request.set_group(membership->group());
  request.set_port(membership->port());
  if (membership->source_filter().sources_size() == 1) {
    request.set_source_address(membership->source_filter().sources(0));
  }
  return request;
}

// "WARNING" for FINDING_SEVERITY_WARNING, "bridge-snooping" for FINDING_CODE_BRIDGE_SNOOPING. A number if this
// version of mcgw does not know the name.
std::string SeverityText(const v1::Finding& finding) {
  const std::string& name = v1::FindingSeverity_Name(finding.severity());
  return name.empty() ? absl::StrCat(static_cast<int>(finding.severity()))
                      : std::string(absl::StripPrefix(name, "FINDING_SEVERITY_"));
}

std::string CodeText(const v1::Finding& finding) {
  const std::string& name = v1::FindingCode_Name(finding.code());
  if (name.empty()) return absl::StrCat("check ", static_cast<int>(finding.code()));
  return absl::StrReplaceAll(absl::AsciiStrToLower(absl::StripPrefix(name, "FINDING_CODE_")), {{"_", "-"}});
}

std::string Text(const v1::Finding& finding) {
  std::string text = absl::StrCat(SeverityText(finding), " ", CodeText(finding));
  if (!finding.interface_name().empty()) absl::StrAppend(&text, " ", finding.interface_name());
  absl::StrAppend(&text, ": ", finding.seen(), "\n");
  if (!finding.why().empty()) absl::StrAppend(&text, "    ", finding.why(), "\n");
  if (!finding.remedy_command().empty()) {
    const bool only_looks = finding.severity() == v1::FINDING_SEVERITY_UNKNOWN;
    absl::StrAppend(&text, only_looks ? "    find out with: " : "    fix with: ", finding.remedy_command(), "\n");
  }
  if (!finding.remedy().empty()) absl::StrAppend(&text, "    ", finding.remedy(), "\n");
  return text;
}

std::string Count(int count, absl::string_view one, absl::string_view many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

// "1 error, 0 warnings, 2 unknown, 0 info, 12 ok".
std::string Summary(const v1::DiagnoseResponse& response) {
  std::array<int, 6> counts = {};
  for (const v1::Finding& finding : response.findings()) {
    const auto severity = static_cast<size_t>(finding.severity());
    if (severity < counts.size()) ++counts[severity];
  }
  return absl::StrCat(Count(counts[v1::FINDING_SEVERITY_ERROR], "error", "errors"), ", ",
                      Count(counts[v1::FINDING_SEVERITY_WARNING], "warning", "warnings"), ", ",
                      counts[v1::FINDING_SEVERITY_UNKNOWN], " unknown, ", counts[v1::FINDING_SEVERITY_INFO], " info, ",
                      counts[v1::FINDING_SEVERITY_OK], " ok\n");
}

int RunDoctor(const DoctorOptions& options, const GlobalOptions& global) {
  const auto request = Request(options);
  if (!request.ok()) return Fail(request.status());
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  const auto response = (*client)->Diagnose(*request);
  if (!response.ok()) return Fail(response.status());
  bool found_error = false;
  std::string text;
  for (const v1::Finding& finding : response->findings()) {
    found_error |= finding.severity() == v1::FINDING_SEVERITY_ERROR;
    if (options.all || finding.severity() != v1::FINDING_SEVERITY_OK) absl::StrAppend(&text, Text(finding));
  }
  const int printed = options.format == "json" ? PrintJson(absl::StrCat(ToJson(*response), "\n"))
                                               : Print(absl::StrCat(text, Summary(*response)));
  if (printed != kDone) return printed;
  return found_error ? kFaultFound : kDone;
}

}  // namespace

void AddDoctor(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("doctor", kDoctorDescription);
  command->footer(kDoctorFooter);
  auto options = std::make_shared<DoctorOptions>();
  command->add_option("channel", options->channel, "The channel to check: [SOURCE@]GROUP:PORT[%INTERFACE]")
      ->type_name("CHANNEL");
  command
      ->add_option("--interface", options->interface, "Check only this interface: a name, one of its addresses, or *")
      ->type_name("INTERFACE");
  command->add_flag("--all", options->all, "Also show the checks that passed");
  command->add_option("-o,--output", options->format, "text or json; json holds all findings")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunDoctor(*options, *global); }; });
}

}  // namespace mcgw::cli
