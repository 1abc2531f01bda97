// Text from elsewhere, made safe to show.

#ifndef MCGW_CLIENT_CLI_PRINTABLE_H_
#define MCGW_CLIENT_CLI_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace mcgw::cli {

// The text with everything that could affect a terminal escaped as in \x1b: control characters except line ends,
// invisible characters, characters that change the direction of writing, and bytes that are not UTF-8.
std::string Printable(absl::string_view text);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_PRINTABLE_H_
