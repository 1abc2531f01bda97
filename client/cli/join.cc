#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/flags.h"
#include "client/cli/star_text.h"
#include "mcgw/channel_text.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kJoinDescription[] = "Join channels in a session that outlives this command";

constexpr char kJoinFooter[] =
    R"(The session holds its channels until its lease expires. Joining again renews the lease, and an open
`mcgw sub --session ID` keeps the session alive. `mcgw leave --session ID` ends it.

Standard output shows "session ID", then a line for each channel: the channel, its state (JOINED, WAITING or
FAILED), and why it is not joined. -o json prints the gateway's answers. If a channel is refused, a new session
is left again with all its channels.

Examples:
  mcgw join 239.1.1.1:5000%eth0
  mcgw join 239.1.1.1:5000%eth0 '[ff15::1]:5000%eth0' --lease 600
  mcgw join 239.1.1.2:5000%eth0 --session 0123456789abcdef0123456789abcdef
)";

struct JoinOptions {
  std::vector<std::string> channels;
  std::string session;
  std::string lease;
  bool wait_for_interface = false;
  std::string format = "text";
};

absl::StatusOr<std::vector<v1::JoinRequest>> MakeRequests(const JoinOptions& options) {
  auto memberships = ParseChannels(options.channels);
  if (!memberships.ok()) return memberships.status();
  std::vector<v1::JoinRequest> requests;
  for (v1::Membership& membership : *memberships) {
    v1::JoinRequest request;
    request.set_session_id(options.session);
    *request.mutable_membership() = std::move(membership);
    request.mutable_membership()->set_wait_for_interface(options.wait_for_interface);
    if (!options.lease.empty()) {
      const auto lease = ParseDuration("--lease", options.lease, absl::Seconds(1), absl::Hours(1));
      if (!lease.ok()) return lease.status();
      const int64_t ns = absl::ToInt64Nanoseconds(*lease);
      request.mutable_lease()->set_seconds(ns / 1'000'000'000);
      request.mutable_lease()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

std::string Text(const std::vector<v1::JoinResponse>& responses) {
  const v1::JoinResponse& last = responses.back();
  std::string text = absl::StrCat("session ", last.session_id(), "\n");
  for (const v1::JoinResponse& response : responses) {
    for (const v1::ChannelState& state : response.channels()) {
      absl::StrAppend(&text, client::FormatChannel(state.channel()), " ", JoinStateText(state.state()));
      if (state.has_failure()) absl::StrAppend(&text, " ", client::Describe(state.failure()));
      text += '\n';
    }
  }
  return text;
}

std::string Json(const std::vector<v1::JoinResponse>& responses) {
  std::vector<const google::protobuf::Message*> messages;
  for (const v1::JoinResponse& response : responses) messages.push_back(&response);
  return ToJsonArray(messages);
}

// A new session that could not join everything is useless.
void LeaveSession(client::Client* client, const std::string& session_id) {
  v1::LeaveRequest request;
  request.set_session_id(session_id);
  request.mutable_whole_session();
  client->Leave(request).status().IgnoreError();
}

// If `*` takes no interface, there is no channel to show the reason.
void ExplainStar(client::Client* client, const v1::Membership& membership) {
  if (membership.interface() != "*") return;
  const auto interfaces = client->ListInterfaces();
  const std::string text = interfaces.ok() ? DescribeStar(*interfaces, membership.group()) : "";
  if (!text.empty()) Note(absl::StrCat("there is no channel yet: ", text));
}

int RunJoin(const JoinOptions& options, const GlobalOptions& global) {
  auto requests = MakeRequests(options);
  if (!requests.ok()) return Fail(requests.status());
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  std::vector<v1::JoinResponse> responses;
  std::string session = options.session;
  for (v1::JoinRequest& request : *requests) {
    request.set_session_id(session);
    auto response = (*client)->Join(request);
    if (!response.ok()) {
      if (options.session.empty() && !session.empty()) LeaveSession(client->get(), session);
      return Fail(response.status());
    }
    session = response->session_id();
    if (response->channels().empty()) ExplainStar(client->get(), request.membership());
    responses.push_back(*std::move(response));
  }
  return options.format == "json" ? PrintJson(Json(responses)) : Print(Text(responses));
}

}  // namespace

void AddJoin(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("join", kJoinDescription);
  command->footer(kJoinFooter);
  auto options = std::make_shared<JoinOptions>();
  command->add_option("channels", options->channels, "Channels to join: [SOURCE@]GROUP:PORT[%INTERFACE]")
      ->type_name("CHANNEL")
      ->required();
  command->add_option("--session", options->session, "Join in this session; default: a new one")->type_name("ID");
  command
      ->add_option("--lease", options->lease,
                   "Lifetime of the session unless renewed, 1s to 1h: in seconds, or with a unit (5m)")
      ->type_name("DURATION");
  command->add_flag("--wait-for-interface", options->wait_for_interface,
                    "Accept an interface that does not exist yet, and join once it is up");
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunJoin(*options, *global); }; });
}

}  // namespace mcgw::cli
