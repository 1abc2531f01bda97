#include "server/gateway/rules/log_rules.h"

#include <charconv>
#include <string>

#include "absl/strings/str_split.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

constexpr uint64_t kLeastBytes = 256 << 10;
constexpr uint64_t kMostBytes = 1 << 30;
constexpr absl::Duration kMostAge = absl::Hours(24);

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

absl::Status Bad(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(net::StrCat("'", text, "': ", why));
}

absl::Status ReadPrefix(std::string_view text, LogRule* rule) {
  const size_t slash = text.find('/');
  const absl::StatusOr<net::IpAddress> address = net::IpAddress::Parse(text.substr(0, slash));
  if (!address.ok() || !address->IsMulticast()) {
    return Bad(text, "not a prefix of multicast groups, such as 239.1.0.0/16 or ff15::/16");
  }
  const int width = static_cast<int>(address->bytes().size()) * 8;
  rule->prefix = *address;
  rule->prefix_bits = width;
  if (slash == std::string_view::npos) return absl::OkStatus();
  const std::optional<uint64_t> bits = Number(text.substr(slash + 1));
  if (!bits.has_value() || *bits > static_cast<uint64_t>(width)) {
    return Bad(text, net::StrCat("the length of the prefix is a number from 0 to ", width));
  }
  rule->prefix_bits = static_cast<int>(*bits);
  return absl::OkStatus();
}

absl::Status ReadLimit(std::string_view text, LogRule* rule) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
  if (name == "bytes") {
    const std::optional<uint64_t> bytes = Number(value);
    if (!bytes.has_value() || *bytes < kLeastBytes || *bytes > kMostBytes) {
      return Bad(text, net::StrCat("bytes are a whole number from ", kLeastBytes, " to ", kMostBytes));
    }
    if (rule->bytes.has_value()) return Bad(text, "a second number of bytes in one rule");
    rule->bytes = *bytes;
    return absl::OkStatus();
  }
  if (name == "age") {
    const std::optional<absl::Duration> age = net::ReadDuration(value, absl::ZeroDuration(), kMostAge);
    if (!age.has_value() || (*age != absl::ZeroDuration() && *age < absl::Seconds(1))) {
      return Bad(text, "age is a duration from 1s to 24h, or 0s for no limit");
    }
    if (rule->age.has_value()) return Bad(text, "a second age in one rule");
    rule->age = age;
    return absl::OkStatus();
  }
  return Bad(text, "not bytes=NUMBER or age=DURATION");
}

}  // namespace

bool LogRule::Covers(const net::IpAddress& group) const {
  if (group.family() != prefix.family()) return false;
  const std::string_view a = group.bytes();
  const std::string_view b = prefix.bytes();
  const auto whole = static_cast<size_t>(prefix_bits / 8);
  if (a.substr(0, whole) != b.substr(0, whole)) return false;
  const int rest = prefix_bits % 8;
  return rest == 0 || ((static_cast<uint8_t>(a[whole]) ^ static_cast<uint8_t>(b[whole])) >> (8 - rest)) == 0;
}

absl::StatusOr<LogRule> ParseLogRule(std::string_view text) {
  const std::vector<std::string> words = absl::StrSplit(net::ToAbsl(text), ' ', absl::SkipWhitespace());
  if (words.size() < 2) {
    return Bad(text, "give a prefix and its limits, such as 239.1.0.0/16 bytes=1048576 age=30s");
  }
  LogRule rule;
  if (absl::Status status = ReadPrefix(words.front(), &rule); !status.ok()) return status;
  for (size_t i = 1; i < words.size(); ++i) {
    if (absl::Status status = ReadLimit(words[i], &rule); !status.ok()) return status;
  }
  return rule;
}

const LogRule* FindLogRule(const std::vector<LogRule>& rules, const net::IpAddress& group) {
  const LogRule* found = nullptr;
  for (const LogRule& rule : rules) {
    if (rule.Covers(group) && (found == nullptr || rule.prefix_bits > found->prefix_bits)) found = &rule;
  }
  return found;
}

}  // namespace mcgw::gateway
