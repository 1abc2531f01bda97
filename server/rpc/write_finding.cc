#include "server/rpc/write_finding.h"

namespace mcgw::rpc {
namespace {

using gateway::FindingCode;
using gateway::Severity;

v1::FindingCode ToFindingCode(FindingCode code) {
  switch (code) {
    case FindingCode::kInterfaceExists:
      return v1::FINDING_CODE_INTERFACE_EXISTS;
    case FindingCode::kInterfaceUp:
      return v1::FINDING_CODE_INTERFACE_UP;
    case FindingCode::kCarrier:
      return v1::FINDING_CODE_CARRIER;
    case FindingCode::kMulticastFlag:
      return v1::FINDING_CODE_MULTICAST_FLAG;
    case FindingCode::kAddress:
      return v1::FINDING_CODE_ADDRESS;
    case FindingCode::kInterfacePermitted:
      return v1::FINDING_CODE_INTERFACE_PERMITTED;
    case FindingCode::kMembershipWished:
      return v1::FINDING_CODE_MEMBERSHIP_WISHED;
    case FindingCode::kMembershipInKernel:
      return v1::FINDING_CODE_MEMBERSHIP_IN_KERNEL;
    case FindingCode::kMembershipProtocol:
      return v1::FINDING_CODE_MEMBERSHIP_PROTOCOL;
    case FindingCode::kQuerier:
      return v1::FINDING_CODE_QUERIER;
    case FindingCode::kBridgeSnooping:
      return v1::FINDING_CODE_BRIDGE_SNOOPING;
    case FindingCode::kReversePath:
      return v1::FINDING_CODE_REVERSE_PATH;
    case FindingCode::kRoute:
      return v1::FINDING_CODE_ROUTE;
    case FindingCode::kSendBlocked:
      return v1::FINDING_CODE_SEND_BLOCKED;
    case FindingCode::kReceiveBuffer:
      return v1::FINDING_CODE_RECEIVE_BUFFER;
    case FindingCode::kKernelDrops:
      return v1::FINDING_CODE_KERNEL_DROPS;
    case FindingCode::kLimits:
      return v1::FINDING_CODE_LIMITS;
    case FindingCode::kLoopback:
      return v1::FINDING_CODE_LOOPBACK;
    case FindingCode::kSourceRequired:
      return v1::FINDING_CODE_SOURCE_REQUIRED;
    case FindingCode::kGroupScope:
      return v1::FINDING_CODE_GROUP_SCOPE;
    case FindingCode::kHopLimit:
      return v1::FINDING_CODE_HOP_LIMIT;
    case FindingCode::kLastDatagram:
      return v1::FINDING_CODE_LAST_DATAGRAM;
    case FindingCode::kPortSharing:
      return v1::FINDING_CODE_PORT_SHARING;
    case FindingCode::kMtu:
      return v1::FINDING_CODE_MTU;
    case FindingCode::kInvalidQuery:
      return v1::FINDING_CODE_INVALID_QUERY;
    case FindingCode::kReassembly:
      return v1::FINDING_CODE_REASSEMBLY;
    case FindingCode::kDeviceDrops:
      return v1::FINDING_CODE_DEVICE_DROPS;
    case FindingCode::kChecksums:
      return v1::FINDING_CODE_CHECKSUMS;
  }
  return v1::FINDING_CODE_UNSPECIFIED;
}

v1::FindingSeverity ToSeverity(Severity severity) {
  switch (severity) {
    case Severity::kOk:
      return v1::FINDING_SEVERITY_OK;
    case Severity::kInfo:
      return v1::FINDING_SEVERITY_INFO;
    case Severity::kWarning:
      return v1::FINDING_SEVERITY_WARNING;
    case Severity::kError:
      return v1::FINDING_SEVERITY_ERROR;
    case Severity::kUnknown:
      return v1::FINDING_SEVERITY_UNKNOWN;
  }
  return v1::FINDING_SEVERITY_UNSPECIFIED;
}

}  // namespace

void WriteFinding(const gateway::Finding& finding, v1::Finding* message) {
  message->set_code(ToFindingCode(finding.code));
  message->set_severity(ToSeverity(finding.severity));
  message->set_interface_name(finding.interface_name);
  message->set_channel_id(finding.channel_id);
  message->set_seen(finding.seen);
  message->set_why(finding.why);
  message->set_remedy_command(finding.remedy_command);
  message->set_remedy(finding.remedy);
}

}  // namespace mcgw::rpc
