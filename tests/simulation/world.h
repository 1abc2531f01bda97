// A gateway with its host, its network and its clients, in one thread and on a clock that only moves when a step says
// so. The gateway's floors are the real ones; the kernel, the interfaces and the clients are simulated. Each step is
// chosen by its own dice, so a run with some steps left out is a run too: that is how a failure is made small.
//
// A promise of the gateway that is not kept is thrown as Broken.

#ifndef MCGW_TESTS_SIMULATION_WORLD_H_
#define MCGW_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "server/gateway/gateway.h"
#include "server/net/clock.h"
#include "tests/simulation/dice.h"
#include "tests/simulation/reader.h"
#include "tests/support/fake_host.h"
#include "tests/support/fakes.h"

namespace mcgw::simulation {

// What happened in a run.
struct Tally {
  uint64_t steps = 0;
  uint64_t datagrams_sent = 0;  // To sockets of the gateway.
  uint64_t datagrams_read = 0;  // By streams, all together.
  int64_t simulated_ns = 0;
  uint64_t hash = 0;  // Of all that was done and seen: equal for equal runs.
};

class World {
 public:
  // `trace`: gets a line for each thing that happens; null: none.
  World(uint64_t seed, std::ostream* trace);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void Step(uint64_t number);
  // All faults end, the gateway comes to rest and is held to its promises; then all clients leave, and nothing may be
  // left of them.
  void Finish();
  Tally tally() const;

 private:
  using Group = std::pair<std::string, uint16_t>;
  struct Client {
    std::unique_ptr<Reader> reader;
    gateway::SubscribeRequest request;
  };
  struct ClientSession {
    std::string id;
    std::vector<gateway::MembershipKey> memberships;
  };

  gateway::Options MakeOptions();
  void Say(const std::string& what);
  void Note(const std::string& what, const absl::Status& status);
  // A datagram reaches an interface, and the sockets that want it.
  struct Arrival {
    uint32_t interface_index = 0;
    std::string group;
    uint16_t port = 0;
    std::string source;
    uint16_t source_port = 4000;
    size_t size_bytes = 0;
    bool own = false;
  };
  enum class Fate { kUnwanted, kTaken, kDropped };
  Fate Arrive(const Arrival& arrival);
  // What the gateway has sent since comes back to its own host.
  void LoopBack();
  // Those whose leases have expired.
  void ForgetSessions();
  gateway::MembershipRequest MakeRequest();
  std::string MakeSelector();
  fanout::SourceFilter MakeFilter(const net::IpAddress& group);

  // ---- Steps ----
  void PassTime();
  void RunShards();
  void Send();
  void Subscribe();
  void Resume();
  void Read();
  void Die();
  void Join();
  void Leave();
  void EndSession();
  void ChangeInterface();
  void Follow();
  void Fault();
  void LoseMemberships();
  void SendByGateway();
  void PublishByGateway();
  void Inspect();

  void Settle();
  void ReadAll();
  // The gateway stops in order, with its streams open.
  void Stop();
  void CheckSends() const;
  void Open(gateway::SubscribeRequest request);
  void Bury(size_t client);
  // After each step.
  void CheckAlways();
  // With all interfaces followed and all loops idle.
  void CheckAtRest();

  const uint64_t seed_;
  std::ostream* const trace_;
  Dice dice_;
  net::SimulatedTime time_;
  testing::FakeHost host_;
  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  gateway::Options options_;
  std::unique_ptr<gateway::Gateway> gateway_;
  const gateway::Caller caller_{"simulated", ""};
  const std::shared_ptr<fanout::CountingDoorbell> doorbell_ = std::make_shared<fanout::CountingDoorbell>();

  Witness witness_;
  std::vector<Client> clients_;
  std::vector<ClientSession> sessions_;
  std::vector<gateway::SubscribeRequest> dead_;  // Streams that could be resumed.
  std::map<std::string, uint64_t> arrived_;      // How many datagrams each channel's sockets took or had no room for.
  size_t looped_ = 0;                            // How many of those that the gateway sent have come back.
  std::vector<net::Interface> gone_;             // Deleted interfaces, which may return.
  uint32_t next_index_ = 10;
  int fault_steps_ = 0;  // For how many more steps the kernel refuses.
  uint64_t sent_ = 0;
  uint64_t steps_ = 0;
  uint64_t hash_ = 0;
};

}  // namespace mcgw::simulation

#endif  // MCGW_TESTS_SIMULATION_WORLD_H_
