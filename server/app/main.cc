// mcgwd, the daemon.

#include <signal.h>
#include <systemd/sd-daemon.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_join.h"
#include "server/app/config.h"
#include "server/app/server.h"
#include "server/net/text.h"
#include "spdlog/async.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace {

using mcgw::app::CommandLine;
using mcgw::app::Config;
using mcgw::app::Server;

// Exit codes: 0 stopped in order, 1 could not serve, 2 bad configuration.
constexpr int kCannotServe = 1;
constexpr int kBadConfiguration = 2;

constexpr size_t kLogQueueLines = 8192;

// A message as the inside of a JSON string (RFC 8259, 7).
class JsonMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& line, const std::tm&, spdlog::memory_buf_t& out) override {
    for (const char c : line.payload) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
      } else {
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
      }
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonMessage>(); }
};

void SetUpLog(const Config& config) {
  // Bounded and never waited for: a terminal that does not read must not stop the gateway.
  spdlog::init_thread_pool(kLogQueueLines, 1);
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::async_logger>("mcgwd", std::move(sink), spdlog::thread_pool(),
                                                       spdlog::async_overflow_policy::overrun_oldest);
  spdlog::set_default_logger(std::move(logger));
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JsonMessage>('*').set_pattern(
      config.log_format() == "json" ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%*"})"
                                    : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_formatter(std::move(formatter));
  spdlog::set_level(spdlog::level::from_str(config.log_level()));
  spdlog::flush_on(spdlog::level::info);
}

// Reads the configuration again. Only what can change while it runs does.
void Reload(int argc, char** argv, Config* config) {
  const absl::StatusOr<CommandLine> line = mcgw::app::ReadCommandLine(argc, argv);
  if (!line.ok()) {
    spdlog::error("SIGHUP: the configuration is not taken: {}", mcgw::net::ToStd(line.status().message()));
    return;
  }
  for (const std::string& key : mcgw::app::ChangedKeys(*config, line->config)) {
    if (key == "log_level") {
      config->set_log_level(line->config.log_level());
      spdlog::set_level(spdlog::level::from_str(config->log_level()));
      spdlog::info("SIGHUP: log_level is now {}", config->log_level());
    } else {
      spdlog::warn("SIGHUP: {} has changed, and will be taken at the next start", key);
    }
  }
}

int Serve(int argc, char** argv, Config config) {
  // Blocked before any thread is made, so that all inherit it; taken by sigwait below.
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  SetUpLog(config);
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config);
  if (!server.ok()) {
    spdlog::shutdown();
    std::fprintf(stderr, "mcgwd: %s\n", std::string(server.status().message()).c_str());
    return kCannotServe;
  }
  spdlog::info("ready, listening on {}", absl::StrJoin((*server)->addresses(), ", "));
  sd_notify(0, "READY=1");

  int number = 0;
  while (sigwait(&signals, &number) == 0 && number == SIGHUP) Reload(argc, argv, &config);
  sd_notify(0, "STOPPING=1");
  spdlog::info("{}: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
  (*server)->Stop(absl::Seconds(config.drain_grace().seconds()) + absl::Nanoseconds(config.drain_grace().nanos()));
  spdlog::info("stopped, every group left");
  spdlog::shutdown();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const absl::StatusOr<CommandLine> line = mcgw::app::ReadCommandLine(argc, argv);
  if (!line.ok()) {
    std::fprintf(stderr, "mcgwd: %s\n", std::string(line.status().message()).c_str());
    return kBadConfiguration;
  }
  if (line->print_and_exit) {
    std::fputs(line->text.c_str(), stdout);
    return 0;
  }
  if (line->check_config) {
    std::puts("the configuration is good");
    return 0;
  }
  return Serve(argc, argv, line->config);
}
