#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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

constexpr char kPongDescription[] = "Answer the searches of mcgw ping";

constexpr char kPongFooter[] =
    R"(pong joins the group and answers each probe of `mcgw ping` on the same group and interface. The answer reports
the hop limit that the probe had left. Answers are sent with hop limit --ttl, or with the probe's own if that is
more, so that they get back to the sender of the probe.

pong answers only probes, never answers, and at most --rate of them a second, so several pongs on a group cannot
trigger each other. Other datagrams are counted and ignored.

Each answered probe is a line on standard output. pong runs until Ctrl-C and then exits with 0. With --count, it
exits with 0 after that many answers, and with 130 after an earlier Ctrl-C.

Examples:
  mcgw pong 239.255.1.1:5000%eth0
  mcgw pong '[ff15::1]:5000%*' --quiet > /dev/null
)";

constexpr uint32_t kLeastAnswerHops = 32;
constexpr int64_t kMostRate = 10'000;
constexpr uint64_t kMostUnansweredNotes = 10;

struct PongOptions {
  std::string channel;
  std::string ttl = "32";
  std::string rate = "100";
  std::string count;
  std::string format = "text";
  bool quiet = false;
};

struct PongPlan {
  v1::Membership membership;
  uint32_t hop_limit = kLeastAnswerHops;
  uint32_t rate = 0;
  uint64_t count = 0;  // 0: no limit.
  bool json = false;
  bool quiet = false;
};

absl::StatusOr<PongPlan> MakePlan(const PongOptions& options) {
  PongPlan plan;
  plan.json = options.format == "json";
  plan.quiet = options.quiet;
  auto membership = client::ParseChannel(options.channel);
  if (!membership.ok()) return membership.status();
  plan.membership = *std::move(membership);
  const auto hop_limit = ParseHopLimit("--ttl", options.ttl);
  if (!hop_limit.ok()) return hop_limit.status();
  if (*hop_limit < kLeastAnswerHops) {
    return client::InvalidInput(v1::ERROR_REASON_INVALID_HOP_LIMIT, "hop_limit",
                                absl::StrCat("--ttl ", options.ttl, " must be at least ", kLeastAnswerHops,
                                             ", so that answers reach the searcher"));
  }
  plan.hop_limit = *hop_limit;
  const auto rate = ParseNumber({.flag = "--rate", .field = "rate", .minimum = 1, .maximum = kMostRate}, options.rate);
  if (!rate.ok()) return rate.status();
  plan.rate = static_cast<uint32_t>(*rate);
  if (!options.count.empty()) {
    const auto count = ParseNumber({.flag = "--count", .field = "count", .minimum = 1}, options.count);
    if (!count.ok()) return count.status();
    plan.count = static_cast<uint64_t>(*count);
  }
  return plan;
}

class Answerer {
 public:
  Answerer(const PongPlan& plan, RingStream* stream, const StopWatcher* stop)
      : plan_(plan),
        stream_(*stream),
        stop_(*stop),
        output_(STDOUT_FILENO, stop->fd()),
        responder_(RandomRingId()),
        budget_(plan.rate) {}

  int Run() {
    const int code = Loop();
    if (!plan_.quiet) {
      Note(absl::StrFormat(
          "%d probes answered, %d not sent, %d too many for --rate, %d answers and %d foreign datagrams ignored",
          answered_, failed_, refused_, answers_, foreign_));
    }
    return code;
  }

 private:
  int Loop() {
    v1::SubscribeResponse message;
    RingStream::Result result = stream_.WaitForSubscribed(&message);
    if (result == RingStream::Result::kMessage && !plan_.quiet) {
      Note(absl::StrCat("answering on ", client::FormatChannel(plan_.membership)));
    }
    while (result == RingStream::Result::kMessage) {
      for (const v1::Datagram& datagram : message.datagrams()) {
        if (const auto code = Take(datagram)) return *code;
      }
      if (output_.Flush() == OutputFile::Result::kFailed) return FailToWrite(output_);
      result = stream_.Read(absl::InfiniteDuration(), &message);
    }
    if (result == RingStream::Result::kFailed) return Fail(stream_.status());
    return plan_.count == 0 || stop_.signal() == 0 ? kDone : kSignalBase + stop_.signal();
  }

  // The exit code, once pong is done.
  std::optional<int> Take(const v1::Datagram& datagram) {
    const std::optional<RingMessage> probe = DecodeRingMessage(datagram.payload());
    // A genuine probe never gains hops on its way.
    if (!probe.has_value() || (probe->type == RingMessage::Type::kProbe && datagram.hop_limit() > probe->ring)) {
      ++foreign_;
      return std::nullopt;
    }
    if (probe->type == RingMessage::Type::kAnswer) {
      ++answers_;
      return std::nullopt;
    }
    if (!budget_.Take(MonotonicNs())) {
      ++refused_;
      return std::nullopt;
    }
    RingMessage answer = *probe;
    answer.type = RingMessage::Type::kAnswer;
    answer.hop_limit_seen = static_cast<uint8_t>(datagram.hop_limit());
    answer.responder = responder_;
    const absl::Status sent = stream_.Send(stream_.InterfaceOf(datagram),
                                           std::max<uint32_t>(plan_.hop_limit, probe->ring), EncodeRingMessage(answer));
    if (client::IsUnreachable(sent)) return Fail(sent);
    if (!sent.ok()) {
      // The interface may come back, so go on.
      if (++failed_ <= kMostUnansweredNotes) Note(absl::StrCat("not answered: ", client::Describe(sent)));
      return std::nullopt;
    }
    ++answered_;
    Show(*probe, datagram);
    if (plan_.count == 0 || answered_ < plan_.count) return std::nullopt;
    return output_.Flush() == OutputFile::Result::kFailed ? FailToWrite(output_) : kDone;
  }

  void Show(const RingMessage& probe, const v1::Datagram& datagram) {
    if (plan_.json) {
      absl::StrAppendFormat(output_.buffer(),
                            "{\"type\":\"probe\",\"ring\":%d,\"sequence\":%d,\"search\":\"%016x\",\"source\":\"%s\","
                            "\"source_port\":%d,\"interface\":",
                            probe.ring, probe.sequence, probe.nonce, client::FormatAddress(datagram.source_address()),
                            datagram.source_port());
      AppendJsonString(stream_.InterfaceOf(datagram), output_.buffer());
      absl::StrAppendFormat(output_.buffer(), ",\"hop_limit\":%d}\n", datagram.hop_limit());
      return;
    }
    absl::StrAppendFormat(output_.buffer(), "ring=%d %s ttl=%d search=%016x\n", probe.ring,
                          client::FormatEndpoint(datagram.source_address(), datagram.source_port()),
                          datagram.hop_limit(), probe.nonce);
  }

  const PongPlan& plan_;
  RingStream& stream_;
  const StopWatcher& stop_;
  OutputFile output_;
  const uint64_t responder_;
  AnswerBudget budget_;
  uint64_t answered_ = 0;
  uint64_t failed_ = 0;
  uint64_t refused_ = 0;
  uint64_t answers_ = 0;
  uint64_t foreign_ = 0;
};

int RunPong(const PongOptions& options, const GlobalOptions& global) {
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
  return Answerer(*plan, &stream, &stop).Run();
}

}  // namespace

void AddPong(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("pong", kPongDescription);
  command->footer(kPongFooter);
  auto options = std::make_shared<PongOptions>();
  command->add_option("channel", options->channel, "Where to answer: GROUP:PORT[%INTERFACE]")
      ->type_name("CHANNEL")
      ->required();
  command
      ->add_option("--ttl", options->ttl,
                   "Hop limit of the answers, at least 32; or site, region, continent, unrestricted")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--rate", options->rate, "Maximum answers a second, 1 to 10000")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--count", options->count, "End after N answers")->type_name("N");
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->add_flag("-q,--quiet", options->quiet, "On standard error, show only failures");
  command->callback([=] { *run = [=] { return RunPong(*options, *global); }; });
}

}  // namespace mcgw::cli
