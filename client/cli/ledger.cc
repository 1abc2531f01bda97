#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/flags.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kLedgerDescription[] = "Show the gateway's accounts: what became of every datagram";

constexpr char kLedgerFooter[] = R"(Each number is counted where it happens. When traffic is quiet, they add up:

  channels     read = logged + mismatched
  subscribers  offered = written + filtered + dropped + lagged + expired + in flight + pending + abandoned

The text output shows the unaccounted difference, which is then 0. The gateway's sums include closed channels and
streams. -o json prints all fields, and with --channel or --subscriber also their sockets and streams.

Examples:
  mcgw ledger
  mcgw ledger --subscriber 7 -o json
)";

struct LedgerOptions {
  std::string format = "text";
  std::string channel;
  std::string subscriber;
};

std::string SubscriberLine(const std::string& name, const v1::SubscriberLedger& ledger) {
  const uint64_t sum = ledger.written_datagrams() + ledger.filtered_datagrams() + ledger.kernel_dropped_datagrams() +
                       ledger.lagged_datagrams() + ledger.expired_datagrams() + ledger.in_flight_datagrams() +
                       ledger.pending_datagrams() + ledger.abandoned_datagrams();
  return absl::StrCat(name, ": offered ", ledger.offered_datagrams(), ", written ", ledger.written_datagrams(),
                      ", filtered ", ledger.filtered_datagrams(), ", dropped ", ledger.kernel_dropped_datagrams(),
                      ", lagged ", ledger.lagged_datagrams(), ", expired ", ledger.expired_datagrams(), ", in flight ",
                      ledger.in_flight_datagrams(), ", pending ", ledger.pending_datagrams(), ", abandoned ",
                      ledger.abandoned_datagrams(), "; gaps ", ledger.range_gaps(), " exact, ", ledger.unknown_gaps(),
                      " unknown; difference ", static_cast<int64_t>(ledger.offered_datagrams() - sum), "\n");
}

std::string ChannelLine(const std::string& name, const v1::ChannelLedger& ledger) {
  const auto difference =
      static_cast<int64_t>(ledger.read_datagrams() - ledger.logged_datagrams() - ledger.mismatched_datagrams());
  return absl::StrCat(name, ": read ", ledger.read_datagrams(), ", logged ", ledger.logged_datagrams(), ", mismatched ",
                      ledger.mismatched_datagrams(), ", dropped by the kernel ", ledger.kernel_dropped_datagrams(),
                      ", evicted ", ledger.evicted_datagrams(), "; difference ", difference, "\n");
}

std::string Text(const v1::GetLedgerResponse& ledger) {
  const v1::GatewayLedger& gateway = ledger.gateway();
  std::string text = ChannelLine("all channels", gateway.channels());
  absl::StrAppend(&text, SubscriberLine("all subscribers", gateway.subscribers()));
  absl::StrAppend(&text, "sending: requested ", gateway.send_requested_datagrams(), ", sent ", gateway.sent_datagrams(),
                  ", failed ", gateway.send_failed_datagrams(), "\n");
  for (const v1::ChannelLedger& channel : ledger.channels()) {
    absl::StrAppend(&text, ChannelLine(absl::StrCat("channel ", channel.channel_id()), channel));
  }
  for (const v1::SubscriberLedger& subscriber : ledger.subscribers()) {
    const std::string name =
        absl::StrCat("subscriber ", subscriber.subscriber_id(), " in channel ", subscriber.channel_id());
    absl::StrAppend(&text, SubscriberLine(name, subscriber));
  }
  return text;
}

int RunLedger(const LedgerOptions& options, const GlobalOptions& global) {
  v1::GetLedgerRequest request;
  if (!options.channel.empty()) {
    const auto id = ParseNumber({.flag = "--channel", .field = "channel_id", .minimum = 1}, options.channel);
    if (!id.ok()) return Fail(id.status());
    request.set_channel_id(static_cast<uint64_t>(*id));
  }
  if (!options.subscriber.empty()) {
    const auto id = ParseNumber({.flag = "--subscriber", .field = "subscriber_id", .minimum = 1}, options.subscriber);
    if (!id.ok()) return Fail(id.status());
    request.set_subscriber_id(static_cast<uint64_t>(*id));
  }
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  const auto ledger = (*client)->GetLedger(std::move(request));
  if (!ledger.ok()) return Fail(ledger.status());
  return options.format == "json" ? PrintJson(ToJson(*ledger) + "\n") : Print(Text(*ledger));
}

}  // namespace

void AddLedger(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("ledger", kLedgerDescription);
  command->footer(kLedgerFooter);
  auto options = std::make_shared<LedgerOptions>();
  CLI::Option* channel =
      command->add_option("--channel", options->channel, "Also show the accounts of this channel, by its id");
  channel->type_name("ID");
  command->add_option("--subscriber", options->subscriber, "Also show the accounts of this stream, by its id")
      ->type_name("ID")
      ->excludes(channel);
  command->add_option("-o,--output", options->format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunLedger(*options, *global); }; });
}

}  // namespace mcgw::cli
