// mcgw-bench: the gateway and its references under the same load, in turn.

#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "bench/host.h"
#include "bench/report.h"
#include "bench/subject.h"
#include "bench/tcp_gateway.h"
#include "bench/trial.h"

namespace mcgw::bench {
namespace {

// Exit codes: 0 measured, 1 could not measure or write, 2 wrong usage, 3 measured, but a sequence of mcgw was wrong or
// a loss unannounced.
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kBrokenPromise = 3;

constexpr char kDescription[] =
    "Measures the gateway against references, under the same load and in turn: CPU time of the server, latency, loss.\n"
    "Run it by ./dev bench, which gives it network namespaces of its own.";

struct Options {
  bool quick = false;
  int rounds = 3;
  double seconds = 1;
  double patience_seconds = 40;
  std::string json;
  Cores cores;
  std::vector<std::string> subjects = {kDirect, kTcp, kTcpBatch, kGateway};
  std::vector<size_t> payload_bytes = {200, 1316};
  std::vector<int> subscribers = {1, 8};
  std::vector<double> rates = {1000, 50'000};
  std::vector<double> search = {50'000, 100'000, 150'000, 200'000, 300'000, 400'000};
};

constexpr double kSearchSeconds = 0.5;
constexpr double kNsPerSecond = 1e9;

void Shorten(Options* options) {
  options->payload_bytes = {200};
  options->seconds = 0.4;
  options->patience_seconds = std::min(options->patience_seconds, 6.0);
  options->search = {50'000, 100'000, 200'000};
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  absl::Status Run() {
    if (auto status = Prepare(); !status.ok()) return status;
    std::cout << HostText(report_) << std::endl;
    for (const size_t payload_bytes : options_.payload_bytes) {
      for (const int subscribers : options_.subscribers) {
        for (const double rate : options_.rates) {
          const Work work = {payload_bytes, subscribers, rate, options_.seconds};
          if (auto status = RunCase(work); !status.ok()) return status;
        }
      }
    }
    if (options_.search.empty()) return absl::OkStatus();
    for (const size_t payload_bytes : options_.payload_bytes) {
      if (auto status = Search(payload_bytes, options_.subscribers.back()); !status.ok()) return status;
    }
    std::cout << "Highest of the rates without loss\n\n" << RateTable(report_.rates) << std::endl;
    return absl::OkStatus();
  }

  const Report& report() const { return report_; }
  // Whether the gateway broke a promise in any round.
  bool broken() const { return broken_; }

 private:
  absl::Status Prepare() {
    if (auto status = MakeNetwork(); !status.ok()) return status;
    RaisePriority();
    const std::string programs = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    for (const std::string& name : options_.subjects) {
      auto subject = Subject::Start(name, programs, options_.cores.server);
      if (!subject.ok()) return subject.status();
      subjects_.push_back(*std::move(subject));
    }
    report_.host = ReadHostFacts();
    report_.version = MCGW_VERSION;
    report_.server_core = options_.cores.server;
    report_.client_core = options_.cores.client;
    report_.priority = PriorityInForce();
    return PinThisThread(options_.cores.client);
  }

  // Others' work on the machine is waited for, as long as the patience lasts.
  absl::StatusOr<Outcome> RunOnce(const Subject& subject, const Work& work) {
    patience_ns_ -= WaitForQuiet(options_.cores.server, options_.cores.client, patience_ns_);
    auto outcome = RunTrial(subject, work, options_.cores);
    if (outcome.ok()) broken_ = broken_ || outcome->broken_promise;
    return outcome;
  }

  absl::Status RunCase(const Work& work) {
    Case result = {.work = work, .subjects = options_.subjects, .outcomes = {}};
    result.outcomes.resize(subjects_.size());
    for (int round = 0; round < options_.rounds; ++round) {
      for (size_t i = 0; i < subjects_.size(); ++i) {
        auto outcome = RunOnce(*subjects_[i], work);
        if (!outcome.ok()) return outcome.status();
        result.outcomes[i].push_back(*std::move(outcome));
      }
    }
    std::cout << CaseTable(result) << std::endl;
    report_.cases.push_back(std::move(result));
    return absl::OkStatus();
  }

  absl::Status Search(size_t payload_bytes, int subscribers) {
    for (const auto& subject : subjects_) {
      if (subject->server() == nullptr) continue;
      LossFreeRate found = {subject->name(), payload_bytes, subscribers, 0, 0, "the last rate tried"};
      for (const double rate : options_.search) {
        const auto outcome = RunOnce(*subject, {payload_bytes, subscribers, rate, kSearchSeconds});
        if (!outcome.ok()) return outcome.status();
        if (outcome->missing != 0 || !outcome->invalid.empty()) {
          found.next = absl::StrFormat("%.0f/s: %d of %d missing", rate, outcome->missing,
                                       outcome->missing + outcome->deliveries);
          if (!outcome->invalid.empty()) absl::StrAppend(&found.next, "; ", absl::StrJoin(outcome->invalid, "; "));
          break;
        }
        found.datagrams_per_second = rate;
        found.cpu_ns_per_delivery = outcome->cpu_ns_per_delivery;
      }
      report_.rates.push_back(std::move(found));
    }
    return absl::OkStatus();
  }

  const Options options_;
  Report report_;
  std::vector<std::unique_ptr<Subject>> subjects_;
  int64_t patience_ns_ = static_cast<int64_t>(options_.patience_seconds * kNsPerSecond);
  bool broken_ = false;
};

int RunBench(const Options& options) {
  Bench bench(options);
  if (auto status = bench.Run(); !status.ok()) {
    std::cerr << "mcgw-bench: " << status.message() << "\n";
    return kFailed;
  }
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << ToJson(bench.report());
    file.close();
    if (!file.good()) {
      std::cerr << "mcgw-bench: cannot write " << options.json << "\n";
      return kFailed;
    }
  }
  if (!bench.broken()) return 0;
  std::cerr << "mcgw-bench: mcgw lost datagrams without a word, or delivered them twice or out of order\n";
  return kBrokenPromise;
}

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  Options options;
  TcpGatewayOptions tcp;
  CLI::App app(kDescription, "mcgw-bench");
  app.require_subcommand(0, 1);
  app.add_flag("--quick", options.quick, "Payloads of 200 bytes only, shorter and fewer");
  app.add_option("--json", options.json, "Write every round of every case to this file")->type_name("FILE");
  app.add_option("--rounds", options.rounds, "How often each case is measured")->capture_default_str();
  app.add_option("--patience", options.patience_seconds, "How long to wait, in all, for the machine to be quiet")
      ->type_name("SECONDS")
      ->capture_default_str();
  app.add_option("--server-core", options.cores.server, "The core for the servers")->capture_default_str();
  app.add_option("--client-core", options.cores.client, "The core for sender and readers")->capture_default_str();
  app.add_option("--subject", options.subjects, "What to measure: direct, tcp, tcp-batch, mcgw, mcgw-unix")
      ->capture_default_str();
  CLI::App* gateway = app.add_subcommand("tcp-gateway", "Run the TCP gateway, one of the references");
  gateway->add_option("--group", tcp.group.address)->required();
  gateway->add_option("--group-port", tcp.group.port)->required();
  gateway->add_option("--interface", tcp.group.interface)->required();
  gateway->add_option("--port", tcp.port)->required();
  gateway->add_flag("--batch", tcp.batch, "A send for each batch received, not for each datagram");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::cerr << "mcgw-bench: " << error.what() << "\n";
    return kBadUsage;
  }
  if (gateway->parsed()) {
    std::cerr << "mcgw-bench: " << RunTcpGateway(tcp).message() << "\n";
    return kFailed;
  }
  if (options.quick) Shorten(&options);
  return RunBench(options);
}

}  // namespace
}  // namespace mcgw::bench

int main(int argc, char** argv) { return mcgw::bench::Main(argc, argv); }
