// How sub shows a datagram.

#ifndef MCGW_CLIENT_CLI_DATAGRAM_FORMAT_H_
#define MCGW_CLIENT_CLI_DATAGRAM_FORMAT_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "multicast/gateway/v1/channel.pb.h"
#include "multicast/gateway/v1/datagram.pb.h"

namespace mcgw::cli {

enum class OutputFormat { kText, kJson, kHex, kRaw };

// The channels of a stream, by id.
using ChannelTable = absl::flat_hash_map<uint64_t, multicast::gateway::v1::Channel>;

// Not thread-safe.
class DatagramFormatter {
 public:
  // `channels` outlives the formatter. A channel that it lacks is shown by its id.
  DatagramFormatter(OutputFormat format, const ChannelTable* channels) : format_(format), channels_(channels) {}

  // text: one line:  TIME CHANNEL SOURCE:PORT ttl=N seq=N size=N PREVIEW
  //       TIME is UTC; PREVIEW is the first 64 bytes, with dots for bytes that are not printable ASCII.
  // json: one object on a line, the payload in base64.
  // hex:  the text line without the preview, then sixteen bytes to a line.
  // raw:  the payload.
  void Append(const multicast::gateway::v1::Datagram& datagram, std::string* out);

 private:
  void AppendHeader(const multicast::gateway::v1::Datagram& datagram, std::string* out);
  void AppendJson(const multicast::gateway::v1::Datagram& datagram, std::string* out);
  void AppendTime(int64_t unix_ns, absl::string_view fraction_and_zone, std::string* out);

  const OutputFormat format_;
  const ChannelTable* const channels_;
  // The text of the last second: most datagrams share it with the previous one.
  int64_t second_ = INT64_MIN;
  std::string second_text_;
};

// "hello.." for printable and other bytes, at most `most_bytes` of them, then "..." if there are more.
std::string Preview(absl::string_view payload, size_t most_bytes);

// Each line has the offset, sixteen bytes in hexadecimal, and their printable form.
void AppendHexdump(absl::string_view payload, std::string* out);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_DATAGRAM_FORMAT_H_
