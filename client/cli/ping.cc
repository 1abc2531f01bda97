#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/flags.h"
#include "client/cli/hop_limit.h"
#include "client/cli/printable.h"
#include "client/cli/ring_message.h"
#include "client/cli/ring_search.h"
#include "client/cli/ring_stream.h"
#include "mcgw/channel_text.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kPingDescription[] = "Search for the nearest mcgw pong, with growing hop limits";

constexpr char kPingFooter[] =
    R"(An expanding-ring search: ping joins the group and sends probes to it with hop limit 1, then 2, 4, 8 and so on
up to --max-ttl. After each probe it waits --timeout for answers. It stops after the first ring with an answer,
unless --all. On the other side, run `mcgw pong` with the same group and port.

Each answer is a line: the ring (the probe's hop limit), the responder, the round trip (through both gateways), the
routers on the way there, and the hop limit left in the answer. Ring 1 is the same network; ring 2 is at most one
router away. If routers do not forward the group, there is no answer either.

Other datagrams on the group are counted and otherwise ignored. ping exits with 0 if there was an answer and
with 6 if there was none; Ctrl-C before any answer gives 130.

Examples:
  mcgw ping 239.255.1.1:5000%eth0
  mcgw ping '[ff15::1]:5000%eth0' --max-ttl region --timeout 0.5
  mcgw ping 239.255.1.1:5000%eth0 --all --count 3 -o json
)";

struct PingOptions {
  std::string channel;
  std::string min_ttl = "1";
  std::string max_ttl = "32";
  std::string timeout = "1";
  std::string count = "1";
  std::string format = "text";
  bool all = false;
  bool quiet = false;
};

struct PingPlan {
  v1::Membership membership;
  std::vector<uint8_t> rings;
  absl::Duration timeout;
  int64_t count = 1;
  bool all = false;
  bool json = false;
  bool quiet = false;
};

absl::StatusOr<PingPlan> MakePlan(const PingOptions& options) {
  PingPlan plan{.all = options.all, .json = options.format == "json", .quiet = options.quiet};
  auto membership = client::ParseChannel(options.channel);
  if (!membership.ok()) return membership.status();
  plan.membership = *std::move(membership);
  const auto first = ParseHopLimit("--min-ttl", options.min_ttl);
  if (!first.ok()) return first.status();
  const auto last = ParseHopLimit("--max-ttl", options.max_ttl);
  if (!last.ok()) return last.status();
  if (*first > *last) {
    return client::InvalidInput(v1::ERROR_REASON_INVALID_HOP_LIMIT, "hop_limit",
                                absl::StrCat("--min-ttl ", *first, " must not be greater than --max-ttl ", *last));
  }
  plan.rings = RingsBetween(static_cast<uint8_t>(*first), static_cast<uint8_t>(*last));
  const auto timeout = ParseDuration("--timeout", options.timeout, absl::Milliseconds(1), absl::Hours(1));
  if (!timeout.ok()) return timeout.status();
  plan.timeout = *timeout;
  const auto count = ParseNumber({.flag = "--count", .field = "count", .minimum = 1, .maximum = 1000}, options.count);
  if (!count.ok()) return count.status();
  plan.count = *count;
  return plan;
}

double Milliseconds(int64_t ns) { return static_cast<double>(ns) / 1e6; }

class Pinger {
 public:
  Pinger(const PingPlan& plan, RingStream* stream, const StopWatcher* stop)
      : plan_(plan), stream_(*stream), stop_(*stop), output_(STDOUT_FILENO, stop->fd()), search_(RandomRingId()) {}

  int Run() {
    int code = FromResult(stream_.WaitForSubscribed(&message_));
    for (size_t i = 0; i < plan_.rings.size() && code == kGoOn; ++i) {
      for (int64_t n = 0; n < plan_.count && code == kGoOn; ++n) code = TryRing(plan_.rings[i]);
      if (search_.nearest().has_value() && !plan_.all) break;
    }
    if (code == kGoOn) code = search_.nearest().has_value() ? kDone : kNoAnswer;
    if (code == kDone || code == kNoAnswer) code = Conclude(code);
    return code;
  }

 private:
  static constexpr int kGoOn = -1;

  int FromResult(RingStream::Result result) const {
    if (result == RingStream::Result::kFailed) return Fail(stream_.status());
    if (result != RingStream::Result::kStopped) return kGoOn;
    // Without a signal, the reader of the output has gone.
    if (stop_.signal() == 0 || search_.nearest().has_value()) return kDone;
    return kSignalBase + stop_.signal();
  }

  // Sends one probe and takes answers until its timeout.
  int TryRing(uint8_t ring) {
    const int64_t begin_ns = MonotonicNs();
    const absl::Status sent = stream_.Send(plan_.membership.interface(), ring, search_.Probe(ring, begin_ns));
    if (!sent.ok()) return Fail(sent);
    const int64_t end_ns = MonotonicNs() + absl::ToInt64Nanoseconds(plan_.timeout);
    while (true) {
      const int64_t left_ns = std::max<int64_t>(end_ns - MonotonicNs(), 0);
      const RingStream::Result result = stream_.Read(absl::Nanoseconds(left_ns), &message_);
      if (result == RingStream::Result::kTimedOut) return kGoOn;
      if (const int code = FromResult(result); code != kGoOn) return code;
      const int64_t now_ns = MonotonicNs();
      for (const v1::Datagram& datagram : message_.datagrams()) {
        if (const auto answer = search_.Take(datagram.payload(), now_ns)) Show(*answer, datagram);
      }
      if (output_.Flush() == OutputFile::Result::kFailed) return FailToWrite(output_);
      if (now_ns >= end_ns) return kGoOn;
    }
  }

  void Show(const RingAnswer& answer, const v1::Datagram& datagram) {
    const double ms = Milliseconds(answer.round_trip_ns);
    if (plan_.json) {
      absl::StrAppendFormat(output_.buffer(),
                            "{\"type\":\"answer\",\"ring\":%d,\"sequence\":%d,\"source\":\"%s\",\"source_port\":%d,"
                            "\"interface\":",
                            answer.ring, answer.sequence, client::FormatAddress(datagram.source_address()),
                            datagram.source_port());
      AppendJsonString(stream_.InterfaceOf(datagram), output_.buffer());
      absl::StrAppendFormat(output_.buffer(),
                            ",\"responder\":\"%016x\",\"round_trip_ms\":%.3f,\"routers\":%d,\"hop_limit\":%d}\n",
                            answer.responder, ms, answer.routers, datagram.hop_limit());
      return;
    }
    absl::StrAppendFormat(output_.buffer(), "ring=%d %s time=%.3fms routers=%d ttl=%d responder=%016x\n", answer.ring,
                          client::FormatEndpoint(datagram.source_address(), datagram.source_port()), ms, answer.routers,
                          datagram.hop_limit(), answer.responder);
  }

  // The summary: for people on standard error, for programs on standard output.
  int Conclude(int code) {
    const auto& nearest = search_.nearest();
    if (plan_.json) {
      absl::StrAppendFormat(
          output_.buffer(), "{\"type\":\"summary\",\"probes\":%d,\"responders\":%d,\"nearest_ring\":%s,",
          search_.probes(), search_.responders(), nearest.has_value() ? absl::StrCat(nearest->ring) : "null");
      absl::StrAppendFormat(output_.buffer(), "\"duplicates\":%d,\"other_searches\":%d,\"foreign\":%d}\n",
                            search_.duplicates(), search_.others(), search_.foreign());
      if (output_.Flush() == OutputFile::Result::kFailed) return FailToWrite(output_);
      return code;
    }
    if (plan_.quiet) return code;
    std::string text = absl::StrFormat("%d probe%s sent, ", search_.probes(), search_.probes() == 1 ? "" : "s");
    if (nearest.has_value()) {
      absl::StrAppendFormat(&text, "%d answered, the nearest in ring %d after %.3f ms", search_.responders(),
                            nearest->ring, Milliseconds(nearest->round_trip_ns));
    } else {
      absl::StrAppendFormat(&text, "no answer in rings %s", absl::StrJoin(RingTexts(), " "));
    }
    if (search_.duplicates() > 0) absl::StrAppend(&text, "; ", search_.duplicates(), " repeated answers");
    if (search_.others() > 0) absl::StrAppend(&text, "; ignored ", search_.others(), " datagrams of other searches");
    if (search_.foreign() > 0) absl::StrAppend(&text, "; ignored ", search_.foreign(), " foreign datagrams");
    Note(text);
    return code;
  }

  std::vector<std::string> RingTexts() const {
    std::vector<std::string> texts;
    for (const uint8_t ring : plan_.rings) texts.push_back(absl::StrCat(ring));
    return texts;
  }

  const PingPlan& plan_;
  RingStream& stream_;
  const StopWatcher& stop_;
  OutputFile output_;
  RingSearch search_;
  v1::SubscribeResponse message_;
};

int RunPing(const PingOptions& options, const GlobalOptions& global) {
  const auto plan = MakePlan(options);
  if (!plan.ok()) return Fail(plan.status());
  StopWatcher::BlockSignals();
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  v1::SubscribeRequest request;
  *request.add_memberships() = plan->membership;
  client::Subscription subscription(**client, request);
  StopWatcher stop(STDOUT_FILENO, [&subscription] { subscription.Cancel(); });
  RingStream stream(client->get(), plan->membership, &subscription, &stop);
  return Pinger(*plan, &stream, &stop).Run();
}

}  // namespace

void AddPing(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("ping", kPingDescription);
  command->footer(kPingFooter);
  auto options = std::make_shared<PingOptions>();
  command->add_option("channel", options->channel, "Where to search: GROUP:PORT[%INTERFACE]")
      ->type_name("CHANNEL")
      ->required();
  command->add_option("--max-ttl", options->max_ttl, absl::StrCat("The last ring: 0 to 255, or ", HopLimitPresets()))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--min-ttl", options->min_ttl, "The first ring; host (0) searches the gateway's own host")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--timeout", options->timeout,
                   "How long to wait for answers to each probe: in seconds, or with a unit (500ms)")
      ->type_name("DURATION")
      ->capture_default_str();
  command->add_option("--count", options->count, "Probes for each ring, 1 to 1000")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--all", options->all, "Try all rings, even after an answer");
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->add_flag("-q,--quiet", options->quiet, "No summary on standard error");
  command->callback([=] { *run = [=] { return RunPing(*options, *global); }; });
}

}  // namespace mcgw::cli
