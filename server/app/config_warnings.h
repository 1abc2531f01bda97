// What is wrong with a configuration on this host, though it is well-formed.

#ifndef MCGW_APP_CONFIG_WARNINGS_H_
#define MCGW_APP_CONFIG_WARNINGS_H_

#include <string>
#include <vector>

#include "server/app/config.h"
#include "server/net/interface_table.h"

namespace mcgw::app {

// One sentence for each configured interface that the host does not have, or that another key rules out. An interface
// may come later, so none of them keeps the gateway from starting.
std::vector<std::string> InterfaceWarnings(const Config& config, const net::InterfaceTable& table);

}  // namespace mcgw::app

#endif  // MCGW_APP_CONFIG_WARNINGS_H_
