// Text from elsewhere, made safe to show.

#ifndef MCGW_CLIENT_CLI_PRINTABLE_H_
#define MCGW_CLIENT_CLI_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace mcgw::cli {

// The text with whatever could do something to a terminal as \x1b: control characters but line ends, characters that
// cannot be seen or that turn the direction of writing, and bytes that are no UTF-8.
std::string Printable(absl::string_view text);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_PRINTABLE_H_
