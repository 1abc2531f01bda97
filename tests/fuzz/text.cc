// Text of clients and of the host on its way to a message, a log line or a terminal.

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "client/cli/datagram_format.h"
#include "client/cli/printable.h"
#include "server/app/log_folder.h"
#include "server/app/log_text.h"
#include "server/net/text.h"
#include "server/net/utf8.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {
namespace {

using net::IsPrintable;

bool IsPlain(char c) { return IsPrintable(c) || c == '\n'; }

// A string of JSON with its quotes (RFC 8259).
bool IsJsonString(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"' || !net::IsUtf8(text)) return false;
  const std::string_view body = text.substr(1, text.size() - 2);
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '"' || static_cast<uint8_t>(body[i]) < ' ') return false;
    if (body[i] != '\\') continue;
    if (++i == body.size()) return false;
    if (body[i] != 'u') {
      if (std::string_view("\"\\/bfnrt").find(body[i]) == std::string_view::npos) return false;
      continue;
    }
    for (int digits = 0; digits < 4; ++digits) {
      if (++i == body.size() || !absl::ascii_isxdigit(static_cast<uint8_t>(body[i]))) return false;
    }
  }
  return true;
}

}  // namespace

FUZZ_TARGET(text) {
  const absl::string_view view(input.data(), input.size());
  const bool is_utf8 = net::IsUtf8(input);
  FUZZ_CHECK(cli::IsUtf8(view) == is_utf8);

  const std::string printable = net::Printable(input);
  FUZZ_CHECK(std::all_of(printable.begin(), printable.end(), IsPrintable));
  const std::string shortened = net::Shortened(input);
  FUZZ_CHECK(shortened.size() <= net::kMostEchoedBytes && (!is_utf8 || net::IsUtf8(shortened)));
  FUZZ_CHECK(net::ListText({std::string(input), shortened}).size() <= 2 * net::kMostEchoedBytes + 2);
  net::ReadDuration(input, absl::ZeroDuration(), absl::Hours(1));

  FUZZ_CHECK(net::IsUtf8(app::PrintableText(input)));
  const std::string of_log = app::ShortenLogText(input);
  FUZZ_CHECK(!is_utf8 || net::IsUtf8(of_log));
  FUZZ_CHECK(app::LogFolder::KindOf(input).size() <= 200);
  const app::LogLine line{.time = absl::UnixEpoch(), .level = spdlog::level::info, .text = of_log};
  for (const app::LogFormat format : {app::LogFormat::kText, app::LogFormat::kJson}) {
    const std::string out = app::FormatLogLine(line, format, absl::UTCTimeZone());
    FUZZ_CHECK(net::IsUtf8(out) && std::count(out.begin(), out.end(), '\n') == 1);
    if (format == app::LogFormat::kText) continue;
    constexpr std::string_view kBefore = R"("message":)";
    const size_t message = out.find(kBefore) + kBefore.size();
    FUZZ_CHECK(out.ends_with("}\n") && IsJsonString(std::string_view(out).substr(message, out.size() - 2 - message)));
  }

  const std::string shown = cli::Printable(view);
  FUZZ_CHECK(net::IsUtf8(shown) && cli::Printable(shown) == shown);
  std::string json;
  cli::AppendJsonString(view, &json);
  FUZZ_CHECK(IsJsonString(json));
  const std::string preview = cli::Preview(view, 16);
  FUZZ_CHECK(std::all_of(preview.begin(), preview.end(), IsPrintable));
  std::string dump;
  cli::AppendHexdump(view, &dump);
  FUZZ_CHECK(std::all_of(dump.begin(), dump.end(), IsPlain));
}

}  // namespace mcgw
