// Calls of Join and Leave, in turn.

#ifndef MCGW_BENCH_JOIN_CALLS_H_
#define MCGW_BENCH_JOIN_CALLS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/caller.h"
#include "bench/reader.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::bench {

inline constexpr char kJoinPath[] = "/multicast.gateway.v1.MulticastGatewayService/Join";
inline constexpr char kLeavePath[] = "/multicast.gateway.v1.MulticastGatewayService/Leave";
inline constexpr int kGroupsInTurn = 64;  // For each place in flight.

// A session with one membership, then the session's end, and so on.
class JoinsAndLeaves {
 public:
  // `group`: the group of a number.
  explicit JoinsAndLeaves(std::function<Group(int)> group) : group_(std::move(group)) {}

  Call Next(size_t place, const std::string* answer) {
    if (turns_.size() <= place) turns_.resize(place + 1);
    int& turn = turns_[place];
    multicast::gateway::v1::JoinResponse joined;
    if (turn++ % 2 == 1 && answer != nullptr && joined.ParseFromString(*answer)) {
      multicast::gateway::v1::LeaveRequest leave;
      leave.set_session_id(joined.session_id());
      leave.mutable_whole_session();
      return {.path = kLeavePath, .request = leave.SerializeAsString()};
    }
    const Group group = group_(static_cast<int>(place) * kGroupsInTurn + turn / 2 % kGroupsInTurn);
    multicast::gateway::v1::JoinRequest join;
    join.mutable_membership()->set_group(group.address);
    join.mutable_membership()->set_port(group.port);
    join.mutable_membership()->set_interface(group.interface);
    return {.path = kJoinPath, .request = join.SerializeAsString()};
  }

 private:
  const std::function<Group(int)> group_;
  std::vector<int> turns_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_JOIN_CALLS_H_
