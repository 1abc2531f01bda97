#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cli/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/flags.h"
#include "client/cli/hop_limit.h"
#include "client/cli/input_file.h"
#include "client/cli/pacer.h"
#include "client/cli/stop_watcher.h"
#include "mcgw/channel_text.h"
#include "mcgw/publisher.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kPubDescription[] = "Send datagrams to a channel";

constexpr char kPubFooter[] =
    R"(Without --file, each line of standard input is one datagram, without its line end. With --file, the file is
cut into datagrams of --size bytes; the last one may be shorter. --file - is standard input.

--count N sends at most N datagrams. --repeat starts the file again at its end, until --count or Ctrl-C.

--rate and --bitrate set the pace; a bitrate counts only payload. Without them pub sends as fast as the gateway
accepts. The first Ctrl-C ends the input and sends what was read; the second one ends pub.

--ttl sets how far datagrams may go: host (they stay on the gateway's host), subnet, site, region, continent,
unrestricted, or a number of hops. A router forwards a datagram only if it has more hops left than the router's
threshold.

A source before the group (10.0.0.1@239.1.1.1:5000) means the same as --source.

Standard error shows how many datagrams were sent, which ones were not, and why. pub exits with 0 if the
gateway's kernel took all of them, and with 5 if it took some. If it took none, pub exits with 2 for invalid
input and with 1 otherwise.

Examples:
  echo hello | mcgw pub 239.1.1.1:5000%eth0
  mcgw pub 239.1.1.1:5000%eth0 --file film.ts --bitrate 4M --ttl site
  mcgw pub '[ff15::1]:5000%eth0' --file /dev/urandom --size 1000 --count 100000 --rate 20000
  ffmpeg -re -i film.mp4 -f mpegts - | mcgw pub 239.1.1.1:5000%eth0 --file -
)";

constexpr int64_t kMaxPayloadIpv4 = 65507;
constexpr int64_t kMaxPayloadIpv6 = 65527;
constexpr int kMostFailureNotes = 10;
constexpr int kDscpShift = 2;
constexpr int64_t kNsPerSecond = 1'000'000'000;

struct PubOptions {
  std::string channel;
  std::string file;
  std::string size;
  std::string rate;
  std::string bitrate;
  std::string ttl;
  std::string dscp;
  std::string source;
  std::string count;
  std::string session;
  std::string ecn;
  bool no_loop = false;
  bool dont_fragment = false;
  bool repeat = false;
  bool quiet = false;
};

struct PubPlan {
  v1::Destination destination;
  v1::SendOptions send;
  size_t chunk_bytes = InputFile::kLines;
  uint64_t count = UINT64_MAX;
  std::optional<Pacer> pacer;
  bool paced_by_bits = false;
};

absl::Status SetSource(const PubOptions& options, const v1::Membership& channel, PubPlan* plan) {
  const auto& sources = channel.source_filter().sources();
  if (sources.size() > 1 || (!sources.empty() && !options.source.empty())) {
    return client::InvalidInput(v1::ERROR_REASON_CONFLICTING_FIELDS, "source_address",
                                "more than one source address to send from: give one, before the group or by --source");
  }
  if (!sources.empty()) plan->send.set_source_address(sources[0]);
  if (options.source.empty()) return absl::OkStatus();
  auto source = client::ParseUnicastAddress(options.source, "source_address", "source address");
  if (!source.ok()) return source.status();
  if (absl::StrContains(*source, ":") != absl::StrContains(channel.group(), ":")) {
    return client::InvalidInput(
        v1::ERROR_REASON_INVALID_SOURCE, "source_address",
        absl::StrCat("source address ", *source, " is not of the same family as the group ", channel.group()));
  }
  plan->send.set_source_address(*source);
  return absl::OkStatus();
}

absl::Status SetSendOptions(const PubOptions& options, PubPlan* plan) {
  if (options.no_loop) plan->send.set_loop(false);
  plan->send.set_dont_fragment(options.dont_fragment);
  if (!options.ttl.empty()) {
    const absl::StatusOr<uint32_t> hop_limit = ParseHopLimit("--ttl", options.ttl);
    if (!hop_limit.ok()) return hop_limit.status();
    plan->send.set_hop_limit(*hop_limit);
  }
  if (!options.dscp.empty()) {
    const auto dscp =
        ParseNumber({"--dscp", "traffic_class", v1::ERROR_REASON_INVALID_TRAFFIC_CLASS, 0, 63}, options.dscp);
    if (!dscp.ok()) return dscp.status();
    plan->send.set_traffic_class(static_cast<uint32_t>(*dscp) << kDscpShift);
  }
  if (!options.ecn.empty()) {
    const auto ecn = ParseNumber({"--ecn", "traffic_class", v1::ERROR_REASON_INVALID_TRAFFIC_CLASS, 0, 3}, options.ecn);
    if (!ecn.ok()) return ecn.status();
    plan->send.set_traffic_class(plan->send.traffic_class() | static_cast<uint32_t>(*ecn));
  }
  return absl::OkStatus();
}

absl::Status SetInput(const PubOptions& options, PubPlan* plan) {
  const int64_t most = absl::StrContains(plan->destination.group(), ":") ? kMaxPayloadIpv6 : kMaxPayloadIpv4;
  if (!options.file.empty()) {
    const auto size = ParseNumber({.flag = "--size", .field = "payload", .minimum = 1, .maximum = most}, options.size);
    if (!size.ok()) return size.status();
    plan->chunk_bytes = static_cast<size_t>(*size);
  }
  if (!options.count.empty()) {
    const auto count = ParseNumber({.flag = "--count", .field = "count", .minimum = 1}, options.count);
    if (!count.ok()) return count.status();
    plan->count = static_cast<uint64_t>(*count);
  }
  plan->paced_by_bits = !options.bitrate.empty();
  if (!options.rate.empty() || plan->paced_by_bits) {
    const auto rate = plan->paced_by_bits ? ParseRate("--bitrate", options.bitrate) : ParseRate("--rate", options.rate);
    if (!rate.ok()) return rate.status();
    plan->pacer.emplace(*rate);
  }
  return absl::OkStatus();
}

absl::StatusOr<PubPlan> MakePlan(const PubOptions& options) {
  PubPlan plan;
  const auto channel = client::ParseChannel(options.channel);
  if (!channel.ok()) return channel.status();
  plan.destination.set_interface(channel->interface());
  plan.destination.set_group(channel->group());
  plan.destination.set_port(channel->port());
  absl::Status status = SetSource(options, *channel, &plan);
  if (status.ok()) status = SetSendOptions(options, &plan);
  if (status.ok()) status = SetInput(options, &plan);
  if (!status.ok()) return status;
  return plan;
}

// Prints failures as they come, and remembers the first one for the exit code. Thread-safe.
class Failures {
 public:
  void Take(const client::PublishFailureRun& run) {
    std::string text = absl::StrCat("datagram ", run.first_datagram);
    if (run.datagrams > 1) absl::StrAppend(&text, " to ", run.first_datagram + run.datagrams - 1);
    absl::StrAppend(&text, " not sent", run.interface_name.empty() ? "" : " by ", run.interface_name, ": ",
                    client::Describe(run.failure));
    Take(static_cast<absl::StatusCode>(run.failure.code()), text);
  }

  void Take(absl::StatusCode code, absl::string_view text) {
    absl::MutexLock lock(&mutex_);
    if (notes_ == 0) first_code_ = code;
    ++notes_;
    if (notes_ <= kMostFailureNotes) Note(text);
    if (notes_ == kMostFailureNotes) Note("further failures are counted but not shown");
  }

  absl::StatusCode first_code() const {
    absl::MutexLock lock(&mutex_);
    return first_code_;
  }

 private:
  mutable absl::Mutex mutex_;
  int notes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::StatusCode first_code_ ABSL_GUARDED_BY(mutex_) = absl::StatusCode::kOk;
};

// Reads the input and publishes it, at the requested rate.
class Sender {
 public:
  Sender(PubPlan* plan, client::Publisher* publisher, InputFile* input, const StopWatcher* stop, Failures* failures)
      : plan_(*plan), publisher_(*publisher), input_(*input), stop_(*stop), failures_(*failures) {
    target_ = publisher_.AddTarget(plan_.destination, plan_.send);
  }

  // Runs until the input ends, --count is reached, or the command is stopped. kFailed if the input cannot be read.
  int Run() {
    uint64_t read = 0;
    absl::string_view payload;
    while (read < plan_.count && WaitForTurn()) {
      InputFile::Result result = input_.Next(/*may_wait=*/false, &payload);
      if (result == InputFile::Result::kNotYet) {
        publisher_.Flush();
        result = input_.Next(/*may_wait=*/true, &payload);
      }
      if (result == InputFile::Result::kFailed) return FailToRead();
      if (result != InputFile::Result::kItem) break;
      ++read;
      if (!Publish(payload)) break;
    }
    complete_ = !stop_.stopped() || read == plan_.count;
    return kDone;
  }

  bool complete() const { return complete_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t refused() const { return refused_; }

 private:
  // False if the command is stopped meanwhile.
  bool WaitForTurn() {
    while (!stop_.stopped() && plan_.pacer.has_value()) {
      const int64_t wait_ns = plan_.pacer->WaitNs(MonotonicNs());
      if (wait_ns == 0) break;
      publisher_.Flush();
      const timespec wait{wait_ns / kNsPerSecond, wait_ns % kNsPerSecond};
      pollfd stop{stop_.fd(), POLLIN, 0};
      ppoll(&stop, 1, &wait, nullptr);
    }
    return !stop_.stopped();
  }

  int FailToRead() const {
    if (input_.error().code() == absl::StatusCode::kInvalidArgument) return Fail(input_.error());
    Note(input_.error().message());
    return kFailed;
  }

  // False if the stream has ended.
  bool Publish(absl::string_view payload) {
    if (plan_.pacer.has_value()) plan_.pacer->Sent(plan_.paced_by_bits ? static_cast<double>(payload.size()) * 8 : 1);
    const absl::Status status = publisher_.Publish(target_, payload);
    if (status.ok()) {
      bytes_ += payload.size();
      return true;
    }
    if (status.code() != absl::StatusCode::kInvalidArgument) return false;
    ++refused_;
    failures_.Take(status.code(), absl::StrCat("not sent: ", client::Describe(status)));
    return true;
  }

  PubPlan& plan_;
  client::Publisher& publisher_;
  InputFile& input_;
  const StopWatcher& stop_;
  Failures& failures_;
  client::Publisher::Target target_ = 0;
  uint64_t bytes_ = 0;
  uint64_t refused_ = 0;
  bool complete_ = false;
};

// The descriptor to read from; -1, and a note, if the file cannot be opened.
int OpenInput(const PubOptions& options) {
  if (options.file.empty() || options.file == "-") return STDIN_FILENO;
  const int fd = open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Note(absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", options.file)).message());
  return fd;
}

int CodeOf(const client::PublishTotals& totals, uint64_t failed, const Failures& failures) {
  if (failed == 0) return kDone;
  if (totals.sent > 0) return kSomeNotSent;
  return failures.first_code() == absl::StatusCode::kInvalidArgument ? kBadInput : kFailed;
}

std::string Summary(const client::PublishTotals& totals, uint64_t failed, uint64_t bytes, absl::Duration elapsed) {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-9);
  std::string text = absl::StrFormat("sent %d datagrams, failed %d", totals.sent, failed);
  if (totals.unknown > 0) absl::StrAppendFormat(&text, ", unknown %d", totals.unknown);
  absl::StrAppendFormat(&text, "; %d bytes in %.3f s: %.1f datagrams/s, %.3f Mbit/s", bytes, seconds,
                        static_cast<double>(totals.queued) / seconds, static_cast<double>(bytes) * 8 / seconds / 1e6);
  return text;
}

int RunPub(const PubOptions& options, const GlobalOptions& global) {
  auto plan = MakePlan(options);
  if (!plan.ok()) return Fail(plan.status());
  const int input_fd = OpenInput(options);
  if (input_fd < 0) return kFailed;
  StopWatcher::BlockSignals();
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());

  // The first signal ends the input; on the second one the watcher ends the process.
  StopWatcher stop(/*output_fd=*/-1, nullptr);
  const absl::Status connected = (*client)->WaitForConnection(client::ConnectOptions().rpc_timeout);
  if (!connected.ok()) return Fail(connected);
  InputFile input(input_fd, stop.fd(), plan->chunk_bytes, options.repeat);
  Failures failures;
  client::PublisherOptions publish;
  publish.session_id = options.session;
  publish.max_delay = absl::InfiniteDuration();
  client::Publisher publisher(
      **client, publish, [&failures](const client::PublishFailureRun& run) { failures.Take(run); },
      [&stop] { stop.Request(); });

  const absl::Time begin = absl::Now();
  Sender sender(&*plan, &publisher, &input, &stop, &failures);
  int code = sender.Run();
  const absl::Status finished = publisher.Finish();
  const client::PublishTotals totals = publisher.totals();
  const uint64_t failed = totals.failed + sender.refused();
  if (!options.quiet) Note(Summary(totals, failed, sender.bytes(), absl::Now() - begin));
  if (!finished.ok()) return Fail(finished);
  if (code == kDone) code = CodeOf(totals, failed, failures);
  if (code == kDone && !sender.complete() && stop.signal() != 0) code = kSignalBase + stop.signal();
  return code;
}

}  // namespace

void AddPub(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("pub", kPubDescription);
  command->footer(kPubFooter);
  auto options = std::make_shared<PubOptions>();
  options->size = "1316";
  command->add_option("channel", options->channel, "Where to send: GROUP:PORT[%INTERFACE]")
      ->type_name("CHANNEL")
      ->required();
  auto* file = command->add_option("--file", options->file, "Send this file, cut into datagrams; - is standard input")
                   ->type_name("FILE");
  command->add_option("--size", options->size, "Bytes of each datagram of the file")
      ->type_name("BYTES")
      ->capture_default_str()
      ->needs(file);
  auto* rate = command->add_option("--rate", options->rate, "Datagrams a second, such as 2500 or 20k")->type_name("N");
  command->add_option("--bitrate", options->bitrate, "Payload bits a second, such as 4M")
      ->type_name("N")
      ->excludes(rate);
  command
      ->add_option("--ttl", options->ttl,
                   absl::StrCat("Hop limit, 0 to 255, or ", HopLimitPresets(), "; default 1, the local network"))
      ->type_name("N");
  command->add_flag("--no-loop", options->no_loop, "Do not deliver to receivers on the gateway's own host");
  command->add_option("--dscp", options->dscp, "Differentiated services code point, 0 to 63")->type_name("N");
  command->add_option("--ecn", options->ecn, "Explicit congestion notification field, 0 to 3")->type_name("N");
  command->add_flag("--dont-fragment", options->dont_fragment,
                    "Refuse datagrams that do not fit the interface's MTU in one piece");
  command->add_option("--source", options->source, "Send from this address of the interface")->type_name("ADDRESS");
  command->add_option("--count", options->count, "Send at most N datagrams")->type_name("N");
  command->add_flag("--repeat", options->repeat, "Start the file again at its end")->needs(file);
  command->add_option("--session", options->session, "Send on behalf of this session, from the session's own port")
      ->type_name("ID");
  command->add_flag("-q,--quiet", options->quiet, "On standard error, show only failures");
  command->callback([=] { *run = [=] { return RunPub(*options, *global); }; });
}

}  // namespace mcgw::cli
