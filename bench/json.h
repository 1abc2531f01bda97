// Writes JSON (RFC 8259).

#ifndef MCGW_BENCH_JSON_H_
#define MCGW_BENCH_JSON_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mcgw::bench {

// The text in quotes, with what JSON does not allow in them escaped. `text` is UTF-8.
std::string JsonText(absl::string_view text);

// With as many digits as are needed to read the same number back; null for what is not a number.
std::string JsonNumber(double value);

// An object or an array, put together member by member; a nested one is ended before its parent goes on. Each member of
// the outermost two levels begins a line.
class JsonWriter {
 public:
  JsonWriter& Open(char bracket);  // '{' or '['. As a member of an object, after Key.
  JsonWriter& Close();
  JsonWriter& Key(absl::string_view key);
  JsonWriter& Text(absl::string_view text) { return Value(JsonText(text)); }
  JsonWriter& Number(double value) { return Value(JsonNumber(value)); }
  JsonWriter& Bool(bool value) { return Value(value ? "true" : "false"); }

  const std::string& text() const { return text_; }  // Complete when all is closed.

 private:
  JsonWriter& Value(absl::string_view value);
  void Separate();

  std::string text_;
  std::vector<char> open_;  // The closing brackets.
  bool first_ = true;
  bool after_key_ = false;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_JSON_H_
