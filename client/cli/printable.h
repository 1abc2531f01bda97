// Text from elsewhere, made safe to show.

#ifndef MCGW_CLIENT_CLI_PRINTABLE_H_
#define MCGW_CLIENT_CLI_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace mcgw::cli {

// The text with everything that could affect a terminal escaped as in \x1b: control characters except line ends,
// invisible characters, characters that change the direction of writing, and bytes that are not UTF-8.
std::string Printable(absl::string_view text);

bool IsUtf8(absl::string_view text);

// Appends the text as a JSON string with its quotes. What Printable escapes, line ends included, is escaped as JSON
// does (\u001b); each byte that is not UTF-8 becomes U+FFFD.
void AppendJsonString(absl::string_view text, std::string* out);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_PRINTABLE_H_
