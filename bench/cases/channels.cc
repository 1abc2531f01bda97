// Many channels: joining and leaving them, having them, and having a cursor in each for many subscribers.

#include <time.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/caller.h"
#include "bench/context.h"
#include "bench/join_calls.h"
#include "bench/metrics.h"
#include "bench/stamp.h"
#include "bench/statistics.h"

namespace mcgw::bench {
namespace {

constexpr double kNsPerSecond = 1e9;

Group GroupOf(int index, int family, const std::string& interface) {
  const std::string address = family == 6 ? absl::StrFormat("ff15::77:%x", index + 1)
                                          : absl::StrFormat("239.80.%d.%d", index >> 8, index & 255);
  return {.address = address, .port = 7000, .interface = interface};
}

std::vector<Group> Groups(int count, int family, const std::string& interface) {
  std::vector<Group> groups;
  for (int i = 0; i < count; ++i) groups.push_back(GroupOf(i, family, interface));
  return groups;
}

// What the kernel alone takes for a socket that joins and is closed: in this process.
absl::StatusOr<Outcome> JoinDirectly(const std::string& interface, double seconds) {
  const auto cpu_ns = [] {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
  };
  std::vector<uint32_t> latencies_ns;
  const int64_t begin_ns = NowNs(), begin_cpu_ns = cpu_ns();
  const int64_t end_ns = begin_ns + static_cast<int64_t>(seconds * kNsPerSecond);
  int64_t now_ns = begin_ns;
  while (now_ns < end_ns) {
    const auto group = GroupOf(static_cast<int>(latencies_ns.size() % kGroupsInTurn), 4, interface);
    if (const auto joined = OpenReceiver(group); !joined.ok()) return joined.status();
    const int64_t done_ns = NowNs();
    latencies_ns.push_back(static_cast<uint32_t>(done_ns - now_ns));
    now_ns = done_ns;
  }
  Outcome outcome;
  const auto calls = static_cast<double>(latencies_ns.size());
  outcome.round.Set(kCpuPerCall, static_cast<double>(cpu_ns() - begin_cpu_ns) / 1e3 / calls);
  outcome.round.Set(kCallRate, calls * kNsPerSecond / static_cast<double>(now_ns - begin_ns));
  outcome.round.Set(kP50, Quantile(&latencies_ns, 0.5) / 1e3);
  outcome.round.Set(kP99, Quantile(&latencies_ns, 0.99) / 1e3);
  return outcome;
}

absl::StatusOr<Outcome> MeasureChannels(Context* context, const Subject& subject, int channels, int family) {
  const int64_t begin_ns = NowNs();
  auto loop = OpenReaders(subject, 1, {.groups = Groups(channels, family, subject.group().interface)});
  if (!loop.ok()) return loop.status();
  const auto set_up_ns = static_cast<double>(NowNs() - begin_ns);
  auto feed = MakeMulticastFeed({GroupOf(0, family, subject.group().interface)});
  if (!feed.ok()) return feed.status();
  auto outcome = RunTrial(subject, loop->get(), feed->get(),
                          {.payload_bytes = 200,
                           .subscribers = 1,
                           .datagrams_per_second = 20'000,
                           .seconds = context->Pick(0.5, 2.0),
                           .per_datagram = true},
                          context->cores());
  if (outcome.ok()) outcome->round.Set(kSetUp, set_up_ns / 1e6);
  return outcome;
}

absl::StatusOr<Outcome> MeasureCursors(Context* context, int subscribers, int channels) {
  auto subject = Subject::Start(kGateway, context->programs(), context->cores().server, {});
  if (!subject.ok()) return subject.status();
  const Subscription request = {.groups = Groups(channels, 4, (*subject)->group().interface)};
  auto first = OpenReaders(**subject, 1, request);
  if (!first.ok()) return first.status();
  const BackgroundReaders keeping(*std::move(first));
  const int64_t before = (*subject)->server()->resident_bytes(), begin_ns = NowNs();
  auto others = OpenReaders(**subject, subscribers - 1, request);
  if (!others.ok()) return others.status();
  const auto set_up_ns = static_cast<double>(NowNs() - begin_ns);
  const auto grown = static_cast<double>((*subject)->server()->resident_bytes() - before);
  auto feed = MakeMulticastFeed({request.groups.front()});
  if (!feed.ok()) return feed.status();
  auto outcome = RunTrial(**subject, others->get(), feed->get(),
                          {.payload_bytes = 200,
                           .subscribers = subscribers - 1,
                           .datagrams_per_second = 1000,
                           .seconds = 1,
                           .per_datagram = true},
                          context->cores());
  if (!outcome.ok()) return outcome;
  outcome->round.Set(kSetUp, set_up_ns / 1e6);
  outcome->round.Set(kBytesPerCursor, grown / (static_cast<double>(subscribers - 1) * channels));
  return outcome;
}

}  // namespace

void RunJoinsCase(Context* context) {
  const auto subjects = context->Start({kDirect, kGateway}, {});
  const double seconds = context->Pick(0.3, 1.0);
  for (const int in_flight : {1, 16}) {
    std::vector<Contestant> contestants;
    for (const auto& subject : subjects) {
      const std::string interface = subject->group().interface;
      if (subject->server() == nullptr) {
        contestants.push_back({subject->name(), [interface, seconds] { return JoinDirectly(interface, seconds); }});
        continue;
      }
      contestants.push_back(
          {subject->name(), [context, in_flight, interface, seconds, subject = subject.get()] {
             JoinsAndLeaves calls([interface](int number) { return GroupOf(number, 4, interface); });
             const CallLoad load = {
                 .in_flight = in_flight,
                 .seconds = seconds,
                 .next = [&calls](size_t place, const std::string* answer) { return calls.Next(place, answer); },
                 .calls_in_one = 2};
             return RunCalls(subject->server(), subject->target(), load, context->cores());
           }});
    }
    context->Measure({.case_name = kJoinsCase,
                      .title = absl::StrCat("a Join and its Leave, ", in_flight, " in flight"),
                      .parameters = {{kInFlight, in_flight}},
                      .series = {}},
                     contestants);
  }
}

void RunChannelsCase(Context* context) {
  const auto subjects = context->Start({kGateway}, {.gateway_flags = {"--keep-after-leave", "0s"}});
  if (subjects.empty()) return;
  const Subject* subject = subjects.front().get();
  for (const int family : context->Pick<std::vector<int>>({4}, {4, 6})) {
    std::vector<Cell> cells;
    std::vector<Contestant> contestants;
    for (const int channels : context->Pick<std::vector<int>>({1, 1000}, {1, 10, 100, 1000, 10'000})) {
      cells.push_back({.case_name = kChannelsCase,
                       .title = absl::StrCat(channels, " channels joined, 1 of them active with 20000/s, IPv", family),
                       .parameters = {{kChannels, channels}, {kActive, 1}, {kFamily, family}},
                       .series = {}});
      contestants.push_back({subject->name(), [context, channels, family, subject] {
                               return MeasureChannels(context, *subject, channels, family);
                             }});
    }
    context->MeasureInTurn(std::move(cells), contestants, context->options().rounds);
  }
}

void RunCursorsCase(Context* context) {
  if (!context->Wanted(kGateway)) return;
  const int subscribers = context->Pick(10, 100), channels = context->Pick(1000, 10'000);
  context->Measure(
      {.case_name = kCursorsCase,
       .title = absl::StrCat(subscribers, " subscribers x ", channels, " channels, 1 of them active with 1000/s"),
       .parameters = {{kSubscribers, subscribers}, {kChannels, channels}, {kActive, 1}},
       .series = {}},
      {{kGateway, [&] { return MeasureCursors(context, subscribers, channels); }}}, 1);
}

}  // namespace mcgw::bench
