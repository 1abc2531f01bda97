// What a stream hears of interfaces and memberships, in words, for tests.

#ifndef MCGW_TESTS_SUPPORT_EVENT_STORY_H_
#define MCGW_TESTS_SUPPORT_EVENT_STORY_H_

#include <string>

#include "server/fanout/event.h"
#include "server/net/text.h"

namespace mcgw::testing {

// "lost a0 down", "back a0", "a0 is now b0", "gap interface", "gap other", "joined a0", "waiting a0", "refused a0",
// "left a0"; empty for other events.
inline std::string EventStory(const fanout::Event& event) {
  if (const auto* lost = std::get_if<fanout::InterfaceLost>(&event)) {
    const char* const causes[] = {"down", "no-carrier", "deleted", "membership", "enslaved"};
    return net::StrCat("lost ", lost->interface_name, " ", causes[static_cast<int>(lost->cause)]);
  }
  if (const auto* back = std::get_if<fanout::InterfaceRestored>(&event)) {
    return net::StrCat("back ", back->interface_name);
  }
  if (const auto* renamed = std::get_if<fanout::InterfaceRenamed>(&event)) {
    return net::StrCat(renamed->old_name, " is now ", renamed->new_name);
  }
  if (const auto* gap = std::get_if<fanout::Gap>(&event)) {
    return gap->cause == fanout::GapCause::kInterfaceLost ? "gap interface" : "gap other";
  }
  if (const auto* changed = std::get_if<fanout::MembershipChanged>(&event)) {
    const char* const phases[] = {"joined", "waiting", "refused", "left"};
    return net::StrCat(changed->left ? "left" : phases[static_cast<int>(changed->channel.phase)], " ",
                       changed->channel.interface_name);
  }
  return "";
}

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_EVENT_STORY_H_
