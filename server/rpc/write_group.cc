#include "server/rpc/write_group.h"

#include <string>

namespace mcgw::rpc {
namespace {

using gateway::GroupScope;
using gateway::GroupWarningCode;

v1::GroupScope ToScope(GroupScope scope) {
  switch (scope) {
    case GroupScope::kInterfaceLocal:
      return v1::GROUP_SCOPE_INTERFACE_LOCAL;
    case GroupScope::kLinkLocal:
      return v1::GROUP_SCOPE_LINK_LOCAL;
    case GroupScope::kRealmLocal:
      return v1::GROUP_SCOPE_REALM_LOCAL;
    case GroupScope::kAdminLocal:
      return v1::GROUP_SCOPE_ADMIN_LOCAL;
    case GroupScope::kSiteLocal:
      return v1::GROUP_SCOPE_SITE_LOCAL;
    case GroupScope::kOrganizationLocal:
      return v1::GROUP_SCOPE_ORGANIZATION_LOCAL;
    case GroupScope::kAdministered:
      return v1::GROUP_SCOPE_ADMINISTERED;
    case GroupScope::kGlobal:
      return v1::GROUP_SCOPE_GLOBAL;
    case GroupScope::kReserved:
      return v1::GROUP_SCOPE_RESERVED;
  }
  return v1::GROUP_SCOPE_UNSPECIFIED;
}

v1::GroupWarningCode ToWarningCode(GroupWarningCode code) {
  switch (code) {
    case GroupWarningCode::kHopLimitExceedsScope:
      return v1::GROUP_WARNING_CODE_HOP_LIMIT_EXCEEDS_SCOPE;
    case GroupWarningCode::kHopLimitBelowScope:
      return v1::GROUP_WARNING_CODE_HOP_LIMIT_BELOW_SCOPE;
    case GroupWarningCode::kReserved:
      return v1::GROUP_WARNING_CODE_RESERVED;
    case GroupWarningCode::kSourceRequired:
      return v1::GROUP_WARNING_CODE_SOURCE_REQUIRED;
    case GroupWarningCode::kFloodedMac:
      return v1::GROUP_WARNING_CODE_FLOODED_MAC;
    case GroupWarningCode::kInterfaceRequired:
      return v1::GROUP_WARNING_CODE_INTERFACE_REQUIRED;
  }
  return v1::GROUP_WARNING_CODE_UNSPECIFIED;
}

}  // namespace

void WriteGroup(const gateway::GroupDescription& description, v1::DescribeGroupResponse* message) {
  message->set_group(description.group.ToString());
  message->set_family(description.group.is_v4() ? v1::ADDRESS_FAMILY_IPV4 : v1::ADDRESS_FAMILY_IPV6);
  message->set_scope(ToScope(description.scope));
  message->set_scope_description(std::string(description.scope_description));
  v1::WellKnownName* const name = message->mutable_well_known_name();
  name->set_name(std::string(description.entry->name));
  name->set_description(std::string(description.entry->description));
  name->set_source(std::string(description.entry->source));
  name->set_range(description.range);
  v1::GroupMac* const mac = message->mutable_mac();
  mac->set_address(description.mac);
  for (const net::IpAddress& alias : description.mac_aliases) mac->add_aliases(alias.ToString());
  mac->set_rule(std::string(description.mac_rule));
  message->set_advised_hop_limit(description.advised_hop_limit);
  message->set_source_specific(description.source_specific);
  message->set_send_refused(description.send_refused);
  message->set_join_refused(description.join_refused);
  for (const gateway::GroupWarning& warning : description.warnings) {
    v1::GroupWarning* const out = message->add_warnings();
    out->set_code(ToWarningCode(warning.code));
    out->set_message(warning.message);
  }
}

}  // namespace mcgw::rpc
