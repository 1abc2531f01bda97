// The methods of InspectionService that show interfaces, channels and groups; inspect_accounts.cc has the others.

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "server/gateway/rules/group_description.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/page.h"
#include "server/rpc/read_request.h"
#include "server/rpc/write_finding.h"
#include "server/rpc/write_group.h"
#include "server/rpc/write_response.h"

namespace mcgw::rpc {
namespace {

using net::Error;
using net::Reason;

// The interface names that a filter selects: all interfaces with the address, or the name itself if none exists. Empty
// without a filter.
std::set<std::string> NamesOf(const net::InterfaceTable& table, const std::string& filter) {
  std::set<std::string> names;
  for (const net::Interface* interface : table.FindBySelector(filter)) names.insert(interface->name);
  if (names.empty() && !filter.empty()) names.insert(filter);
  return names;
}

}  // namespace

absl::Status ListInterfaces(gateway::Gateway* gateway, const v1::ListInterfacesRequest& request,
                            v1::ListInterfacesResponse* response) {
  absl::StatusOr<Page> page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  const absl::StatusOr<std::vector<gateway::InterfaceSnapshot>> interfaces = gateway->inspector().ListInterfaces();
  if (!interfaces.ok()) return interfaces.status();
  const std::shared_ptr<const net::InterfaceTable> table = gateway->directory().table();
  const std::set<std::string> only = NamesOf(*table, request.interface());
  if (!only.empty() && table->FindBySelector(request.interface()).empty()) {
    // An interface that is gone but still requested is listed too.
    const bool listed = std::any_of(interfaces->begin(), interfaces->end(), [&](const auto& snapshot) {
      return snapshot.interface.name == request.interface();
    });
    if (!listed) {
      return Error(Reason::kInterfaceNotFound, "interface",
                   net::StrCat("the gateway's host has no interface ", net::Shortened(request.interface())));
    }
  }
  response->set_ipv4_source_port(gateway->sender().source_port(net::Family::kIpv4));
  response->set_ipv6_source_port(gateway->sender().source_port(net::Family::kIpv6));
  uint64_t last = 0;
  for (const gateway::InterfaceSnapshot& snapshot : *interfaces) {
    if (snapshot.order <= page->after || (!only.empty() && !only.contains(snapshot.interface.name))) continue;
    if (page->IsFull(response->interfaces())) {
      response->set_next_page_token(std::to_string(last));
      break;
    }
    last = snapshot.order;
    WriteInterface(snapshot, *table, response->add_interfaces());
    page->Count(*response->interfaces().rbegin());
  }
  return absl::OkStatus();
}

absl::Status ListChannels(gateway::Gateway* gateway, const v1::ListChannelsRequest& request,
                          v1::ListChannelsResponse* response) {
  absl::StatusOr<Page> page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  gateway::ChannelQuery query{.after_id = page->after, .most = size_t{page->size} + 1};
  query.interfaces = NamesOf(*gateway->directory().table(), request.interface());
  if (!request.group().empty()) {
    const absl::StatusOr<net::IpAddress> parsed = ReadAddress(request.group(), "group");
    if (!parsed.ok()) return parsed.status();
    if (!parsed->IsMulticast()) {
      return Error(Reason::kNotAMulticastGroup, "group",
                   net::StrCat(parsed->ToString(), " is not a multicast group (224.0.0.0/4, ff00::/8)"));
    }
    query.group = *parsed;
  }
  if (request.port() > 65535) return ReadPort(request.port(), "port").status();
  query.port = static_cast<uint16_t>(request.port());
  const absl::StatusOr<std::vector<gateway::ChannelSnapshot>> channels = gateway->inspector().ListChannels(query);
  if (!channels.ok()) return channels.status();
  for (const gateway::ChannelSnapshot& snapshot : *channels) {
    if (page->IsFull(response->channels())) {
      const auto& last = response->channels(response->channels_size() - 1);
      response->set_next_page_token(std::to_string(last.state().channel().channel_id()));
      break;
    }
    WriteChannelInfo(snapshot, response->add_channels());
    page->Count(*response->channels().rbegin());
  }
  return absl::OkStatus();
}

absl::Status DescribeGroup(const v1::DescribeGroupRequest& request, v1::DescribeGroupResponse* response) {
  const absl::StatusOr<net::IpAddress> group = ReadAddress(request.group(), "group");
  if (!group.ok()) return group.status();
  std::optional<uint8_t> hop_limit;
  if (request.has_hop_limit()) {
    if (request.hop_limit() > 255) {
      return Error(Reason::kInvalidHopLimit, "hop_limit", net::StrCat("hop limit ", request.hop_limit(), ": 0 to 255"));
    }
    hop_limit = static_cast<uint8_t>(request.hop_limit());
  }
  const absl::StatusOr<gateway::GroupDescription> description = gateway::DescribeGroup(*group, hop_limit);
  if (!description.ok()) return description.status();
  WriteGroup(*description, response);
  return absl::OkStatus();
}

absl::Status Diagnose(gateway::Gateway* gateway, const v1::DiagnoseRequest& request, v1::DiagnoseResponse* response) {
  const absl::StatusOr<gateway::DiagnosisRequest> asked = ReadDiagnose(request);
  if (!asked.ok()) return asked.status();
  const absl::StatusOr<std::vector<gateway::Finding>> findings = gateway->inspector().Diagnose(*asked);
  if (!findings.ok()) return findings.status();
  for (const gateway::Finding& finding : *findings) WriteFinding(finding, response->add_findings());
  return absl::OkStatus();
}

}  // namespace mcgw::rpc
