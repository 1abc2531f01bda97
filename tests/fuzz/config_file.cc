// The text of a configuration file.

#include <string>

#include "server/app/config.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(config_file) {
  const auto config = app::ReadConfigText("mcgwd.yaml", std::string(input));
  if (!config.ok()) {
    FUZZ_CHECK(!config.status().message().empty());
    return;
  }
  // What is valid can be used.
  const gateway::Options options = app::GatewayOptions(*config);
  FUZZ_CHECK(options.log_rules.size() == static_cast<size_t>(config->logs_size()));
  FUZZ_CHECK(options.total_log_bytes >= options.channel_log_bytes);
  FUZZ_CHECK(options.shards >= 1);
  FUZZ_CHECK(app::ChangedKeys(*config, *config).empty());
}

}  // namespace mcgw
