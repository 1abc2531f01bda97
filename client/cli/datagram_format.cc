#include "client/cli/datagram_format.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/printable.h"
#include "mcgw/channel_text.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr size_t kPreviewBytes = 64;
constexpr size_t kHexBytesPerLine = 16;
constexpr int64_t kNsPerSecond = 1'000'000'000;

char Printable(char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)) ? c : '.'; }

}  // namespace

std::string Preview(absl::string_view payload, size_t most_bytes) {
  std::string text;
  for (const char c : payload.substr(0, most_bytes)) text += Printable(c);
  if (payload.size() > most_bytes) text += "...";
  return text;
}

void AppendHexdump(absl::string_view payload, std::string* out) {
  for (size_t offset = 0; offset < payload.size(); offset += kHexBytesPerLine) {
    const absl::string_view line = payload.substr(offset, kHexBytesPerLine);
    absl::StrAppendFormat(out, "%08x ", offset);
    for (size_t i = 0; i < kHexBytesPerLine; ++i) {
      if (i == kHexBytesPerLine / 2) *out += ' ';
      if (i < line.size()) {
        absl::StrAppendFormat(out, " %02x", static_cast<unsigned char>(line[i]));
      } else {
        *out += "   ";
      }
    }
    absl::StrAppend(out, "  |", Preview(line, kHexBytesPerLine), "|\n");
  }
}

void DatagramFormatter::AppendTime(int64_t unix_ns, absl::string_view fraction_and_zone, std::string* out) {
  int64_t second = unix_ns / kNsPerSecond;
  if (unix_ns % kNsPerSecond < 0) --second;
  if (second != second_) {
    second_ = second;
    second_text_ = absl::FormatTime("%Y-%m-%dT%H:%M:%S.", absl::FromUnixSeconds(second), absl::UTCTimeZone());
  }
  absl::StrAppend(out, second_text_, fraction_and_zone);
}

void DatagramFormatter::AppendHeader(const v1::Datagram& datagram, std::string* out) {
  const int64_t ns = ((datagram.receive_time_unix_ns() % kNsPerSecond) + kNsPerSecond) % kNsPerSecond;
  AppendTime(datagram.receive_time_unix_ns(), absl::StrFormat("%06dZ ", ns / 1000), out);
  const auto channel = channels_->find(datagram.channel_id());
  if (channel == channels_->end()) {
    absl::StrAppend(out, "channel#", datagram.channel_id());
  } else {
    absl::StrAppend(out, Printable(client::FormatChannel(channel->second)));
  }
  absl::StrAppend(out, " ", client::FormatEndpoint(datagram.source_address(), datagram.source_port()),
                  " ttl=", datagram.hop_limit(), " seq=", datagram.sequence(), " size=", datagram.payload().size());
}

void DatagramFormatter::AppendJson(const v1::Datagram& datagram, std::string* out) {
  const int64_t ns = ((datagram.receive_time_unix_ns() % kNsPerSecond) + kNsPerSecond) % kNsPerSecond;
  *out += "{\"time\":\"";
  AppendTime(datagram.receive_time_unix_ns(), absl::StrFormat("%09dZ\"", ns), out);
  absl::StrAppend(out, ",\"receive_time_unix_ns\":", datagram.receive_time_unix_ns(),
                  ",\"channel_id\":", datagram.channel_id());
  const auto found = channels_->find(datagram.channel_id());
  if (found != channels_->end()) {
    const v1::Channel& channel = found->second;
    *out += ",\"channel\":";
    AppendJsonString(client::FormatChannel(channel), out);
    *out += ",\"interface\":";
    AppendJsonString(channel.interface_name(), out);
    *out += ",\"group\":";
    AppendJsonString(channel.group(), out);
    absl::StrAppend(out, ",\"port\":", channel.port());
  }
  absl::StrAppend(out, ",\"source\":\"", client::FormatAddress(datagram.source_address()),
                  "\",\"source_port\":", datagram.source_port(), ",\"hop_limit\":", datagram.hop_limit(),
                  ",\"traffic_class\":", datagram.traffic_class(), ",\"sequence\":", datagram.sequence(),
                  ",\"size\":", datagram.payload().size(), ",\"payload\":\"", absl::Base64Escape(datagram.payload()),
                  "\"}\n");
}

void DatagramFormatter::Append(const v1::Datagram& datagram, std::string* out) {
  switch (format_) {
    case OutputFormat::kRaw:
      *out += datagram.payload();
      break;
    case OutputFormat::kJson:
      AppendJson(datagram, out);
      break;
    case OutputFormat::kText:
      AppendHeader(datagram, out);
      if (!datagram.payload().empty()) absl::StrAppend(out, " ", Preview(datagram.payload(), kPreviewBytes));
      *out += '\n';
      break;
    case OutputFormat::kHex:
      AppendHeader(datagram, out);
      *out += '\n';
      AppendHexdump(datagram.payload(), out);
      break;
  }
}

}  // namespace mcgw::cli
