// mcgw-bench: the gateway and its references under the same load, in turn.

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "bench/context.h"
#include "bench/host.h"
#include "bench/reference/grpc_single.h"
#include "bench/reference/send_server.h"
#include "bench/reference/tcp_gateway.h"
#include "bench/reference/tcp_ring.h"
#include "bench/reference/zmq_relay.h"
#include "bench/report.h"
#include "bench/stamp.h"
#include "bench/target.h"
#include "grpcpp/grpcpp.h"

namespace mcgw::bench {
namespace {

// Exit codes: 0 measured, 1 could not measure or write, 2 wrong usage, 3 measured, but a sequence of mcgw was wrong or
// a loss unannounced.
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kBrokenPromise = 3;

constexpr double kQuickBudgetSeconds = 150;
constexpr double kQuickPatienceSeconds = 8;
constexpr int kQuickRounds = 2;

constexpr char kDescription[] =
    "Measures the gateway against references, under the same load and in turn: CPU time of the server, latency, loss,\n"
    "memory. Run it by ./dev bench, which gives it network namespaces of its own.";

std::string CasesText() {
  std::string text = "Cases:\n";
  for (const Case& each : AllCases()) text += absl::StrFormat("  %-12s %s\n", each.name, each.what);
  return text + "\nExit status: 0 measured, 1 could not measure, 2 wrong usage, 3 mcgw broke a promise on losses\n";
}

// The number of open files counts for 1000 readers.
void RaiseFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string FindNatsServer() {
  if (const char* named = std::getenv("MCGW_NATS_SERVER"); named != nullptr && *named != '\0') return named;
  const char* path = std::getenv("PATH");
  const std::string places = absl::StrCat(path == nullptr ? "" : path, ":/usr/sbin");
  for (const std::string& place : std::vector<std::string>(absl::StrSplit(places, ':', absl::SkipEmpty()))) {
    std::error_code ignored;
    if (std::filesystem::exists(place + "/nats-server", ignored)) return place + "/nats-server";
  }
  return "";
}

// The line that it prints for --version.
std::string NatsVersion(const std::string& program) {
  if (program.empty()) return "";
  FILE* said = popen(absl::StrCat("'", program, "' --version 2>/dev/null").c_str(), "r");
  if (said == nullptr) return "";
  char line[128] = "";
  const bool some = std::fgets(line, sizeof(line), said) != nullptr;
  pclose(said);
  return some ? std::string(line, std::strcspn(line, "\n")) : "";
}

Report Describe(const Options& options, const Programs& programs) {
  return {.host = ReadHostFacts(),
          .mcgw_version = MCGW_VERSION,
          .grpc_version = grpc::Version(),
          .nats_version = NatsVersion(programs.nats_server),
          .zmq_version = ZmqVersion(),
          .mode = options.quick ? "quick" : "full",
          .rounds = options.rounds,
          .server_core = options.cores.server,
          .client_core = options.cores.client,
          .priority = PriorityInForce()};
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file.good()) std::cerr << "mcgw-bench: cannot write " << path << "\n";
  return file.good();
}

bool IsWanted(const Options& options, absl::string_view case_name) {
  return options.cases.empty() || std::ranges::find(options.cases, case_name) != options.cases.end();
}

int RunBench(const Options& options) {
  const int64_t begin_ns = NowNs();
  RaiseFileLimit();
  if (auto status = MakeNetwork(); !status.ok()) {
    std::cerr << "mcgw-bench: " << status.message() << "\n";
    return kFailed;
  }
  if (options.raise_priority) RaisePriority();
  if (auto status = PinThisThread(options.cores.client); !status.ok()) {
    std::cerr << "mcgw-bench: " << status.message() << "\n";
    return kFailed;
  }
  const Programs programs = {.directory = std::filesystem::read_symlink("/proc/self/exe").parent_path(),
                             .nats_server = FindNatsServer()};
  Report report = Describe(options, programs);
  std::cout << HostText(report) << std::endl;
  Context context(options, programs, &report);
  for (const Case& each : AllCases()) {
    if (!IsWanted(options, each.name)) continue;
    if (context.OutOfTime()) {
      context.Note(absl::StrCat("the case ", each.name, " is left out: out of time"));
      continue;
    }
    each.run(&context);
  }
  report.seconds = static_cast<double>(NowNs() - begin_ns) / 1e9;
  std::vector<Judgement> judgements = Judge(Targets(), report.cells);
  std::erase_if(judgements, [&](const Judgement& each) { return !IsWanted(options, each.target->case_name); });
  if (!judgements.empty()) std::cout << "Targets, by the medians\n\n" << TargetTable(judgements) << std::endl;
  if (!options.json.empty() && !WriteFile(options.json, ToJson(report, judgements))) return kFailed;
  if (!context.broken()) return 0;
  std::cerr << "mcgw-bench: mcgw lost datagrams silently, or delivered them twice or out of order\n";
  return kBrokenPromise;
}

void AddReference(CLI::App* command, Group* group, uint16_t* port) {
  command->group("");  // Not for people.
  command->add_option("--group", group->address)->required();
  command->add_option("--group-port", group->port)->required();
  command->add_option("--interface", group->interface)->required();
  command->add_option("--port", *port)->required();
}

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  Options options;
  CLI::App app(kDescription, "mcgw-bench");
  app.footer(CasesText());
  app.require_subcommand(0, 1);
  std::vector<std::string> names;
  for (const Case& each : AllCases()) names.emplace_back(each.name);
  app.add_flag("--quick", options.quick, "Fewer and shorter cells, under 3 minutes");
  app.add_option("--case", options.cases, "Only this case. Repeatable")->check(CLI::IsMember(names));
  app.add_option("--subject", options.subjects, "Only this subject, and no other of a case's. Repeatable");
  app.add_option("--json", options.json, "Write every round of every cell to this file; the last one given counts")
      ->type_name("FILE")
      ->take_last();
  app.add_flag_callback(
      "--no-priority", [&options] { options.raise_priority = false; },
      "Do not ask for a higher priority, for the sake of others on the machine");
  auto* rounds = app.add_option("--rounds", options.rounds, "How often each cell is measured")
                     ->check(CLI::Range(1, 100))
                     ->capture_default_str();
  auto* patience =
      app.add_option("--patience", options.patience_seconds, "How long to wait, in all, for the machine to be quiet")
          ->type_name("SECONDS")
          ->capture_default_str();
  auto* budget = app.add_option("--budget", options.budget_seconds,
                                "Begin nothing new after this time; the tables say what is missing")
                     ->type_name("SECONDS")
                     ->capture_default_str();
  app.add_option("--server-core", options.cores.server, "The core for the servers")->capture_default_str();
  app.add_option("--client-core", options.cores.client, "The core for sender and readers")->capture_default_str();
  TcpGatewayOptions tcp;
  CLI::App* tcp_gateway = app.add_subcommand("tcp-gateway");
  AddReference(tcp_gateway, &tcp.group, &tcp.port);
  tcp_gateway->add_flag("--batch", tcp.batch);
  TcpRingOptions ring;
  CLI::App* tcp_ring = app.add_subcommand("tcp-ring");
  AddReference(tcp_ring, &ring.group, &ring.port);
  tcp_ring->add_option("--log-bytes", ring.ring_bytes);
  tcp_ring->add_flag("--oldest", ring.oldest);
  GrpcSingleOptions single;
  CLI::App* grpc_single = app.add_subcommand("grpc-single");
  AddReference(grpc_single, &single.group, &single.port);
  grpc_single->add_option("--log-bytes", single.log_bytes);
  SendServerOptions send;
  CLI::App* send_server = app.add_subcommand("send-server");
  AddReference(send_server, &send.group, &send.port);
  send_server->add_flag("--send", send.send);
  ZmqRelayOptions zmq;
  CLI::App* zmq_relay = app.add_subcommand("zmq-relay");
  AddReference(zmq_relay, &zmq.group, &zmq.port);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::cerr << "mcgw-bench: " << error.what() << "\n";
    return kBadUsage;
  }
  const auto serve = [](const absl::Status& status) {
    std::cerr << "mcgw-bench: " << status.message() << "\n";
    return kFailed;
  };
  if (tcp_gateway->parsed()) return serve(RunTcpGateway(tcp));
  if (tcp_ring->parsed()) return serve(RunTcpRing(ring));
  if (grpc_single->parsed()) return serve(RunGrpcSingle(single));
  if (send_server->parsed()) return serve(RunSendServer(send));
  if (zmq_relay->parsed()) return serve(RunZmqRelay(zmq));
  if (options.quick) {
    if (rounds->count() == 0) options.rounds = kQuickRounds;
    if (patience->count() == 0) options.patience_seconds = kQuickPatienceSeconds;
    if (budget->count() == 0) options.budget_seconds = kQuickBudgetSeconds;
  }
  return RunBench(options);
}

}  // namespace
}  // namespace mcgw::bench

int main(int argc, char** argv) { return mcgw::bench::Main(argc, argv); }
