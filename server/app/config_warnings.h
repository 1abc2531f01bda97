// Warnings about a valid configuration that does not fit this host.

#ifndef MCGW_APP_CONFIG_WARNINGS_H_
#define MCGW_APP_CONFIG_WARNINGS_H_

#include <string>
#include <vector>

#include "server/app/config.h"
#include "server/net/interface_table.h"

namespace mcgw::app {

// One sentence for each configured interface that the host lacks or that another key rules out. None keeps the gateway
// from starting, since an interface may appear later.
std::vector<std::string> InterfaceWarnings(const Config& config, const net::InterfaceTable& table);

}  // namespace mcgw::app

#endif  // MCGW_APP_CONFIG_WARNINGS_H_
