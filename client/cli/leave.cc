#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kLeaveDescription[] = "Leave channels of a session, or the whole session";

constexpr char kLeaveFooter[] =
    R"(Name each channel as in `mcgw join`: the same group, port and interface. Leaving %* does not leave a channel
that was joined by an interface's name. Sources are ignored. Without channels the whole session ends. Leaving a
channel that the session does not hold is an error (exit code 1).

Examples:
  mcgw leave --session 0123456789abcdef0123456789abcdef
  mcgw leave --session 0123456789abcdef0123456789abcdef 239.1.1.1:5000%eth0
)";

struct LeaveOptions {
  std::vector<std::string> channels;
  std::string session;
};

int RunLeave(const LeaveOptions& options, const GlobalOptions& global) {
  const auto memberships = ParseChannels(options.channels);
  if (!memberships.ok()) return Fail(memberships.status());
  std::vector<v1::LeaveRequest> requests;
  for (const v1::Membership& membership : *memberships) {
    v1::LeaveRequest& request = requests.emplace_back();
    request.mutable_membership()->set_interface(membership.interface());
    request.mutable_membership()->set_group(membership.group());
    request.mutable_membership()->set_port(membership.port());
  }
  if (requests.empty()) requests.emplace_back().mutable_whole_session();

  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  int left = 0;
  bool any_left = false;
  int code = kDone;
  for (v1::LeaveRequest& request : requests) {
    request.set_session_id(options.session);
    const auto response = (*client)->Leave(request);
    // A channel that is not held does not keep the others from being left.
    if (!response.ok()) {
      const int failed = Fail(response.status());
      if (code == kDone) code = failed;
      if (failed == kNoGateway) break;
    } else {
      any_left = true;
      left += response->membership_ids_size();
    }
  }
  if (any_left) Note(absl::StrCat("left ", left, left == 1 ? " membership" : " memberships"));
  return code;
}

}  // namespace

void AddLeave(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("leave", kLeaveDescription);
  command->footer(kLeaveFooter);
  auto options = std::make_shared<LeaveOptions>();
  command->add_option("channels", options->channels, "Channels to leave: GROUP:PORT[%INTERFACE]; default: all")
      ->type_name("CHANNEL");
  command->add_option("--session", options->session, "The session, as `mcgw join` printed it")
      ->type_name("ID")
      ->required();
  command->callback([=] { *run = [=] { return RunLeave(*options, *global); }; });
}

}  // namespace mcgw::cli
