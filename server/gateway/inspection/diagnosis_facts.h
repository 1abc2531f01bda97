// Gathers the facts that the checks of a diagnosis judge.

#ifndef MCGW_GATEWAY_INSPECTION_DIAGNOSIS_FACTS_H_
#define MCGW_GATEWAY_INSPECTION_DIAGNOSIS_FACTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/gateway/inspection/host_view.h"

namespace mcgw::gateway {

// Checks that a request makes sense; the error names the field.
absl::Status CheckRequest(const DiagnosisRequest& request);

// For one diagnosis, on one thread. It reads state, looks up routes and may bind a port for a moment.
class FactGatherer {
 public:
  // All the gateway's channels, and the devices' counters now. `view` and `request` must outlive it.
  FactGatherer(const HostView* view, const DiagnosisRequest* request, std::vector<ChannelSnapshot> channels,
               std::map<uint32_t, net::DeviceCounters> devices);

  DiagnosisFacts Gather();
  // Findings made while gathering. Call it after Gather.
  std::vector<Finding> TakeFindings() { return std::move(findings_); }

 private:
  // The interfaces that the request is about: indices of existing ones, names of missing ones.
  struct Subject {
    std::vector<uint32_t> indices;
    std::vector<std::string> gone;
  };

  Subject FindSubject();
  // The interfaces of the channels that match.
  Subject OfChannels() const;
  Subject OfStar();
  HostFacts GatherHost() const;
  InterfaceFacts GatherInterface(const net::Interface& interface) const;
  std::vector<ChannelFacts> GatherChannels(const net::Interface& interface) const;

  const HostView& view_;
  const DiagnosisRequest& request_;
  const std::shared_ptr<const net::InterfaceTable> table_;
  const std::vector<ChannelSnapshot> channels_;
  const std::map<uint32_t, net::DeviceCounters> devices_;
  std::optional<net::KernelMemberships> kernel_;  // Nothing if /proc does not show it.
  std::vector<Finding> findings_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INSPECTION_DIAGNOSIS_FACTS_H_
