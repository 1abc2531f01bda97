// What control calls, the sweep and an interface's loss cost beside nothing else, and beside many channels and
// subscribers: a call should cost what it changes, and not what exists.

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/caller.h"
#include "bench/context.h"
#include "bench/join_calls.h"
#include "bench/metrics.h"
#include "bench/stamp.h"
#include "multicast/gateway/v1/inspection_service.pb.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kSendPath[] = "/multicast.gateway.v1.MulticastGatewayService/Send";
constexpr char kInspection[] = "/multicast.gateway.v1.InspectionService/";
constexpr size_t kPayload = 200;
constexpr char kOther[] = "c0";  // An interface that no channel is on.
constexpr useconds_t kFlapUs = 5'000'000;
constexpr useconds_t kSecondUs = 1'000'000;

// What exists beside the calls: so many channels, each held by several streams, and one more that all streams hold.
struct Crowd {
  int channels = 0;
  int subscribers = 0;
  int channels_of_one = 0;  // That each stream holds.
};

Group ChannelOf(int number, const std::string& interface) {
  return {.address = absl::StrFormat("239.82.%d.%d", number >> 8, number & 255), .port = 7000, .interface = interface};
}

std::vector<Subscription> WishesOf(const Crowd& crowd, const Group& common) {
  std::vector<Subscription> requests(static_cast<size_t>(crowd.subscribers));
  int next = 0;
  for (Subscription& request : requests) {
    request.groups.push_back(common);
    for (int i = 0; i < crowd.channels_of_one; ++i) {
      request.groups.push_back(ChannelOf(next++ % crowd.channels, common.interface));
    }
  }
  return requests;
}

// A server with its crowd.
struct Place {
  Crowd crowd;
  std::unique_ptr<Subject> subject;
  std::unique_ptr<BackgroundReaders> readers;
};

absl::StatusOr<Place> MakePlace(Context* context, const Crowd& crowd) {
  auto subject = Subject::Start(kGateway, context->programs(), context->cores().server,
                                {.gateway_flags = {"--max-connections", "2000", "--interface", kOther}});
  if (!subject.ok()) return subject.status();
  Place place = {.crowd = crowd, .subject = *std::move(subject), .readers = nullptr};
  auto readers = OpenReaders(*place.subject, WishesOf(crowd, place.subject->group()));
  if (!readers.ok()) return readers.status();
  place.readers = std::make_unique<BackgroundReaders>(*std::move(readers));
  return place;
}

template <typename Request>
Call Inspect(const char* method, const Request& request) {
  return {.path = absl::StrCat(kInspection, method), .request = request.SerializeAsString()};
}

Call Send(const std::string& interface) {
  v1::SendRequest request;
  request.mutable_destination()->set_interface(interface);
  request.mutable_destination()->set_group("239.83.0.1");
  request.mutable_destination()->set_port(7000);
  request.set_payload(std::string(kPayload, '\xa5'));
  return {.path = kSendPath, .request = request.SerializeAsString()};
}

Call Ledger(uint64_t channel_id, uint64_t subscriber_id) {
  v1::GetLedgerRequest request;
  if (channel_id != 0) request.set_channel_id(channel_id);
  if (subscriber_id != 0) request.set_subscriber_id(subscriber_id);
  return Inspect("GetLedger", request);
}

void Keep(Context* context, const Place& place, const std::string& title,
          const std::function<absl::StatusOr<Outcome>()>& measure) {
  context->Measure(
      {.case_name = kControlCase,
       .title = absl::StrCat(title, ", ", place.crowd.channels, " channels, ", place.crowd.subscribers, " subscribers"),
       .parameters = {{kChannels, place.crowd.channels}, {kSubscribers, place.crowd.subscribers}},
       .series = {}},
      {{kGateway, measure}});
}

void MeasureCall(Context* context, const Place& place, const std::string& title, CallLoad load) {
  load.seconds = context->Pick(0.3, 1.0);
  Keep(context, place, title, [context, &place, &load] {
    return RunCalls(place.subject->server(), place.subject->target(), load, context->cores());
  });
}

void MeasureJoins(Context* context, const Place& place, const std::string& title, const std::string& selector,
                  bool shared) {
  JoinsAndLeaves calls([&place, selector, shared](int number) {
    // One that all streams hold, or one that nothing else holds.
    return shared ? Group{place.subject->group().address, place.subject->group().port, selector}
                  : Group{absl::StrCat("239.84.0.", number), 7000, selector};
  });
  const auto next = [&calls](size_t at, const std::string* answer) { return calls.Next(at, answer); };
  MeasureCall(context, place, absl::StrCat(title, ": Join"), {.next = next, .counted = kJoinPath});
  MeasureCall(context, place, absl::StrCat(title, ": Leave"), {.next = next, .counted = kLeavePath});
}

void MeasureOne(Context* context, const Place& place, const std::string& title, const Call& call) {
  MeasureCall(context, place, title, {.next = [call](size_t, const std::string*) { return call; }});
}

absl::StatusOr<Outcome> MeasureQuiet(const Process& server, int seconds) {
  const auto cpu_us = [&server](const char* thread) { return static_cast<double>(server.thread_cpu_ns(thread)) / 1e3; };
  const double receive_us = cpu_us("mcgw-shard"), control_us = cpu_us("mcgw-control");
  for (int i = 0; i < seconds; ++i) usleep(kSecondUs);
  Outcome outcome;
  outcome.round.Set(kReceiveThread, (cpu_us("mcgw-shard") - receive_us) / seconds);
  outcome.round.Set(kControlThread, (cpu_us("mcgw-control") - control_us) / seconds);
  return outcome;
}

// The CPU time that one loss of an interface and its return takes, on all threads.
absl::StatusOr<Outcome> MeasureFlap(const Process& server, const std::string& commands) {
  const int64_t before_ns = server.usage().cpu_ns;
  usleep(kFlapUs);
  const int64_t quiet_ns = server.usage().cpu_ns - before_ns;
  if (std::system(commands.c_str()) != 0) return absl::InternalError(absl::StrCat("this failed: ", commands));
  usleep(kFlapUs);
  const int64_t busy_ns = server.usage().cpu_ns - before_ns - quiet_ns;
  Outcome outcome;
  outcome.round.Set(kCpuPerFlap, static_cast<double>(busy_ns - quiet_ns) / 1e6);
  return outcome;
}

void MeasureAll(Context* context, const Place& place) {
  const std::string& interface = place.subject->group().interface;
  MeasureJoins(context, place, "by name", interface, false);
  MeasureJoins(context, place, "by *", "*", false);
  if (place.crowd.subscribers > 0) MeasureJoins(context, place, "of a group that all hold", interface, true);
  MeasureOne(context, place, "Send", Send(interface));
  MeasureOne(context, place, "Send by *", Send("*"));
  MeasureOne(context, place, "a page of ListSubscribers", Inspect("ListSubscribers", v1::ListSubscribersRequest()));
  MeasureOne(context, place, "a page of ListChannels", Inspect("ListChannels", v1::ListChannelsRequest()));
  MeasureOne(context, place, "GetLedger", Ledger(0, 0));
  if (place.crowd.subscribers > 0) {
    MeasureOne(context, place, "GetLedger of a channel", Ledger(2, 0));
    MeasureOne(context, place, "GetLedger of a subscriber", Ledger(0, 1));
  }
  const Process& server = *place.subject->server();
  Keep(context, place, "nothing happens", [&] { return MeasureQuiet(server, context->Pick(2, 5)); });
  Keep(context, place, "an interface without channels goes and comes", [&] {
    return MeasureFlap(server, absl::StrFormat("ip link set %s down && ip link set %s up", kOther, kOther));
  });
  Keep(context, place, "the interface of all channels goes and comes", [&] {
    // The kernel takes its IPv6 addresses away meanwhile.
    return MeasureFlap(server, absl::StrFormat("ip link set %s down && ip link set %s up && "
                                               "ip address replace fd77::1/64 dev %s nodad",
                                               interface, interface, interface));
  });
}

}  // namespace

void RunControlCase(Context* context) {
  if (!context->Wanted(kGateway)) return;
  const std::string make = absl::StrFormat(
      "ip link add %s type veth peer name c1 && ip link set c1 up && ip address add 10.78.0.1/24 dev %s && "
      "ip link set %s up",
      kOther, kOther, kOther);
  if (std::system(make.c_str()) != 0) return context->Note(absl::StrCat("control is left out: this failed: ", make));
  const Crowd many = context->Pick<Crowd>({1000, 100, 100}, {10'000, 1000, 100});
  for (const Crowd& crowd : {Crowd(), many}) {
    const auto place = MakePlace(context, crowd);
    if (place.ok()) {
      MeasureAll(context, *place);
    } else {
      context->Note(absl::StrCat("control with ", crowd.channels, " channels is left out: ", place.status().message()));
    }
  }
  if (std::system(absl::StrCat("ip link delete ", kOther).c_str()) != 0) context->Note("c0 could not be deleted");
}

}  // namespace mcgw::bench
