#include "server/gateway/interfaces/interface_log.h"

#include <algorithm>

#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using fanout::LostCause;

std::string_view CauseText(LostCause cause) {
  switch (cause) {
    case LostCause::kDown:
      return "it is down";
    case LostCause::kNoCarrier:
      return "it has no carrier";
    case LostCause::kDeleted:
      return "it was deleted or moved away";
    case LostCause::kMembershipLost:
      return "the kernel dropped its memberships";
    case LostCause::kEnslaved:
      return "it is a port of another device, which takes what it receives";
  }
  return "";
}

}  // namespace

std::string Describe(const fanout::Event& event, size_t channels) {
  if (const auto* lost = std::get_if<fanout::InterfaceLost>(&event)) {
    return net::StrCat("interface ", lost->interface_name, " is lost: ", CauseText(lost->cause),
                       "; channels: ", channels);
  }
  if (const auto* restored = std::get_if<fanout::InterfaceRestored>(&event)) {
    return net::StrCat("interface ", restored->interface_name, " is back; channels: ", channels);
  }
  if (const auto* renamed = std::get_if<fanout::InterfaceRenamed>(&event)) {
    return net::StrCat("interface ", renamed->old_name, " is now called ", renamed->new_name, "; channels: ", channels);
  }
  return "";
}

std::vector<std::string> InterfaceLog::Lines(const InterfaceNotice& notice, int64_t now_ns) {
  std::vector<std::string> lines = Due(now_ns);
  if (began_ns_ == 0) began_ns_ = now_ns;
  Account& account = accounts_[notice.interface_name];
  for (const fanout::Event& event : notice.events) {
    if (account.lines < kLinesPerInterval && lines_ < kMostLines) {
      ++account.lines;
      ++lines_;
      lines.push_back(Describe(event, notice.channel_ids.size()));
    } else {
      ++account.held_back;
    }
  }
  return lines;
}

std::vector<std::string> InterfaceLog::Due(int64_t now_ns) {
  std::vector<std::string> lines;
  if (began_ns_ == 0 || now_ns - began_ns_ < kIntervalNs) return lines;
  uint64_t others = 0;
  for (const auto& [name, account] : accounts_) {
    if (account.held_back == 0) continue;
    if (lines.size() < static_cast<size_t>(kLinesPerInterval)) {
      lines.push_back(
          net::StrCat("interface ", name, " keeps changing: ", account.held_back, " more changes in the last minute"));
    } else {
      others += account.held_back;
    }
  }
  if (others > 0) lines.push_back(net::StrCat("other interfaces: ", others, " more changes in the last minute"));
  accounts_.clear();
  lines_ = 0;
  began_ns_ = 0;
  return lines;
}

}  // namespace mcgw::gateway
