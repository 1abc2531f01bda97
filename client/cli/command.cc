#include "client/cli/command.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/exit_code.h"
#include "client/cli/printable.h"
#include "google/protobuf/util/json_util.h"
#include "mcgw/channel_text.h"
#include "mcgw/error.h"

namespace mcgw::cli {

namespace v1 = multicast::gateway::v1;

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kDone;
  if (status.code() == absl::StatusCode::kInvalidArgument) return kBadInput;
  if (client::IsUnreachable(status) || status.code() == absl::StatusCode::kDeadlineExceeded) return kNoGateway;
  return kFailed;
}

namespace {

// The gateway's errors name fields. This is how to write the missing field on the command line; empty if that is plain.
absl::string_view Spelling(const absl::Status& status) {
  const std::string reason = client::DetailsOf(status).reason;
  if (reason == "SOURCE_REQUIRED") return "; write SOURCE@GROUP:PORT, such as 10.0.0.2@232.1.1.1:5000";
  if (reason == "SCOPE_NEEDS_INTERFACE" || reason == "INTERFACE_AMBIGUOUS" || reason == "NO_ROUTE") {
    return "; write GROUP:PORT%INTERFACE, such as 239.1.1.1:5000%eth0";
  }
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<client::Client>> Connect(const GlobalOptions& global) {
  return client::Client::Connect(global.gateway, global.connect);
}

int Fail(const absl::Status& status) {
  // If no gateway answered, the text is complete; a code before it would look like the gateway's.
  Note(client::IsUnreachable(status) ? std::string(status.message())
                                     : absl::StrCat(client::Describe(status), Spelling(status)));
  return ExitCodeOf(status);
}

void Note(absl::string_view text) {
  const std::string line = absl::StrCat("mcgw: ", Printable(text), "\n");
  // If standard error does not take the line, nothing can be done.
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

int FailToWrite(const OutputFile& output) {
  Note(output.error().message());
  return kFailed;
}

int Print(absl::string_view text) { return PrintJson(Printable(text)); }

int PrintJson(absl::string_view text) {
  OutputFile output(STDOUT_FILENO, /*stop_fd=*/-1);
  output.buffer()->append(text.data(), text.size());
  return output.Flush() == OutputFile::Result::kFailed ? FailToWrite(output) : kDone;
}

absl::StatusOr<std::vector<v1::Membership>> ParseChannels(const std::vector<std::string>& texts) {
  std::vector<v1::Membership> memberships;
  for (const std::string& text : texts) {
    auto membership = client::ParseChannel(text);
    if (!membership.ok()) return membership.status();
    memberships.push_back(*std::move(membership));
  }
  return memberships;
}

std::string JoinStateText(v1::JoinState state) {
  return std::string(absl::StripPrefix(v1::JoinState_Name(state), "JOIN_STATE_"));
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
#if GOOGLE_PROTOBUF_VERSION >= 5026000
  options.always_print_fields_with_no_presence = true;
#else
  options.always_print_primitive_fields = true;
#endif
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : "{}";
}

std::string ToJsonArray(const std::vector<const google::protobuf::Message*>& messages) {
  return absl::StrCat("[",
                      absl::StrJoin(messages, ",\n",
                                    [](std::string* out, const google::protobuf::Message* message) {
                                      absl::StrAppend(out, ToJson(*message));
                                    }),
                      "]\n");
}

}  // namespace mcgw::cli
