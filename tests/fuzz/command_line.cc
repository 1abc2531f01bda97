// Flags and the environment of mcgwd: each line is a variable (MCGW_...=VALUE), or an argument.

#include <cstdlib>
#include <string>
#include <vector>

#include "server/app/config.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(command_line) {
  constexpr std::string_view kVariable = "MCGW_";
  fuzz::Input lines(input);
  std::vector<std::string> arguments = {"mcgwd"};
  std::vector<std::string> variables;
  while (!lines.empty()) {
    const std::string line(lines.Line());
    const size_t equals = line.find('=');
    if (line.find('\0') != line.npos) continue;
    if (equals == line.npos || !line.starts_with(kVariable)) {
      arguments.push_back(line);
      continue;
    }
    variables.push_back(line.substr(0, equals));
    setenv(variables.back().c_str(), line.c_str() + equals + 1, 1);  // NOLINT(concurrency-mt-unsafe): one thread.
  }
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  const auto line = app::ReadCommandLine(static_cast<int>(pointers.size()), pointers.data());
  if (line.ok() && !line->print_and_exit) {
    FUZZ_CHECK(!line->config.listen().empty());
    FUZZ_CHECK(app::GatewayOptions(line->config).shards >= 1);
  }
  FUZZ_CHECK(line.ok() || !line.status().message().empty());
  for (const std::string& variable : variables) unsetenv(variable.c_str());  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace mcgw
