// IP addresses, listen addresses, the rules of logs by prefix, and the addresses of gateways, from their text.

#include <optional>
#include <string>

#include "mcgw/gateway_address.h"
#include "server/app/listener_options.h"
#include "server/gateway/rules/log_rules.h"
#include "server/net/address.h"
#include "server/net/status.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(addresses) {
  using net::IpAddress;
  const auto address = IpAddress::Parse(input);
  const std::optional<IpAddress> same = IpAddress::ParseIfAny(input);
  FUZZ_CHECK(address.ok() == same.has_value());
  if (address.ok()) {
    FUZZ_CHECK(*address == *same);
    FUZZ_CHECK(IpAddress::Parse(address->ToString()).value() == *address);
    sockaddr_storage storage{};
    net::ToSockaddr(*address, 1, 0, &storage);
    FUZZ_CHECK(IpAddress::FromSockaddr(storage) == *address);
    FUZZ_CHECK((address->Ipv6Scope() >= 0) == (!address->is_v4() && address->IsMulticast()));
    FUZZ_CHECK(!address->IsSourceSpecific() || address->IsMulticast());
  } else {
    FUZZ_CHECK(net::ReasonOf(address.status()) == net::Reason::kInvalidAddress);
  }

  const std::string text(input);
  const auto listener = app::ListenerOptions::Parse(input);
  if (listener.ok()) {
    const std::string place = listener->address.Text();
    FUZZ_CHECK(app::ListenAddress::Parse(place).value().Text() == place);
    // The kernel would take what stands before it.
    FUZZ_CHECK(place.find('\0') == place.npos);
    FUZZ_CHECK(!listener->address.is_unix() || !listener->tls.has_value());
    FUZZ_CHECK(listener->IsGuarded() || !listener->address.IsLocal());
  }

  const auto rule = gateway::ParseLogRule(input);
  if (rule.ok()) {
    FUZZ_CHECK(rule->prefix.IsMulticast());
    FUZZ_CHECK(rule->Covers(rule->prefix));
    FUZZ_CHECK(rule->bytes.has_value() || rule->age.has_value());
    if (same.has_value()) rule->Covers(*same);
  }

  const auto target = client::GatewayTarget(text);
  if (target.ok())
    FUZZ_CHECK(target->starts_with("dns:///") || target->starts_with("ipv4:") || target->starts_with("ipv6:[") ||
               target->starts_with("unix:"));
}

}  // namespace mcgw
