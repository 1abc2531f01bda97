// A gateway on a fake host whose interfaces come and go.

#ifndef MCGW_TESTS_GATEWAY_INTERFACES_FIXTURE_H_
#define MCGW_TESTS_GATEWAY_INTERFACES_FIXTURE_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/text.h"
#include "tests/gateway/gateway_fixture.h"
#include "tests/support/event_story.h"

namespace mcgw::gateway {

class InterfacesTest : public GatewayTest {
 protected:
  // A device that is deleted takes its memberships with it.
  void Delete(std::string_view name) {
    kernel_->LoseMemberships(host_.Find(name).index);
    host_.Remove(name);
  }
  void Add(uint32_t index, const std::string& name, const std::vector<std::string_view>& addresses) {
    host_.interfaces.push_back(testing::FakeInterface(index, name, addresses));
  }
  void Follow(const net::InterfaceChanges& changes = {}) {
    host_.watch.Tell(changes);
    const absl::Status status = gateway_->reconciler().Follow();
    EXPECT_TRUE(status.ok()) << status;
    Settle();
  }
  // A datagram to the newest socket that has joined the group.
  void Receive(const std::string& payload, std::string_view group = "239.1.1.1") {
    std::shared_ptr<testing::FakeReceiver> open;
    for (const auto& receiver : kernel_->receivers()) {
      if (receiver->spec.group == testing::Ip(group) && receiver->joined() && !receiver->closed()) open = receiver;
    }
    ASSERT_NE(open, nullptr);
    open->Inject({.payload = payload});
    Settle();
  }

  // What a stream hears, in order: events as EventStory has them, and payloads.
  std::vector<std::string> Hear(Subscription* subscription) {
    Settle();
    std::vector<std::string> story;
    fanout::Message message;
    while (subscription->subscriber().Next(&message)) {
      for (const fanout::Event& event : message.events) {
        if (const std::string text = testing::EventStory(event); !text.empty()) story.push_back(text);
      }
      for (const fanout::DecodedRecord& record : fanout::DecodeRecords({message.data, message.size_bytes})) {
        story.push_back(record.payload);
      }
      subscription->subscriber().Written();
    }
    return story;
  }
  // "1 a0/2 joined": the channels with their ids, interfaces and phases.
  std::vector<std::string> Channels() const {
    std::vector<std::string> channels;
    const std::vector<ChannelSnapshot> snapshots = gateway_->inspector().ListChannels().value();
    for (const ChannelSnapshot& snapshot : snapshots) {
      const char* const phases[] = {"joined", "waiting", "refused", "left"};
      channels.push_back(net::StrCat(snapshot.status.channel_id, " ", snapshot.status.interface_name, "/",
                                     snapshot.status.interface_index, " ",
                                     phases[static_cast<int>(snapshot.status.phase)]));
    }
    return channels;
  }
  // The index of each interface on which a group is joined.
  std::vector<uint32_t> JoinedOn(std::string_view group = "239.1.1.1") const {
    std::vector<uint32_t> indexes;
    const net::KernelMemberships kernel = kernel_->Users();
    for (const auto& [key, users] : kernel.users) {
      if (key.second == testing::Ip(group)) indexes.push_back(key.first);
    }
    return indexes;
  }
};

}  // namespace mcgw::gateway

#endif  // MCGW_TESTS_GATEWAY_INTERFACES_FIXTURE_H_
