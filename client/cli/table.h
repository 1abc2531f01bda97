// Columns of text.

#ifndef MCGW_CLIENT_CLI_TABLE_H_
#define MCGW_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

namespace mcgw::cli {

// Formats the rows as lines, each column as wide as its widest cell. An empty cell shows as "-", so that scripts can
// split columns at spaces. All rows have as many cells as the first, the heading.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_TABLE_H_
