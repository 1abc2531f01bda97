// The user's own file of gateways: ~/.config/mcgw/config.yaml.

#ifndef MCGW_CLIENT_CLI_CONTEXTS_H_
#define MCGW_CLIENT_CLI_CONTEXTS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mcgw::cli {

// How to reach one gateway.
struct Context {
  std::string gateway;  // Empty: not said.
  bool tls = false;
  // Absolute, or empty.
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  std::string server_name;
};

// $XDG_CONFIG_HOME/mcgw/config.yaml, or ~/.config/mcgw/config.yaml. Empty if neither variable is set.
std::string ContextsFile();

// The context `name` of the file at `path`; if `name` is empty, the one that the file's `context` names. Nothing if
// `name` is empty and there is no such file, or it names none. Errors name the file, the line and what is right.
// Relative paths in the file are relative to its directory.
absl::StatusOr<std::optional<Context>> ReadContext(const std::string& path, const std::string& name);
// From the file's text; for tests.
absl::StatusOr<std::optional<Context>> ParseContext(const std::string& path, const std::string& text,
                                                    const std::string& name);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_CONTEXTS_H_
