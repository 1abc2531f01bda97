#include "tests/simulation/world.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <tuple>

#include "server/net/random.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "tests/support/settle.h"

namespace mcgw::simulation {

using fanout::SourceFilter;
using gateway::MembershipKey;
using gateway::MembershipRequest;
using gateway::SubscribeRequest;
using net::IpAddress;
using net::StrCat;
using testing::Ip;

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr size_t kSocketHolds = 100;  // Datagrams; the kernel drops what comes beyond.
constexpr size_t kMostClients = 8;
constexpr size_t kMostSessions = 5;
constexpr uint32_t kBridge = 5;  // The index of an interface that others become ports of.

const std::vector<std::pair<std::string, uint16_t>> kGroups = {
    {"239.1.1.1", 5000}, {"239.1.1.2", 5000}, {"239.1.1.1", 5001}, {"232.1.1.1", 5000},
    {"239.7.0.1", 6000}, {"ff15::1", 5000},   {"ff15::2", 5000},   {"ff35::1", 5000},
};
const std::vector<std::string_view> kSources4 = {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.9.9.9"};
const std::vector<std::string_view> kSources6 = {"fd00::2", "fd00::3", "fd00::4", "fd99::9"};

const std::vector<std::string_view>& SourcesOf(const IpAddress& group) {
  return group.family() == net::Family::kIpv4 ? kSources4 : kSources6;
}

bool IsSourceSpecific(std::string_view group) { return group == "232.1.1.1" || group == "ff35::1"; }

// Without its payloads, whose order differs from process to process.
std::string Text(const absl::Status& status) {
  return status.ok() ? "done"
                     : StrCat(net::ToStd(absl::StatusCodeToString(status.code())), ": ", net::ToStd(status.message()));
}

bool Passes(const testing::FakeReceiver::Filter& filter, const IpAddress& source) {
  const bool listed = std::find(filter.sources.begin(), filter.sources.end(), source) != filter.sources.end();
  return listed == (filter.mode == net::FilterMode::kInclude);
}

}  // namespace

World::World(uint64_t seed, std::ostream* trace) : seed_(seed), trace_(trace), dice_(seed) {
  time_ = {.monotonic_ns = 1'000 * kSecondNs, .unix_ns = 1'700'000'000 * kSecondNs};
  net::simulated_time = &time_;
  net::SimulateRandom(seed);
  host_.watched = dice_.Percent(50);
  host_.memberships = [kernel = kernel_] { return kernel->Users(); };
  host_.interfaces.push_back(testing::FakeInterface(4, "b0", {"10.0.2.1/24", "fe80::4/64"}));
  host_.interfaces.back().alternative_names = {"uplink"};
  host_.interfaces.push_back(testing::FakeInterface(kBridge, "br0", {"10.0.3.1/24", "fe80::5/64"}));
  host_.interfaces.back().kind = "bridge";
  options_ = MakeOptions();
  gateway_ =
      gateway::Gateway::Create(options_, std::make_unique<testing::FakeSocketFactory>(kernel_), host_.Source()).value();
}

World::~World() {
  clients_.clear();
  gateway_.reset();
  net::simulated_time = nullptr;
}

gateway::Options World::MakeOptions() {
  gateway::Options options;
  options.shards = std::vector<int>{1, 2, 4}[dice_.Below(3)];
  options.session_lease = absl::Seconds(dice_.Between(5, 60));
  options.keep_after_leave = absl::Seconds(dice_.Between(0, 30));
  options.narrow_after = absl::Seconds(dice_.Between(0, 30));
  options.channel_log_bytes = size_t{1} << dice_.Between(15, 20);
  options.total_log_bytes = options.channel_log_bytes * dice_.Below(12) + (1 << 20);
  if (dice_.Percent(30)) options.channel_log_age = absl::Milliseconds(dice_.Between(100, 20'000));
  options.subscriber_lag_limit_bytes = size_t{1} << dice_.Between(12, 20);
  if (dice_.Percent(25)) options.channel_descriptors = static_cast<size_t>(dice_.Between(2, 8));
  if (dice_.Percent(20)) options.limits.channels = static_cast<size_t>(dice_.Between(3, 10));
  if (dice_.Percent(20)) options.limits.memberships_per_holder = static_cast<size_t>(dice_.Between(2, 4));
  if (dice_.Percent(20)) options.limits.sessions = 3;
  if (dice_.Percent(20)) options.limits.subscribers = 4;
  return options;
}

void World::Say(const std::string& what) {
  for (const char c : what) hash_ = (hash_ ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  if (trace_ != nullptr)
    *trace_ << steps_ << " " << absl::FormatDuration(absl::Nanoseconds(time_.monotonic_ns)) << " " << what << "\n";
}

// Requests may be refused, but never for no reason of their own.
void World::Note(const std::string& what, const absl::Status& status) {
  Say(StrCat(what, ": ", Text(status)));
  const bool unexplained = net::ReasonOf(status) == net::Reason::kUnspecified && fault_steps_ == 0;
  if (!status.ok() && unexplained) throw Broken(StrCat(what, " fails for no reason: ", status.ToString()));
  if (net::ReasonOf(status) == net::Reason::kSessionNotFound) ForgetSessions();
  if (net::ReasonOf(status) == net::Reason::kInvalidResumePoint) {
    throw Broken(StrCat(what, ": ", status.ToString()));
  }
}

void World::ForgetSessions() {
  std::erase_if(sessions_, [&](const ClientSession& each) {
    return net::ReasonOf(gateway_->Leave(caller_, each.id, uint64_t{0}).status()) == net::Reason::kSessionNotFound;
  });
}

// ---- Requests ----

std::string World::MakeSelector() {
  const std::vector<std::string> selectors = {"a0",       "a1",      "b0", "uplink", "a0", "10.0.0.1",
                                              "10.0.1.1", "fd01::1", "*",  "*",      ""};
  return selectors[dice_.Below(selectors.size())];
}

SourceFilter World::MakeFilter(const IpAddress& group) {
  const bool must = IsSourceSpecific(group.ToString());
  if (!must && dice_.Percent(50)) return SourceFilter::AnySource();
  std::vector<IpAddress> sources;
  for (const std::string_view source : SourcesOf(group)) {
    if (dice_.Percent(40)) sources.push_back(Ip(source));
  }
  if (sources.empty()) sources.push_back(Ip(SourcesOf(group)[dice_.Below(4)]));
  if (must || dice_.Percent(50)) return SourceFilter::Include(std::move(sources));
  return SourceFilter::Exclude(std::move(sources));
}

MembershipRequest World::MakeRequest() {
  const auto& [group, port] = kGroups[dice_.Below(kGroups.size())];
  return {.selector = MakeSelector(),
          .group = Ip(group),
          .port = port,
          .filter = MakeFilter(Ip(group)),
          .wait_for_interface = dice_.Percent(30)};
}

// ---- Steps ----

void World::Step(uint64_t number) {
  dice_ = Dice::OfStep(seed_, number);
  steps_ = number;
  witness_.SetStep(number);
  if (fault_steps_ > 0 && --fault_steps_ == 0) {
    kernel_->set_refusal(nullptr);
    kernel_->set_max_sockets(1'000'000);
    Say("the kernel is well again");
  }
  struct Choice {
    uint64_t weight;
    void (World::*step)();
  };
  constexpr Choice kChoices[] = {
      {10, &World::PassTime},
      {16, &World::RunShards},
      {22, &World::Send},
      {7, &World::Subscribe},
      {3, &World::Resume},
      {18, &World::Read},
      {2, &World::Die},
      {5, &World::Join},
      {4, &World::Leave},
      {1, &World::EndSession},
      {4, &World::ChangeInterface},
      {5, &World::Follow},
      {1, &World::Fault},
      {1, &World::LoseMemberships},
      {2, &World::SendByGateway},
      {2, &World::PublishByGateway},
      {2, &World::Inspect},
  };
  uint64_t total = 0;
  for (const Choice& choice : kChoices) total += choice.weight;
  uint64_t at = dice_.Below(total);
  for (const Choice& choice : kChoices) {
    if (at < choice.weight) {
      (this->*choice.step)();
      break;
    }
    at -= choice.weight;
  }
  CheckAlways();
}

void World::PassTime() {
  const int64_t most = dice_.Percent(70) ? 5'000'000 : dice_.Percent(90) ? 2 * kSecondNs : 40 * kSecondNs;
  const int64_t passed = dice_.Between(1, most);
  time_.monotonic_ns += passed;
  time_.unix_ns += passed;
  if (dice_.Percent(60)) gateway_->Sweep(net::MonotonicNs());
  Say("time passes");
}

void World::RunShards() {
  int ran = 0;
  for (size_t shard = 0; shard < gateway_->shards(); ++shard) {
    if (dice_.Percent(70)) ran += gateway_->loop(shard)->RunOnce(absl::ZeroDuration());
  }
  Say(StrCat("shards run: ", ran));
}

void World::Settle() { testing::Settle(gateway_.get()); }

void World::Send() {
  auto [group_text, port] = kGroups[dice_.Below(kGroups.size())];
  uint32_t index = dice_.Of(host_.interfaces).index;
  // Mostly to somebody.
  if (const auto joined = kernel_->Memberships(); !joined.empty() && dice_.Percent(85)) {
    std::tie(index, group_text, port) =
        std::next(joined.begin(), static_cast<ptrdiff_t>(dice_.Below(joined.size())))->first;
  }
  const IpAddress group = Ip(group_text);
  const auto found = std::find_if(host_.interfaces.begin(), host_.interfaces.end(),
                                  [&](const net::Interface& each) { return each.index == index; });
  if (found == host_.interfaces.end()) return Say("a sender's interface is gone");
  const net::Interface& interface = *found;
  const int count = static_cast<int>(dice_.Percent(70) ? dice_.Between(1, 8) : dice_.Between(1, 150));
  const size_t size = static_cast<size_t>(dice_.Percent(80) ? dice_.Between(0, 300) : dice_.Between(0, 9000));
  std::vector<std::string> sources;
  // A network that loses, doubles and disorders.
  const uint64_t bad = dice_.Percent(30) ? 5 : 0;
  for (int i = 0; i < count; ++i) {
    if (dice_.Percent(bad)) continue;
    sources.emplace_back(SourcesOf(group)[dice_.Below(4)]);
    if (dice_.Percent(bad)) sources.push_back(sources.back());
    if (dice_.Percent(bad)) std::swap(sources.front(), sources.back());
  }
  int taken = 0;
  int dropped = 0;
  for (const std::string& source : sources) {
    const Fate fate = Arrive(
        {.interface_index = interface.index, .group = group_text, .port = port, .source = source, .size_bytes = size});
    taken += fate == Fate::kTaken ? 1 : 0;
    dropped += fate == Fate::kDropped ? 1 : 0;
  }
  Say(StrCat(count, " to ", group_text, ":", port, " on ", interface.name, ": ", taken, " taken, ", dropped,
             " dropped"));
}

World::Fate World::Arrive(const Arrival& arrival) {
  const auto interface = std::find_if(host_.interfaces.begin(), host_.interfaces.end(),
                                      [&](const auto& each) { return each.index == arrival.interface_index; });
  if (interface == host_.interfaces.end() || !interface->up || !interface->carrier) return Fate::kUnwanted;
  const IpAddress group = Ip(arrival.group);
  for (const std::shared_ptr<testing::FakeReceiver>& receiver : kernel_->receivers()) {
    const net::ReceiveSocketSpec& spec = receiver->spec;
    if (receiver->closed() || spec.interface_index != arrival.interface_index || spec.port != arrival.port) continue;
    const auto filters = receiver->filters();
    const auto filter = filters.find(group);
    if (filter == filters.end() || !Passes(filter->second, Ip(arrival.source))) continue;
    if (!spec.group.IsUnspecified() && dice_.Percent(1)) {
      receiver->Inject({.payload = "for another group", .source = arrival.source, .foreign = true, .group = ""});
    }
    const std::string channel = StrCat(arrival.interface_index, "/", arrival.group, ":", arrival.port);
    const Label label{.channel = channel, .number = ++arrived_[channel], .step = steps_, .own = arrival.own};
    if (receiver->queued() >= kSocketHolds) {
      receiver->Drop(1);
      return Fate::kDropped;
    }
    std::string payload = label.Text();
    payload.resize(std::max(payload.size(), arrival.size_bytes), '.');
    ++sent_;
    receiver->Inject({.payload = std::move(payload),
                      .source = arrival.source,
                      .source_port = arrival.source_port,
                      .receive_time_unix_ns = time_.unix_ns,
                      .group = spec.group.IsUnspecified() ? arrival.group : ""});
    return Fate::kTaken;
  }
  return Fate::kUnwanted;
}

void World::Open(SubscribeRequest request) {
  absl::StatusOr<std::unique_ptr<gateway::Subscription>> stream = gateway_->Subscribe(caller_, request, doorbell_);
  Note(StrCat("subscribe to ", request.memberships.size(), " memberships, start ", static_cast<int>(request.start)),
       stream.status());
  if (!stream.ok()) return;
  for (const MembershipRequest& each : request.memberships) {
    Say(StrCat("  wants ", each.group.ToString(), ":", each.port, "%", each.selector, " ", each.filter.ToString()));
  }
  for (const gateway::ResumePoint& point : request.resume) {
    Say(StrCat("  resumes ", point.group.ToString(), ":", point.port, " on ", point.interface_name, " at ",
               point.next_sequence));
  }
  for (const fanout::ChannelStatus& channel : (*stream)->channels()) {
    Say(StrCat("  channel ", channel.channel_id, ": ", channel.group.ToString(), ":", channel.port, " on ",
               channel.interface_name, ", phase ", static_cast<int>(channel.phase), ", next ", channel.next_sequence));
  }
  auto reader = std::make_unique<Reader>(*std::move(stream), request, &witness_);
  clients_.push_back({.reader = std::move(reader), .request = std::move(request)});
}

void World::Subscribe() {
  if (clients_.size() >= kMostClients) return;
  SubscribeRequest request;
  std::map<std::pair<IpAddress, uint16_t>, SourceFilter> filters;
  const int64_t count = dice_.Between(1, 4);
  for (int64_t i = 0; i < count; ++i) {
    MembershipRequest each = MakeRequest();
    each.filter = filters.try_emplace({each.group, each.port}, each.filter).first->second;
    request.memberships.push_back(std::move(each));
  }
  if (!sessions_.empty() && dice_.Percent(30)) {
    request.session_id = dice_.Of(sessions_).id;
    if (dice_.Percent(50)) request.memberships.clear();
  }
  if (dice_.Percent(30)) request.start = gateway::Start::kOldest;
  if (dice_.Percent(10)) {
    request.start = gateway::Start::kTime;
    request.start_unix_ns = time_.unix_ns - dice_.Between(0, 20 * kSecondNs);
  }
  request.exclude_own = dice_.Percent(20);
  if (request.session_id.empty() && dice_.Percent(40)) request.retain_ns = dice_.Between(1, 30) * kSecondNs;
  request.options.lag_limit_bytes = size_t{1} << dice_.Between(12, 20);
  if (dice_.Percent(20)) request.options.lag_limit_age_ns = dice_.Between(10'000'000, 5 * kSecondNs);
  request.options.lag_policy = static_cast<fanout::LagPolicy>(dice_.Below(3));
  request.options.max_message_bytes = size_t{1} << dice_.Between(10, 17);
  request.options.ledger_interval_ns = dice_.Percent(50) ? 0 : dice_.Between(1, 10) * kSecondNs;
  Open(std::move(request));
}

void World::Resume() {
  if (dead_.empty() || clients_.size() >= kMostClients) return;
  const size_t at = dice_.Below(dead_.size());
  SubscribeRequest request = std::move(dead_[at]);
  dead_.erase(dead_.begin() + static_cast<ptrdiff_t>(at));
  Open(std::move(request));
}

void World::Read() {
  if (clients_.empty()) return;
  const size_t at = dice_.Below(clients_.size());
  Reader& reader = *clients_[at].reader;
  const int64_t most = dice_.Between(1, 12);
  int read = 0;
  reader.Written();
  while (read < most && reader.Take()) {
    ++read;
    if (read < most || dice_.Percent(50)) reader.Written();
  }
  Say(StrCat("stream ", reader.stream().id(), " reads ", read, " messages, all together ", witness_.datagrams(),
             " datagrams", reader.ended().has_value() ? StrCat(", ended: ", Text(*reader.ended())) : ""));
  if (reader.ended().has_value()) Bury(at);
}

void World::Bury(size_t at) {
  Client client = std::move(clients_[at]);
  clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(at));
  if (client.request.session_id.empty()) {
    client.request.start = gateway::Start::kResume;
    client.request.resume = client.reader->ResumePoints();
    dead_.push_back(std::move(client.request));
    if (dead_.size() > 6) dead_.erase(dead_.begin());
  }
  client.reader->Die();
}

void World::Die() {
  if (clients_.empty()) return;
  const size_t at = dice_.Below(clients_.size());
  Say(StrCat("stream ", clients_[at].reader->stream().id(), " dies"));
  Bury(at);
}

void World::Join() {
  const bool anew = sessions_.empty() || (sessions_.size() < kMostSessions && dice_.Percent(40));
  ClientSession* session = anew ? nullptr : &dice_.Of(sessions_);
  const MembershipRequest request = MakeRequest();
  const absl::StatusOr<gateway::JoinResult> joined =
      gateway_->Join(caller_, session == nullptr ? "" : session->id, request,
                     dice_.Percent(30) ? std::optional(absl::Seconds(dice_.Between(1, 30))) : std::nullopt);
  Note(StrCat("join ", request.group.ToString(), ":", request.port, "%", request.selector, " ",
              request.filter.ToString()),
       joined.status());
  if (!joined.ok()) return;
  if (session == nullptr) session = &sessions_.emplace_back(ClientSession{.id = joined->session_id, .memberships = {}});
  session->memberships.push_back({request.selector, request.group, request.port});
}

void World::Leave() {
  if (sessions_.empty()) return;
  ClientSession& session = dice_.Of(sessions_);
  if (session.memberships.empty()) return;
  const size_t at = dice_.Below(session.memberships.size());
  const MembershipKey key = session.memberships[at];
  std::erase(session.memberships, key);
  Note(StrCat("leave ", key.group.ToString(), ":", key.port, "%", key.selector),
       gateway_->Leave(caller_, session.id, key).status());
}

void World::EndSession() {
  if (sessions_.empty()) return;
  const size_t at = dice_.Below(sessions_.size());
  const std::string id = sessions_[at].id;
  sessions_.erase(sessions_.begin() + static_cast<ptrdiff_t>(at));
  Note("end a session", gateway_->Leave(caller_, id, gateway::WholeSession()).status());
}

void World::ChangeInterface() {
  constexpr uint64_t kRepaired = 99;
  net::InterfaceChanges changes{.any = true};
  const size_t at = 1 + dice_.Below(host_.interfaces.size() - 1);
  std::string what = "no interface";
  if (at < host_.interfaces.size()) {
    net::Interface& interface = host_.interfaces[at];
    what = interface.name;
    const bool broken = !interface.up || !interface.carrier || interface.master_index != 0;
    switch (broken && dice_.Percent(60) ? kRepaired : dice_.Below(7)) {
      case kRepaired:
        interface.up = interface.carrier = true;
        interface.master_index = 0;
        interface.port_kind.clear();
        what += " is well again";
        break;
      case 0:
      case 1:
        interface.up = !interface.up;
        interface.carrier = interface.up;
        if (!interface.up) changes.down.insert(interface.index);
        what += interface.up ? " goes up" : " goes down";
        break;
      case 2:
        interface.carrier = interface.up && !interface.carrier;
        ++interface.carrier_changes;
        what += interface.carrier ? " has a carrier" : " has no carrier";
        break;
      case 3:
        interface.name = interface.name.size() > 2 ? interface.name.substr(0, 2) : interface.name + "x";
        what += " is now " + interface.name;
        break;
      case 4:
        kernel_->LoseMemberships(interface.index);
        changes.deleted.insert(interface.index);
        gone_.push_back(interface);
        host_.interfaces.erase(host_.interfaces.begin() + static_cast<ptrdiff_t>(at));
        what += " is deleted";
        break;
      case 5:
        if (interface.addresses.size() > 1 && dice_.Percent(50)) {
          interface.addresses.erase(interface.addresses.begin());
          what += " loses an address";
        } else {
          interface.addresses.push_back({Ip(StrCat("10.77.0.", 1 + dice_.Below(250))), 24});
          what += " gets an address";
        }
        break;
      default:
        if (interface.index == kBridge) break;
        interface.port_kind = interface.port_kind.empty() ? "bridge" : "";
        interface.master_index = interface.port_kind.empty() ? 0 : kBridge;
        if (interface.master_index != 0) changes.enslaved.insert(interface.index);
        what += interface.master_index != 0 ? " becomes a port" : " is free again";
        break;
    }
  }
  if (!gone_.empty() && dice_.Percent(40)) {
    net::Interface interface = std::move(gone_.front());
    gone_.erase(gone_.begin());
    interface.index = next_index_++;
    const bool taken = std::any_of(host_.interfaces.begin(), host_.interfaces.end(),
                                   [&](const net::Interface& other) { return other.name == interface.name; });
    if (!taken) {
      what += ", " + interface.name + " comes";
      host_.interfaces.push_back(std::move(interface));
    }
  }
  host_.watch.Tell(changes);
  if (host_.watched) host_.Announce();
  Say(what);
}

void World::Follow() { Note("follow", gateway_->reconciler().Follow()); }

void World::Fault() {
  fault_steps_ = static_cast<int>(dice_.Between(2, 30));
  if (dice_.Percent(30)) {
    kernel_->set_max_sockets(static_cast<size_t>(dice_.Below(6)));
    Say("the kernel has few sockets left");
    return;
  }
  const uint64_t percent = dice_.Percent(30) ? 100 : dice_.Below(60);
  const int error = dice_.Percent(50) ? ENOBUFS : ENOMEM;
  kernel_->set_refusal([percent, error, faults = Dice(dice_.Roll())](
                           const testing::FakeKernel::Attempt& attempt) mutable -> absl::Status {
    if (attempt.call.starts_with("leave") || !faults.Percent(percent)) return absl::OkStatus();
    return net::ErrnoError(error, net::Reason::kHostLimit, "", attempt.call);
  });
  Say(StrCat("the kernel refuses ", percent, " % with ", error));
}

void World::LoseMemberships() {
  const net::Interface& interface = dice_.Of(host_.interfaces);
  kernel_->LoseMemberships(interface.index);
  Say(interface.name + " loses its memberships");
}

void World::SendByGateway() {
  const auto& [group, port] = kGroups[dice_.Below(kGroups.size())];
  const gateway::SendRequest request{
      .selector = MakeSelector(), .group = Ip(group), .port = port, .source = {}, .hop_limit = 1, .traffic_class = {}};
  const std::string session = !sessions_.empty() && dice_.Percent(50) ? dice_.Of(sessions_).id : "";
  Note("send", gateway_->Send(caller_, session, request, "payload").status());
  LoopBack();
}

void World::PublishByGateway() {
  std::vector<gateway::Burst> bursts(static_cast<size_t>(dice_.Between(1, 3)));
  uint32_t items = 0;
  for (gateway::Burst& burst : bursts) {
    const auto& [group, port] = kGroups[dice_.Below(kGroups.size())];
    burst.request = {.selector = MakeSelector(),
                     .group = Ip(group),
                     .port = port,
                     .source = {},
                     .hop_limit = static_cast<uint8_t>(dice_.Below(3)),
                     .traffic_class = {}};
    if (dice_.Percent(10)) burst.invalid = net::Error(net::Reason::kInvalidPort, "port", "port 0");
    burst.payloads.assign(static_cast<size_t>(dice_.Between(0, 40)), "payload");
    items += static_cast<uint32_t>(burst.payloads.size());
  }
  const std::string session = !sessions_.empty() && dice_.Percent(50) ? dice_.Of(sessions_).id : "";
  const absl::StatusOr<gateway::PublishResult> result = gateway_->Publish(caller_, session, bursts);
  Note(StrCat("publish ", items), result.status());
  if (!result.ok()) return;
  std::vector<bool> failed(items);
  for (const gateway::ItemFailure& failure : result->failures) {
    Note(StrCat("  ", failure.count, " from ", failure.first), failure.status);
    for (uint32_t i = failure.first; i < failure.first + failure.count; ++i) failed.at(i) = true;
  }
  const auto whole = static_cast<uint32_t>(std::count(failed.begin(), failed.end(), false));
  if (result->accepted > items || result->accepted < whole) {
    throw Broken(StrCat("of ", items, " published datagrams ", result->accepted, " were accepted, and ", whole,
                        " did not fail"));
  }
  LoopBack();
}

void World::LoopBack() {
  const std::vector<testing::FakeSent> sent = kernel_->sent();
  for (; looped_ < sent.size(); ++looped_) {
    const net::OutgoingDatagram& datagram = sent[looped_].datagram;
    std::string source = datagram.source.ToString();
    for (const net::Interface& interface : host_.interfaces) {
      if (interface.index != datagram.interface_index || !datagram.source.IsUnspecified()) continue;
      for (const auto& each : interface.addresses) {
        if (each.address.family() == datagram.group.family()) source = each.address.ToString();
      }
    }
    if (!sent[looped_].socket.loop || Ip(source).IsUnspecified()) continue;
    Arrive({.interface_index = datagram.interface_index,
            .group = datagram.group.ToString(),
            .port = datagram.port,
            .source = source,
            .source_port = sent[looped_].socket.source_port,
            .own = true});
  }
}

void World::Inspect() {
  const auto channels = gateway_->inspector().ListChannels();
  Note("list channels", channels.status());
  for (const gateway::SubscriberSnapshot& each : gateway_->inspector().ListSubscribers()) {
    if (each.total.Difference() != 0) throw Broken(StrCat("stream ", each.id, " is listed with a difference"));
  }
  if (const int64_t difference = gateway_->inspector().Account().subscribers.Difference(); difference != 0) {
    throw Broken(StrCat("all streams together, ended ones too, have a difference of ", difference));
  }
}

// ---- Promises ----

void World::CheckAlways() {
  for (const Client& client : clients_) client.reader->CheckLedger();
  for (const auto& [key, filter] : kernel_->Memberships()) {
    if (filter == "DUPLICATES") throw Broken(StrCat(std::get<1>(key), " is joined so that datagrams come twice"));
  }
}

void World::ReadAll() {
  bool more = true;
  while (more) {
    more = false;
    for (size_t at = 0; at < clients_.size();) {
      Reader& reader = *clients_[at].reader;
      reader.Written();
      while (reader.Take()) {
        more = true;
        reader.Written();
      }
      if (reader.ended().has_value()) {
        Bury(at);
      } else {
        ++at;
      }
    }
  }
}

void World::CheckAtRest() {
  const std::vector<gateway::ChannelSnapshot> channels = gateway_->inspector().ListChannels().value();
  const auto kernel = kernel_->Memberships();
  std::set<testing::FakeKernel::ChannelKey> explained;
  for (const gateway::ChannelSnapshot& channel : channels) {
    const std::string name = StrCat("channel ", channel.status.channel_id, " (", channel.status.group.ToString(), ":",
                                    channel.status.port, " on ", channel.status.interface_name, ")");
    if (channel.status.next_sequence - 1 != channel.account.logged + channel.account.kernel_drops) {
      throw Broken(StrCat(name, " has ", channel.status.next_sequence - 1, " numbers, ", channel.account.logged,
                          " datagrams and ", channel.account.kernel_drops, " drops"));
    }
    std::vector<SourceFilter> filters;
    for (const gateway::Holder& holder : channel.holders) filters.push_back(holder.filter);
    if (!filters.empty() && SourceFilter::Merge(filters) != channel.wanted) {
      throw Broken(
          StrCat(name, " is to let through ", channel.wanted.ToString(), ", which its holders do not ask for"));
    }
    if (filters.empty() && channel.joined) throw Broken(StrCat(name, " is joined, and nobody holds it"));
    const testing::FakeKernel::ChannelKey key{channel.status.interface_index, channel.status.group.ToString(),
                                              channel.status.port};
    if (channel.joined != kernel.contains(key)) {
      throw Broken(StrCat(name, channel.joined ? " is not in the kernel" : " is in the kernel, and nobody says so"));
    }
    explained.insert(key);
    const net::Interface* found = nullptr;
    for (const net::Interface& interface : host_.interfaces) {
      if (interface.index == channel.status.interface_index) found = &interface;
    }
    const bool refused = options_.channel_descriptors < 100 && absl::IsResourceExhausted(channel.status.error);
    if (!channel.holders.empty() && found != nullptr && !channel.joined && !refused) {
      throw Broken(StrCat(name, " is wanted and not joined: ", channel.status.error.ToString()));
    }
    for (const Client& client : clients_) client.reader->CheckComplete(channel.status);
  }
  for (const auto& [key, filter] : kernel) {
    if (!explained.contains(key)) throw Broken(StrCat(std::get<1>(key), " is joined, and no channel knows of it"));
  }
  for (const auto& receiver : kernel_->receivers()) {
    if (!receiver->closed() && receiver->queued() > 0) throw Broken("a socket has datagrams that nobody reads");
  }
}

void World::Finish() {
  Say("all faults end");
  fault_steps_ = 0;
  kernel_->set_refusal(nullptr);
  kernel_->set_max_sockets(1'000'000);
  for (net::Interface& interface : host_.interfaces) {
    interface.up = interface.carrier = true;
    interface.port_kind.clear();
    interface.master_index = 0;
  }
  host_.watch.Tell({.any = true});
  if (host_.watched) host_.Announce();
  // Refused joins are tried again within a minute.
  for (int second = 0; second < 70; ++second) {
    time_.monotonic_ns += kSecondNs;
    time_.unix_ns += kSecondNs;
    Settle();
    gateway_->Sweep(net::MonotonicNs());
    ReadAll();
  }
  Settle();
  ReadAll();
  CheckAlways();
  CheckAtRest();
  CheckSends();

  if (dice_.Percent(30)) Stop();
  Say("all clients leave");
  while (!clients_.empty()) Bury(0);
  gateway_->EndAllSessions();
  if (gateway_->session_count() + gateway_->subscription_count() > 0) throw Broken("sessions or streams are left");
  time_.monotonic_ns += 60 * kSecondNs;
  gateway_->Sweep(net::MonotonicNs());
  Settle();
  if (!kernel_->Memberships().empty()) throw Broken("groups are joined, and nobody wants them");
  if (!gateway_->inspector().ListChannels().value().empty()) throw Broken("channels are left, and nobody wants them");
  const std::shared_ptr<fanout::SlabPool> slabs = gateway_->slabs();
  gateway_.reset();
  for (const auto& receiver : kernel_->receivers()) {
    if (!receiver->closed()) throw Broken("a socket is open");
    if (receiver->calls().back() != "close") throw Broken("a closed socket is used");
  }
  if (!kernel_->send_sockets().empty()) throw Broken("a socket to send from is open");
  if (slabs->used_bytes() > 0) throw Broken(StrCat(slabs->used_bytes(), " bytes of logs are left"));
}

void World::CheckSends() const {
  const gateway::SendCounters& counters = gateway_->sender().counters();
  if (counters.requested != counters.sent + counters.failed || counters.sent != kernel_->sent().size()) {
    throw Broken(StrCat("of ", counters.requested.load(), " datagrams to send ", counters.sent.load(),
                        " count as sent and ", counters.failed.load(), " as failed; the kernel has taken ",
                        kernel_->sent().size()));
  }
}

void World::Stop() {
  Say("the gateway stops");
  gateway_->Drain(absl::Seconds(5));
  const auto refuses = [](const absl::Status& status, const char* what) {
    if (net::ReasonOf(status) == net::Reason::kDraining) return;
    throw Broken(StrCat(what, " is not refused by a gateway that stops: ", status.ToString()));
  };
  const MembershipRequest request{.selector = "a0", .group = Ip("239.9.9.9"), .port = 5000};
  refuses(gateway_->Join(caller_, "", request, std::nullopt).status(), "a Join");
  refuses(gateway_->Subscribe(caller_, {.memberships = {request}}, doorbell_).status(), "a Subscribe");
  refuses(gateway_->Send(caller_, "", {.selector = "a0", .group = request.group, .port = 5000}, "late").status(),
          "a Send");
  ReadAll();
  for (const Client& client : clients_) {
    if (!client.reader->draining()) throw Broken("a stream was not told that the gateway stops");
    client.reader->stream().subscriber().End(net::Error(net::Reason::kDraining, "", "the gateway stops"));
  }
  ReadAll();  // Which buries those that have ended.
  if (!clients_.empty()) throw Broken("a stream goes on after its end");
}

Tally World::tally() const {
  return {.steps = steps_,
          .datagrams_sent = sent_,
          .datagrams_read = witness_.datagrams(),
          .simulated_ns = time_.monotonic_ns - 1'000 * kSecondNs,
          .hash = hash_};
}

}  // namespace mcgw::simulation
