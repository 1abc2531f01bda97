#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"

namespace mcgw::cli {
namespace {

constexpr char kHealthDescription[] = "Check whether the gateway serves";

constexpr char kHealthFooter[] =
    R"(Prints SERVING or NOT_SERVING, and exits with 0 only for SERVING. SERVICE is the full name of a service or
interface/NAME. Without it, health checks the gateway as a whole.

Examples:
  mcgw health
  mcgw health multicast.gateway.v1.MulticastGatewayService
  mcgw health interface/eth0
)";

int RunHealth(const std::string& service, const GlobalOptions& global) {
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  const auto status = (*client)->CheckHealth(service);
  if (!status.ok()) return Fail(status.status());
  const bool serving = *status == client::ServingStatus::kServing;
  const char* text = serving                                         ? "SERVING\n"
                     : *status == client::ServingStatus::kNotServing ? "NOT_SERVING\n"
                                                                     : "UNKNOWN\n";
  const int printed = Print(text);
  return printed != kDone ? printed : serving ? kDone : kFailed;
}

}  // namespace

void AddHealth(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("health", kHealthDescription);
  command->footer(kHealthFooter);
  auto service = std::make_shared<std::string>();
  command->add_option("service", *service, "The service to check; default: the gateway as a whole")
      ->type_name("SERVICE");
  command->callback([=] { *run = [=] { return RunHealth(*service, *global); }; });
}

}  // namespace mcgw::cli
