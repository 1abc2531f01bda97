#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/table.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kSubscribersDescription[] =
    "List the open Subscribe streams: their accounts, and how far behind they are";

constexpr char kSubscribersFooter[] =
    R"(Columns, in datagrams over all channels of the stream: OFFERED since it began, WRITTEN to it, FILTERED by its
source filter, DROPPED by the kernel, LAGGED (skipped because it was too slow), EXPIRED (no longer in the log when it
began), WAITING (not written yet). BEHIND and AGE: bytes of log and age of the datagrams not yet taken, in the channel
where they are greatest. PINNED: log memory held by unread messages, in bytes. -o json prints all fields.

When the stream is quiet, OFFERED is the sum of WRITTEN to WAITING and of datagrams cut off in a write (JSON:
abandoned_datagrams).

Examples:
  mcgw subscribers
  mcgw subscribers -o json | jq '.[] | {peer, lag}'
)";

std::vector<std::string> Row(const v1::SubscriberInfo& subscriber) {
  const v1::SubscriberLedger& ledger = subscriber.ledger();
  const double age_s = static_cast<double>(subscriber.lag().age().seconds()) + subscriber.lag().age().nanos() / 1e9;
  return {absl::StrCat(subscriber.subscriber_id()),
          subscriber.identity(),
          subscriber.peer(),
          absl::StrCat(subscriber.channel_count()),
          absl::StrCat(ledger.offered_datagrams()),
          absl::StrCat(ledger.written_datagrams()),
          absl::StrCat(ledger.filtered_datagrams()),
          absl::StrCat(ledger.kernel_dropped_datagrams()),
          absl::StrCat(ledger.lagged_datagrams()),
          absl::StrCat(ledger.expired_datagrams()),
          absl::StrCat(ledger.in_flight_datagrams() + ledger.pending_datagrams()),
          absl::StrCat(subscriber.lag().bytes()),
          absl::StrFormat("%.3fs", age_s),
          absl::StrCat(subscriber.pinned_bytes())};
}

int RunSubscribers(const std::string& format, const GlobalOptions& global) {
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  const auto subscribers = (*client)->ListSubscribers();
  if (!subscribers.ok()) return Fail(subscribers.status());
  if (format == "json") {
    std::vector<const google::protobuf::Message*> messages;
    for (const v1::SubscriberInfo& subscriber : *subscribers) messages.push_back(&subscriber);
    return PrintJson(ToJsonArray(messages));
  }
  std::vector<std::vector<std::string>> rows = {{"ID", "IDENTITY", "PEER", "CHANNELS", "OFFERED", "WRITTEN", "FILTERED",
                                                 "DROPPED", "LAGGED", "EXPIRED", "WAITING", "BEHIND", "AGE", "PINNED"}};
  for (const v1::SubscriberInfo& subscriber : *subscribers) rows.push_back(Row(subscriber));
  return Print(FormatTable(rows));
}

}  // namespace

void AddSubscribers(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("subscribers", kSubscribersDescription);
  command->footer(kSubscribersFooter);
  auto format = std::make_shared<std::string>("text");
  command->add_option("-o,--output", *format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunSubscribers(*format, *global); }; });
}

}  // namespace mcgw::cli
