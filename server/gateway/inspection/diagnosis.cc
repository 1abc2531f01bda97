#include "server/gateway/inspection/diagnosis.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

// Sort key of an answer.
int Gravity(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return 0;
    case Severity::kWarning:
      return 1;
    case Severity::kUnknown:
      return 2;
    case Severity::kInfo:
      return 3;
    case Severity::kOk:
      break;
  }
  return 4;
}

class Judgement {
 public:
  explicit Judgement(std::vector<Finding> before) : findings_(std::move(before)) {}

  void OfHost(std::optional<Finding> finding) { Add(std::move(finding), "", 0); }
  void OfInterface(std::optional<Finding> finding, const InterfaceFacts& facts) {
    Add(std::move(finding), facts.interface.name, 0);
  }
  void OfChannel(std::optional<Finding> finding, const ChannelFacts& channel) {
    Add(std::move(finding), channel.interface_name,
        channel.snapshot.has_value() ? channel.snapshot->status.channel_id : 0);
  }

  std::vector<Finding> Take() {
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& a, const Finding& b) { return Gravity(a.severity) < Gravity(b.severity); });
    if (findings_.size() > kMostFindings) findings_.erase(findings_.begin() + kMostFindings, findings_.end());
    return std::move(findings_);
  }

 private:
  void Add(std::optional<Finding> finding, const std::string& interface_name, uint64_t channel_id) {
    if (!finding.has_value()) return;
    finding->interface_name = interface_name;
    finding->channel_id = channel_id;
    findings_.push_back(*std::move(finding));
  }

  std::vector<Finding> findings_;
};

void JudgeInterface(const InterfaceFacts& facts, const HostFacts& host, Judgement* judgement) {
  judgement->OfInterface(CheckExists(facts), facts);
  if (!facts.exists) return;
  using Check = std::optional<Finding>(const InterfaceFacts&);
  constexpr Check* kChecks[] = {CheckPermitted, CheckVrf,      CheckEnslaved,      CheckUp,
                                CheckCarrier,   CheckLoopback, CheckMulticastFlag, CheckDevice};
  for (Check* const check : kChecks) judgement->OfInterface(check(facts), facts);
  judgement->OfInterface(CheckMtu(facts, host), facts);
  for (const net::Family family : {net::Family::kIpv4, net::Family::kIpv6}) {
    if (!facts.families[static_cast<int>(family)].concerned) continue;
    judgement->OfInterface(CheckAddress(facts, host, family), facts);
    judgement->OfInterface(CheckRoute(facts, family), facts);
    judgement->OfInterface(CheckProtocol(facts, family), facts);
    judgement->OfInterface(CheckQuerier(facts, host, family), facts);
    judgement->OfInterface(CheckInvalidQueries(facts, host, family), facts);
    judgement->OfInterface(CheckBridge(facts, family), facts);
  }
  judgement->OfInterface(CheckSends(facts, host), facts);
}

void JudgeChannel(const ChannelFacts& channel, const DiagnosisFacts& facts, Judgement* judgement) {
  using Check = std::optional<Finding>(const ChannelFacts&);
  constexpr Check* kChecks[] = {CheckScope,    CheckSourceRequired, CheckWanted, CheckSourceWanted,
                                CheckInKernel, CheckPort,           CheckDrops,  CheckHopLimit};
  for (Check* const check : kChecks) judgement->OfChannel(check(channel), channel);
  judgement->OfChannel(CheckFilter(channel, facts.host), channel);
  judgement->OfChannel(CheckBuffer(channel, facts.host), channel);
  judgement->OfChannel(CheckLastDatagram(channel, facts.host), channel);
  for (const InterfaceFacts& interface : facts.interfaces) {
    if (interface.exists && interface.interface.name == channel.interface_name) {
      judgement->OfChannel(CheckReversePath(channel, interface), channel);
    }
  }
}

}  // namespace

std::vector<Finding> Judge(const DiagnosisFacts& facts, std::vector<Finding> found_before) {
  Judgement judgement(std::move(found_before));
  for (const InterfaceFacts& interface : facts.interfaces) JudgeInterface(interface, facts.host, &judgement);
  for (const ChannelFacts& channel : facts.channels) JudgeChannel(channel, facts, &judgement);
  using Check = std::optional<Finding>(const HostFacts&);
  constexpr Check* kChecks[] = {CheckDescriptors,      CheckChannelLimit, CheckKernelLimits, CheckBufferLimit,
                                CheckReversePathDrops, CheckReassembly,   CheckChecksums};
  for (Check* const check : kChecks) judgement.OfHost(check(facts.host));
  return judgement.Take();
}

std::string ShellWord(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@%/=+,";
  if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) return std::string(word);
  return net::StrCat("'", absl::StrReplaceAll(net::ToAbsl(word), {{"'", "'\\''"}}), "'");
}

std::string Ago(int64_t then_ns, int64_t now_ns) {
  const int64_t seconds = std::max<int64_t>(now_ns - then_ns, 0) / 1'000'000'000;
  if (seconds < 120) return absl::StrCat(seconds, " s ago");
  if (seconds < 2 * 3600) return absl::StrCat(seconds / 60, " min ago");
  return absl::StrCat(seconds / 3600, " h ago");
}

size_t GrantedBufferBytes(const ChannelSnapshot& snapshot) { return snapshot.socket.receive_buffer_bytes / 2; }

std::string Describe(const ChannelFacts& channel) {
  return net::StrCat(channel.port == 0 ? channel.group.ToString() : net::ToString(channel.group, channel.port), " on ",
                     channel.interface_name);
}

}  // namespace mcgw::gateway
