// mcgwd, the daemon.

#include <signal.h>
#include <systemd/sd-daemon.h>

#include <exception>
#include <memory>
#include <string>

#include "absl/strings/str_join.h"
#include "grpc/grpc.h"
#include "server/app/config.h"
#include "server/app/config_warnings.h"
#include "server/app/log.h"
#include "server/app/log_text.h"
#include "server/app/process.h"
#include "server/app/server.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace {

using mcgw::app::CommandLine;
using mcgw::app::Complain;
using mcgw::app::Config;
using mcgw::app::Print;
using mcgw::app::PrintableText;
using mcgw::app::Server;
using mcgw::net::ToStd;

// Reads the configuration again. An exception of a library is an error like any other.
absl::StatusOr<CommandLine> ReadAgain(int argc, char** argv) {
  try {
    return mcgw::app::ReadCommandLine(argc, argv);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

// Applies only settings that can change at run time.
void Reload(int argc, char** argv, Config* config) {
  const absl::StatusOr<CommandLine> line = ReadAgain(argc, argv);
  if (!line.ok()) {
    spdlog::error("SIGHUP: the configuration was not applied: {}", ToStd(line.status().message()));
    return;
  }
  for (const std::string& warning : line->warnings) spdlog::warn("{}", warning);
  for (const std::string& key : mcgw::app::ChangedKeys(*config, line->config)) {
    if (key == "log_level") {
      config->set_log_level(line->config.log_level());
      mcgw::app::SetLogLevel(config->log_level());
      spdlog::info("SIGHUP: log_level is now {}", config->log_level());
    } else {
      spdlog::warn("SIGHUP: {} has changed; the change applies after a restart", key);
    }
  }
}

absl::StatusOr<std::unique_ptr<Server>> StartServer(const Config& config) {
  const mcgw::app::StartGuard guard;
  return Server::Start(config);
}

int Serve(int argc, char** argv, CommandLine line) {
  // Blocked before any thread exists, so that all threads inherit it; sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  Config config = std::move(line.config);
  mcgw::app::StartLog(config);
  for (const std::string& warning : line.warnings) spdlog::warn("{}", warning);
  // Held to the end: gRPC's last shutdown may wait 10 s for one of its pollers.
  grpc_init();
  absl::StatusOr<std::unique_ptr<Server>> server = StartServer(config);
  if (!server.ok()) {
    mcgw::app::FlushLog();
    Complain(PrintableText(ToStd(server.status().message())));
    return mcgw::app::kCannotServe;
  }
  // At every level: users wait for this line.
  mcgw::app::LogAlways("ready, listening on " + absl::StrJoin((*server)->addresses(), ", "));
  sd_notify(0, "READY=1");

  int number = 0;
  while (sigwait(&signals, &number) == 0 && number == SIGHUP) Reload(argc, argv, &config);
  mcgw::app::EndAtNextSignal();
  sd_notify(0, "STOPPING=1");
  spdlog::info("{}: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
  (*server)->Stop(mcgw::app::ToDuration(config.drain_grace()));
  spdlog::info("stopped, every group left");
  mcgw::app::FlushLog();
  return mcgw::app::kStopped;
}

// Runs before the constructors of libraries, some of which open descriptors.
__attribute__((section(".preinit_array"), used)) void (*const before_all)() = mcgw::app::OpenStandardDescriptors;

}  // namespace

int main(int argc, char** argv) {
  mcgw::app::SayWhyAtTerminate();
  absl::StatusOr<CommandLine> line = mcgw::app::ReadCommandLine(argc, argv);
  if (!line.ok()) {
    Complain(PrintableText(ToStd(line.status().message())));
    return mcgw::app::kBadConfiguration;
  }
  if (line->print_and_exit) return Print(line->text);
  if (line->check_config) {
    for (const std::string& warning : line->warnings) Complain(PrintableText(warning));
    // If the host cannot be queried, there is nothing to warn about.
    if (const auto table = mcgw::net::InterfaceTable::Read(); table.ok()) {
      for (const std::string& warning : mcgw::app::InterfaceWarnings(line->config, *table))
        Complain(PrintableText(warning));
    }
    for (const mcgw::app::ListenerOptions& listener : mcgw::app::ListenersOf(line->config)) {
      if (!listener.tls.has_value()) continue;
      if (const auto tls = mcgw::http2::TlsContext::Load(*listener.tls); !tls.ok()) {
        Complain(PrintableText(ToStd(mcgw::app::BadListener(listener.text, ToStd(tls.status().message())).message())));
        return mcgw::app::kBadConfiguration;
      }
    }
    return Print("the configuration is good\n");
  }
  return Serve(argc, argv, *std::move(line));
}
