#include "server/fanout/event_size.h"

namespace mcgw::fanout {
namespace {

// All numbers, addresses and times of an event, with tags. A LedgerEntry has the most: 17 64-bit numbers.
constexpr size_t kPlainBytes = 256;

// An IPv6 address as text, with its tag.
constexpr size_t kSourceBytes = 48;

struct Texts {
  size_t operator()(const MembershipChanged& event) const {
    return event.channel.interface_name.size() + event.channel.error.message().size() +
           kSourceBytes * event.filter.sources().size();
  }
  size_t operator()(const InterfaceLost& event) const { return event.interface_name.size(); }
  size_t operator()(const InterfaceRestored& event) const { return event.interface_name.size(); }
  size_t operator()(const InterfaceRenamed& event) const { return event.old_name.size() + event.new_name.size(); }
  template <typename Other>
  size_t operator()(const Other&) const {
    return 0;
  }
};

}  // namespace

size_t MostBytesOf(const Event& event) { return kPlainBytes + std::visit(Texts(), event); }

}  // namespace mcgw::fanout
