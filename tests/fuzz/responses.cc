// What a gateway sends on a stream, as the clients read it: messages one after the other, each of so many bytes as the
// two before it say; a message without bytes begins a new stream.

#include <string>

#include "client/cli/datagram_format.h"
#include "client/cli/event_text.h"
#include "client/cli/receive_account.h"
#include "google/protobuf/stubs/logging.h"
#include "mcgw/resuming_subscription.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(responses) {
  static const google::protobuf::LogSilencer silent;
  fuzz::Input messages(input);
  client::ResumePoints points;
  cli::ChannelTable channels;
  cli::ReceiveAccount account(/*filtered=*/false);
  cli::DatagramFormatter text(cli::OutputFormat::kText, &channels);
  cli::DatagramFormatter json(cli::OutputFormat::kJson, &channels);
  cli::DatagramFormatter hex(cli::OutputFormat::kHex, &channels);
  std::string out;
  while (!messages.empty()) {
    const std::string_view bytes = messages.Text();
    if (bytes.empty()) points.BeginStream();
    multicast::gateway::v1::SubscribeResponse response;
    if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) continue;
    points.Take(response);
    for (const auto& event : response.events()) {
      cli::UpdateChannels(event, &channels);
      account.Take(event);
      for (const cli::EventLine& line : cli::DescribeEvent(event, channels)) FUZZ_CHECK(!line.text.empty());
    }
    for (const auto& datagram : response.datagrams()) {
      account.Take(datagram);
      for (cli::DatagramFormatter* formatter : {&text, &json, &hex}) formatter->Append(datagram, &out);
    }
    const auto places = points.Get();
    for (const auto& point : places.points()) FUZZ_CHECK(point.epoch() != 0 && point.next_sequence() != 0);
  }
  account.Faults(channels);
  account.Summary(absl::Seconds(1), channels);
}

}  // namespace mcgw
