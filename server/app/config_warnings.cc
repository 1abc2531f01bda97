#include "server/app/config_warnings.h"

#include <algorithm>

#include "server/net/text.h"

namespace mcgw::app {
namespace {

std::string Has(const net::InterfaceTable& table) {
  std::vector<std::string> names;
  for (const net::Interface& interface : table.interfaces()) names.push_back(interface.name);
  return net::ListText(names);
}

}  // namespace

std::vector<std::string> InterfaceWarnings(const Config& config, const net::InterfaceTable& table) {
  std::vector<std::string> warnings;
  for (const std::string& name : table.left_out()) {
    warnings.push_back(net::StrCat("interface ", name, " is left out: its name is not UTF-8; rename it"));
  }
  for (const std::string& name : config.interfaces()) {
    if (table.FindByName(name) != nullptr) continue;
    warnings.push_back(net::StrCat("interfaces: the host has no interface ", net::Shortened(name), " (it has ",
                                   Has(table), "); it may be used once it exists"));
  }
  const std::string& fallback = config.default_interface();
  if (fallback.empty()) return warnings;
  const std::vector<const net::Interface*> found = table.FindBySelector(fallback);
  if (found.empty()) {
    warnings.push_back(net::StrCat("default_interface: the host has no interface ", net::Shortened(fallback),
                                   " (it has ", Has(table),
                                   "); joins and sends that name no interface fail until it exists"));
  } else if (config.interfaces_size() > 0 &&
             std::none_of(config.interfaces().begin(), config.interfaces().end(),
                          [&](const std::string& name) { return found.front()->IsCalled(name); })) {
    warnings.push_back(net::StrCat("default_interface: ", fallback, " is not among `interfaces`; joins and sends that ",
                                   "name no interface fail"));
  }
  return warnings;
}

}  // namespace mcgw::app
