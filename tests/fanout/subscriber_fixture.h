// A subscriber, its doorbell, and logs that it reads.

#ifndef MCGW_TESTS_FANOUT_SUBSCRIBER_FIXTURE_H_
#define MCGW_TESTS_FANOUT_SUBSCRIBER_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "tests/fanout/log_reader.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {

class SubscriberTest : public ::testing::Test {
 protected:
  static Subscriber::Options DefaultOptions() { return {.ledger_interval_ns = 0}; }

  std::shared_ptr<ChannelLog> NewLog(uint64_t channel_id = 1, size_t budget_bytes = 4 << 20) {
    return std::make_shared<ChannelLog>(ChannelLog::Options{.channel_id = channel_id, .budget_bytes = budget_bytes},
                                        budget_);
  }
  std::unique_ptr<Subscriber> NewSubscriber(const Subscriber::Options& options = DefaultOptions()) {
    return std::make_unique<Subscriber>(options, pool_, doorbell_);
  }
  // Reads a log from its head on.
  static void Add(Subscriber* subscriber, const std::shared_ptr<ChannelLog>& log,
                  SourceFilter filter = SourceFilter::AnySource(), std::optional<Event> event = std::nullopt) {
    subscriber->AddChannel(log, std::move(filter), log->Head(), std::move(event));
  }
  static MembershipChanged Changed(ChangeCause cause, bool left = false) { return {.cause = cause, .left = left}; }

  static std::vector<DecodedRecord> Records(const Message& message) {
    return DecodeRecords({message.data, message.size_bytes});
  }
  // One message, written at once. Nothing if there is none.
  static std::optional<Message> Take(Subscriber* subscriber) {
    Message message;
    if (!subscriber->Next(&message)) return std::nullopt;
    subscriber->Written();
    return message;
  }
  // Takes messages until there is none, and tells of them in order: "1", "2" for the datagrams of a channel, "lost
  // 3-4", "lagged 5-9", "unknown", "changed", "left", "position 7", "ledger", "draining".
  static std::vector<std::string> TakeAll(Subscriber* subscriber, bool positions = false) {
    std::vector<std::string> story;
    while (std::optional<Message> message = Take(subscriber)) {
      for (const Event& event : message->events) {
        if (!positions && std::holds_alternative<Position>(event)) continue;
        story.push_back(Tell(event));
      }
      for (const DecodedRecord& record : Records(*message)) story.push_back(std::to_string(record.sequence));
    }
    return story;
  }
  static std::string Tell(const Event& event) {
    if (const Gap* gap = std::get_if<Gap>(&event)) {
      if (gap->count == 0) return "unknown";
      const std::string range =
          std::to_string(gap->first_sequence) + "-" + std::to_string(gap->first_sequence + gap->count - 1);
      return (gap->cause == GapCause::kLagged ? "lagged " : "lost ") + range;
    }
    if (const Position* position = std::get_if<Position>(&event)) {
      return "position " + std::to_string(position->next_sequence);
    }
    if (const MembershipChanged* changed = std::get_if<MembershipChanged>(&event)) {
      return changed->left ? "left" : "changed";
    }
    return std::holds_alternative<LedgerEntry>(event) ? "ledger" : "draining";
  }
  // What the ledger must add up to, whenever nothing happens.
  static void ExpectBalanced(const LedgerEntry& entry) {
    uint64_t sum = entry.written + entry.filtered + entry.in_flight + entry.pending + entry.abandoned;
    for (const uint64_t skipped : entry.skipped) sum += skipped;
    EXPECT_EQ(entry.offered, sum) << "channel " << entry.channel_id;
  }
  static void ExpectBalanced(const Subscriber& subscriber) {
    for (const LedgerEntry& entry : subscriber.Ledger()) ExpectBalanced(entry);
    ExpectBalanced(subscriber.Total());
  }
  static void Append(ChannelLog* log, const std::vector<std::string_view>& sources, size_t size = 10) {
    const std::string payload(size, 'x');
    for (const std::string_view source : sources) log->Append(TestDatagram(payload, source), 0);
    log->Commit();
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(64 << 20);
  const std::shared_ptr<SlabPool> pool_ = budget_->pool();
  const std::shared_ptr<CountingDoorbell> doorbell_ = std::make_shared<CountingDoorbell>();
  const std::shared_ptr<ChannelLog> log_ = NewLog();
};

}  // namespace mcgw::fanout

#endif  // MCGW_TESTS_FANOUT_SUBSCRIBER_FIXTURE_H_
