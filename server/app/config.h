// The daemon's configuration: one schema (proto/multicast/gateway/config/v1), read from a YAML file, the environment
// and flags. Flags override the environment, which overrides the file.

#ifndef MCGW_APP_CONFIG_H_
#define MCGW_APP_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "multicast/gateway/config/v1/config.pb.h"
#include "server/app/listener_options.h"
#include "server/gateway/rules/options.h"

namespace mcgw::app {

using Config = multicast::gateway::config::v1::Config;

struct CommandLine {
  Config config;            // Valid, with all defaults filled in.
  std::string config_file;  // Empty: none.
  bool check_config = false;
  bool print_and_exit = false;  // For --help and --version: print `text` to stdout.
  std::string text;
  std::vector<std::string> warnings;  // Ignored settings that may be mistakes.
};

// Reads flags, the environment (MCGW_*) and the file that --config names. Every error names the source (flag, variable,
// or file and line), the key, the value, and what would be right.
absl::StatusOr<CommandLine> ReadCommandLine(int argc, const char* const* argv);

// The configuration that a file of this text gives alone: no flags, no environment. `path` is for its errors.
absl::StatusOr<Config> ReadConfigText(const std::string& path, const std::string& text);

absl::Duration ToDuration(const google::protobuf::Duration& message);

// Where to serve.
std::vector<ListenerOptions> ListenersOf(const Config& config);

// The part of the configuration that concerns the gateway.
gateway::Options GatewayOptions(const Config& config);

// Names of the keys whose values differ.
std::vector<std::string> ChangedKeys(const Config& a, const Config& b);

}  // namespace mcgw::app

#endif  // MCGW_APP_CONFIG_H_
