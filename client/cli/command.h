// What all commands share: how they are added to the command line, connect, and report failures.

#ifndef MCGW_CLIENT_CLI_COMMAND_H_
#define MCGW_CLIENT_CLI_COMMAND_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/output_file.h"
#include "mcgw/client.h"
#include "multicast/gateway/v1/channel.pb.h"
#include "multicast/gateway/v1/membership.pb.h"

namespace mcgw::cli {

struct GlobalOptions {
  std::string gateway = mcgw::client::kDefaultGatewayAddress;
  client::ConnectOptions connect;
};

// A client of the gateway that the user named.
absl::StatusOr<std::unique_ptr<client::Client>> Connect(const GlobalOptions& global);

// Runs the command after the whole command line was parsed, and returns the exit code.
using Run = std::function<int()>;

// Each adds one command to `app`, and sets *run if the command line names it. Both pointers outlive `app`.
void AddSub(CLI::App* app, const GlobalOptions* global, Run* run);
void AddPub(CLI::App* app, const GlobalOptions* global, Run* run);
void AddPing(CLI::App* app, const GlobalOptions* global, Run* run);
void AddPong(CLI::App* app, const GlobalOptions* global, Run* run);
void AddJoin(CLI::App* app, const GlobalOptions* global, Run* run);
void AddLeave(CLI::App* app, const GlobalOptions* global, Run* run);
void AddInterfaces(CLI::App* app, const GlobalOptions* global, Run* run);
void AddChannels(CLI::App* app, const GlobalOptions* global, Run* run);
void AddDescribe(CLI::App* app, const GlobalOptions* global, Run* run);
void AddDoctor(CLI::App* app, const GlobalOptions* global, Run* run);
void AddLedger(CLI::App* app, const GlobalOptions* global, Run* run);
void AddSubscribers(CLI::App* app, const GlobalOptions* global, Run* run);
void AddHealth(CLI::App* app, const GlobalOptions* global, Run* run);

// Writes "mcgw: REASON: message (field: group)" to standard error, with how to write a missing field on the command
// line. Returns the matching exit code.
int Fail(const absl::Status& status);
int ExitCodeOf(const absl::Status& status);

// Writes "mcgw: text", made printable, and a line end to standard error in one write. Thread-safe.
void Note(absl::string_view text);

// Prints why the output could not be written. Returns kFailed.
int FailToWrite(const OutputFile& output);

// Writes all of a text for people to standard output, made printable. A reader that has gone is not an error.
// Returns kDone or kFailed.
int Print(absl::string_view text);
// The same for JSON, which is already printable.
int PrintJson(absl::string_view text);

// Calls ParseChannel for each text. Returns the first failure.
absl::StatusOr<std::vector<multicast::gateway::v1::Membership>> ParseChannels(const std::vector<std::string>& texts);

// "JOINED" for JOIN_STATE_JOINED.
std::string JoinStateText(multicast::gateway::v1::JoinState state);

// The messages as a JSON array, with the field names of the API. Fields with default values are included.
std::string ToJsonArray(const std::vector<const google::protobuf::Message*>& messages);
std::string ToJson(const google::protobuf::Message& message);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_COMMAND_H_
