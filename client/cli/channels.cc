#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/table.h"
#include "mcgw/channel_text.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kChannelsDescription[] =
    "List the gateway's channels: what clients requested, what the kernel has, what came";

constexpr char kChannelsFooter[] =
    R"(Columns: HOLDERS counts the memberships that include the channel. KERNEL shows whether the host's kernel has
joined it. SOURCES is the filter (+ only these, ! all but these; 20 sources, then how many more). DATAGRAMS and BYTES
count what was received, DROPPED what the kernel dropped because the gateway was too slow. -o json prints all fields.

Examples:
  mcgw channels
  mcgw channels -o json | jq '.[] | .state.channel.group'
)";

std::string Sources(const v1::ChannelWish& wish) {
  if (!wish.has_source_filter()) return "any";
  const bool include = wish.source_filter().mode() == v1::SOURCE_FILTER_MODE_INCLUDE;
  if (wish.source_filter().sources().empty()) return include ? "none" : "any";
  const uint32_t omitted = wish.source_filter().omitted_sources();
  return absl::StrCat(include ? "+" : "!", absl::StrJoin(wish.source_filter().sources(), ","),
                      omitted == 0 ? "" : absl::StrCat(",...", omitted, "-more"));
}

std::vector<std::string> Row(const v1::ChannelInfo& channel) {
  return {absl::StrCat(channel.state().channel().channel_id()),
          client::FormatChannel(channel.state().channel()),
          JoinStateText(channel.state().state()),
          absl::StrCat(channel.wish().holder_count()),
          channel.fact().joined() ? "joined" : "not-joined",
          Sources(channel.wish()),
          absl::StrCat(channel.ledger().logged_datagrams()),
          absl::StrCat(channel.ledger().logged_payload_bytes()),
          absl::StrCat(channel.ledger().kernel_dropped_datagrams()),
          channel.last_source_address()};
}

int RunChannels(const std::string& format, const GlobalOptions& global) {
  const auto client = Connect(global);
  if (!client.ok()) return Fail(client.status());
  const auto channels = (*client)->ListChannels();
  if (!channels.ok()) return Fail(channels.status());
  if (format == "json") {
    std::vector<const google::protobuf::Message*> messages;
    for (const v1::ChannelInfo& channel : *channels) messages.push_back(&channel);
    return PrintJson(ToJsonArray(messages));
  }
  std::vector<std::vector<std::string>> rows = {
      {"ID", "CHANNEL", "STATE", "HOLDERS", "KERNEL", "SOURCES", "DATAGRAMS", "BYTES", "DROPPED", "LAST-SOURCE"}};
  for (const v1::ChannelInfo& channel : *channels) rows.push_back(Row(channel));
  return Print(FormatTable(rows));
}

}  // namespace

void AddChannels(CLI::App* app, const GlobalOptions* global, Run* run) {
  CLI::App* command = app->add_subcommand("channels", kChannelsDescription);
  command->footer(kChannelsFooter);
  auto format = std::make_shared<std::string>("text");
  command->add_option("-o,--output", *format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->capture_default_str();
  command->callback([=] { *run = [=] { return RunChannels(*format, *global); }; });
}

}  // namespace mcgw::cli
