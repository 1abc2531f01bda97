#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/datagram_format.h"
#include "client/cli/event_text.h"
#include "client/cli/exit_code.h"
#include "client/cli/flags.h"
#include "client/cli/output_file.h"
#include "client/cli/receive_account.h"
#include "client/cli/star_text.h"
#include "client/cli/stop_watcher.h"
#include "mcgw/error.h"
#include "mcgw/resuming_subscription.h"
#include "mcgw/subscription.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kSubDescription[] = "Receive the datagrams of channels and write them to standard output";

constexpr char kSubFooter[] = R"(Formats:
  text  a line for each datagram: UTC time, channel, source, ttl, sequence, size, printable part of the payload
  json  an object on a line for each datagram, with the payload in base64
  hex   a line as in text, then a hexadecimal dump
  raw   only the payloads, back to back

Standard error shows the subscribed channels ("mcgw: subscribed to 239.1.1.1:5000 on eth0"), and for every loss
which datagrams are missing and why. With --quiet it shows only losses and errors.

Without --count, sub runs until Ctrl-C, or until nothing has come for --wait, and exits with 0. With
--count, it exits with 0 once that many datagrams came, with 4 if --wait ended it before, and with 130 after
Ctrl-C (143 after SIGTERM). If the reader of standard output goes away, sub exits with 0.

With --resume, sub survives a broken connection and a restart of the gateway. It finds a returning gateway within a
second (on a Unix socket at once) and continues where it was. No datagram comes twice. A gap announces datagrams that
the gateway no longer has. The gateway keeps the channels joined for 10 s meanwhile.

--stats prints what came and what was lost, by the sequences that sub saw, and the gateway's last report on the
stream.

Examples:
  mcgw sub 239.1.1.1:5000%eth0
  mcgw sub 239.1.1.1:5000%eth0 --resume --start 30s
  mcgw sub '239.1.1.1:5000%*' '[ff15::1]:5000%eth0' -o json | jq .source
  mcgw sub 10.0.0.2@232.1.1.1:5004 -o raw | ffplay -
  mcgw sub 239.1.1.1:5000%eth0 --count 1 --wait 5 || echo "nothing came"
)";

struct SubOptions {
  std::vector<std::string> channels;
  std::string format = "text";
  std::string count;
  std::string wait;
  std::string session;
  bool exclude_own = false;
  std::string start;
  std::string lag_policy;
  bool at_once = false;
  std::string batch;
  bool resume = false;
  bool stats = false;
  bool quiet = false;
  bool wait_for_interface = false;
};

struct SubPlan {
  v1::SubscribeRequest request;
  OutputFormat format = OutputFormat::kText;
  uint64_t count = 0;  // 0: no limit.
  absl::Duration wait = absl::InfiniteDuration();
  bool filtered = false;
  bool quiet = false;
};

// The stream that a Receiver reads: one that ends when it breaks, or one that resumes.
struct Source {
  std::function<client::Subscription::ReadResult(absl::Duration, v1::SubscribeResponse*)> read;
  std::function<absl::Status()> finish;
};

absl::Status ReadStart(const std::string& text, v1::Start* start) {
  if (text == "live") {
    start->mutable_live();
  } else if (text == "oldest") {
    start->mutable_oldest();
  } else {
    absl::Time time;
    std::string error;
    const absl::optional<absl::Duration> ago = ReadDuration(text);
    const bool is_ago = ago.has_value() && *ago > absl::ZeroDuration();
    const bool is_time = is_ago || absl::ParseTime(absl::RFC3339_full, text, &time, &error);
    if (is_ago) time = absl::Now() - *ago;
    const int64_t ns = absl::ToUnixNanos(time);
    // Nanoseconds from 1970, as far as 64 bits hold them.
    if (!is_time || ns < 0 || ns == INT64_MAX) {
      return client::InvalidInput(v1::ERROR_REASON_VALUE_OUT_OF_RANGE, "start",
                                  absl::StrCat("--start '", text, "' must be live, oldest, a time from 1970 to 2262 ",
                                               "such as 2026-01-31T12:00:00Z, or a time ago such as 30s"));
    }
    start->mutable_time()->set_seconds(ns / 1'000'000'000);
    start->mutable_time()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
  }
  return absl::OkStatus();
}

absl::StatusOr<SubPlan> MakePlan(const SubOptions& options) {
  SubPlan plan;
  plan.quiet = options.quiet;
  plan.format = options.format == "json"  ? OutputFormat::kJson
                : options.format == "hex" ? OutputFormat::kHex
                : options.format == "raw" ? OutputFormat::kRaw
                                          : OutputFormat::kText;
  if (options.channels.empty() && options.session.empty()) {
    return client::InvalidInput(v1::ERROR_REASON_FIELD_REQUIRED, "channel",
                                "no channel given: name at least one, such as 239.1.1.1:5000%eth0, or a --session");
  }
  auto memberships = ParseChannels(options.channels);
  if (!memberships.ok()) return memberships.status();
  plan.filtered = !options.session.empty() || options.exclude_own;
  for (v1::Membership& membership : *memberships) {
    plan.filtered = plan.filtered || membership.has_source_filter();
    membership.set_wait_for_interface(options.wait_for_interface);
    *plan.request.add_memberships() = std::move(membership);
  }
  plan.request.set_session_id(options.session);
  plan.request.mutable_options()->set_exclude_own(options.exclude_own);
  if (!options.count.empty()) {
    const auto count = ParseNumber({.flag = "--count", .field = "count", .minimum = 1}, options.count);
    if (!count.ok()) return count.status();
    plan.count = static_cast<uint64_t>(*count);
  }
  if (!options.start.empty()) {
    if (absl::Status status = ReadStart(options.start, plan.request.mutable_start()); !status.ok()) return status;
  }
  v1::SubscribeOptions& stream = *plan.request.mutable_options();
  if (options.lag_policy == "skip-to-live") stream.set_lag_policy(v1::LAG_POLICY_SKIP_TO_LIVE);
  if (options.lag_policy == "disconnect") stream.set_lag_policy(v1::LAG_POLICY_DISCONNECT);
  if (options.at_once) stream.mutable_max_batching_delay();
  if (!options.batch.empty()) {
    const auto delay = ParseDuration("--batch", options.batch, absl::Microseconds(1), absl::Milliseconds(10));
    if (!delay.ok()) return delay.status();
    stream.mutable_max_batching_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*delay)));
  }
  if (options.stats) stream.mutable_ledger_interval()->set_seconds(1);
  if (!options.wait.empty()) {
    const auto wait = ParseDuration("--wait", options.wait, absl::Milliseconds(1), absl::Hours(24 * 365));
    if (!wait.ok()) return wait.status();
    plan.wait = *wait;
  }
  return plan;
}

// Reads one stream until it ends or the command does.
class Receiver {
 public:
  Receiver(const SubPlan& plan, client::Client* client, Source source, const StopWatcher* stop)
      : plan_(plan),
        client_(*client),
        source_(std::move(source)),
        stop_(*stop),
        output_(STDOUT_FILENO, stop->fd()),
        formatter_(plan.format, &channels_),
        account_(plan.filtered) {}

  int Run() {
    const Clock::time_point begin = Clock::now();
    last_datagram_ = begin;
    int code = Loop();
    const auto flushed = output_.Flush();
    if (flushed == OutputFile::Result::kFailed && code == kDone) code = FailToWrite(output_);
    elapsed_ = absl::FromChrono(Clock::now() - begin);
    for (absl::string_view line : absl::StrSplit(account_.Faults(channels_), '\n', absl::SkipEmpty())) Note(line);
    return code;
  }

  void PrintSummary() const {
    const std::string summary = account_.Summary(elapsed_, channels_);
    for (absl::string_view line : absl::StrSplit(summary, '\n', absl::SkipEmpty())) Note(line);
  }

 private:
  using ReadResult = client::Subscription::ReadResult;
  using Clock = std::chrono::steady_clock;

  absl::Duration Waited() const { return absl::FromChrono(Clock::now() - last_datagram_); }

  int Loop() {
    v1::SubscribeResponse message;
    while (true) {
      ReadResult result = source_.read(absl::ZeroDuration(), &message);
      if (result == ReadResult::kTimedOut) {
        // No message is ready: write out what has come before waiting.
        if (const auto code = CodeOf(output_.Flush())) return *code;
        result = source_.read(std::max(plan_.wait - Waited(), absl::ZeroDuration()), &message);
      }
      if (result == ReadResult::kEnded) return EndCode();
      if (result == ReadResult::kTimedOut) return plan_.count == 0 ? kDone : kCountNotReached;
      for (const v1::Event& event : message.events()) TakeEvent(event);
      if (const auto code = TakeDatagrams(message)) return *code;
      if (plan_.count != 0 && account_.datagrams() == plan_.count) return kDone;
      if (Waited() >= plan_.wait) return plan_.count == 0 ? kDone : kCountNotReached;
    }
  }

  void TakeEvent(const v1::Event& event) {
    UpdateChannels(event, &channels_);
    account_.Take(event);
    if (event.has_subscribed()) last_datagram_ = Clock::now();
    for (const EventLine& line : DescribeEvent(event, channels_)) {
      if (line.loss || !plan_.quiet) Note(line.text);
    }
    if (event.has_subscribed() && !plan_.quiet) ExplainStar(event.subscribed());
  }

  // If `*` takes no interface, there is no channel to show the reason.
  void ExplainStar(const v1::Subscribed& subscribed) {
    if (!subscribed.channels().empty() || subscribed.continued()) return;
    for (const v1::Membership& membership : plan_.request.memberships()) {
      if (membership.interface() != "*") continue;
      const auto interfaces = client_.ListInterfaces();
      const std::string text = interfaces.ok() ? DescribeStar(*interfaces, membership.group()) : "";
      if (!text.empty()) Note(text);
      return;
    }
  }

  // The exit code, if the datagrams cannot be written.
  std::optional<int> TakeDatagrams(const v1::SubscribeResponse& message) {
    if (message.datagrams().empty()) return std::nullopt;
    for (const v1::Datagram& datagram : message.datagrams()) {
      account_.Take(datagram);
      formatter_.Append(datagram, output_.buffer());
      if (const auto code = CodeOf(output_.FlushIfLarge())) return code;
      if (plan_.count != 0 && account_.datagrams() == plan_.count) break;
    }
    last_datagram_ = Clock::now();
    return std::nullopt;
  }

  std::optional<int> CodeOf(OutputFile::Result result) const {
    if (result == OutputFile::Result::kWritten) return std::nullopt;
    if (result == OutputFile::Result::kFailed) return FailToWrite(output_);
    return stop_.signal() == 0 ? kDone : StopCode();
  }

  int StopCode() const { return plan_.count == 0 || stop_.signal() == 0 ? kDone : kSignalBase + stop_.signal(); }

  int EndCode() const {
    if (stop_.stopped()) return StopCode();
    const absl::Status status = source_.finish();
    if (!status.ok()) return Fail(status);
    if (!plan_.quiet) Note("the stream has ended because its session was left");
    return plan_.count == 0 ? kDone : kCountNotReached;
  }

  const SubPlan& plan_;
  client::Client& client_;
  const Source source_;
  const StopWatcher& stop_;
  OutputFile output_;
  ChannelTable channels_;
  DatagramFormatter formatter_;
  ReceiveAccount account_;
  Clock::time_point last_datagram_;
  absl::Duration elapsed_;
};

template <typename Stream>
int Receive(const SubPlan& plan, client::Client* client, Stream* stream, bool stats) {
  StopWatcher stop(STDOUT_FILENO, [stream] { stream->Cancel(); });
  Receiver receiver(
      plan, client,
      {[stream](absl::Duration timeout, v1::SubscribeResponse* message) { return stream->Read(timeout, message); },
       [stream] { return stream->Finish(); }},
      &stop);
  const int code = receiver.Run();
  if (stats) receiver.PrintSummary();
  return code;
}

int RunSub(const SubOptions& options, const GlobalOptions& global) {
  const auto plan = MakePlan(options);
  if (!plan.ok()) return Fail(plan.status());
  StopWatcher::BlockSignals();
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  if (options.resume) {
    client::ResumingSubscription subscription(
        **client, plan->request, client::ResumeOptions(), [](const absl::Status& why, absl::Duration wait) {
          Note(absl::StrCat(client::Describe(why), "; retrying in ", absl::ToInt64Milliseconds(wait), " ms"));
        });
    return Receive(*plan, client->get(), &subscription, options.stats);
  }
  client::Subscription subscription(**client, plan->request);
  return Receive(*plan, client->get(), &subscription, options.stats);
}

}  // namespace

void AddSub(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("sub", kSubDescription);
  command->footer(kSubFooter);
  auto options = std::make_shared<SubOptions>();
  command->add_option("channels", options->channels, "Channels to receive: [SOURCE@]GROUP:PORT[%INTERFACE]")
      ->type_name("CHANNEL");
  command->add_option("-o,--output", options->format, "text, json, hex or raw")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json", "hex", "raw"}).description(""))
      ->capture_default_str();
  command->add_option("--count", options->count, "Stop after N datagrams")->type_name("N");
  command
      ->add_option("--wait", options->wait,
                   "Stop when nothing has come for this long: in seconds, or with a unit (500ms)")
      ->type_name("DURATION");
  command->add_flag("--wait-for-interface", options->wait_for_interface,
                    "Accept an interface that does not exist yet, and receive once it is up");
  command->add_option("--session", options->session, "Also receive the channels of this session")->type_name("ID");
  command->add_flag("--exclude-own", options->exclude_own,
                    "Exclude datagrams sent through this gateway; with --session, those sent by that session");
  command
      ->add_option("--start", options->start,
                   "Where to start: live (the default), oldest, a UTC time (2026-01-31T12:00:00Z) or a time ago (30s)")
      ->type_name("WHEN");
  command
      ->add_option("--lag-policy", options->lag_policy,
                   "What to do if sub is too slow: skip-oldest, skip-to-live or disconnect")
      ->type_name("POLICY")
      ->check(CLI::IsMember({"skip-oldest", "skip-to-live", "disconnect"}).description(""));
  CLI::Option* const at_once =
      command->add_flag("--at-once", options->at_once,
                        "Never hold a datagram back to send it with the next ones: lower latency, more CPU time");
  command
      ->add_option("--batch", options->batch,
                   "Hold datagrams of a busy channel back for up to this long, 10ms at most, to send several at once: "
                   "less CPU time here and in the gateway (default: 0.2ms)")
      ->type_name("DURATION")
      ->excludes(at_once);
  command->add_flag("--resume", options->resume,
                    "If the stream breaks, reconnect and continue where it broke; gaps announce what was missed");
  command->add_flag("--stats", options->stats, "At the end, print on standard error what came and what was lost");
  command->add_flag("-q,--quiet", options->quiet, "On standard error, show only losses and failures");
  command->callback([=] { *run = [=] { return RunSub(*options, *global); }; });
}

}  // namespace mcgw::cli
