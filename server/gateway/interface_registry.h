// One InterfaceManager for each interface that has ever been asked for.

#ifndef MCGW_GATEWAY_INTERFACE_REGISTRY_H_
#define MCGW_GATEWAY_INTERFACE_REGISTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "server/gateway/interface_manager.h"
#include "server/net/interface_table.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Thread-safe. Its mutex is held for look-ups only, never while a manager works.
class InterfaceRegistry {
 public:
  explicit InterfaceRegistry(ChannelServices* services) : services_(services) {}

  // Made on first use; lives as long as the registry.
  InterfaceManager* Manager(const net::Interface& interface) {
    net::MutexLock lock(&mutex_);
    std::unique_ptr<InterfaceManager>& manager = managers_[interface.index];
    if (manager == nullptr) {
      manager = std::make_unique<InterfaceManager>(services_, interface.index, interface.name);
    }
    return manager.get();
  }

  std::vector<InterfaceManager*> All() const {
    net::MutexLock lock(&mutex_);
    std::vector<InterfaceManager*> all;
    for (const auto& [index, manager] : managers_) all.push_back(manager.get());
    return all;
  }

 private:
  ChannelServices* const services_;
  mutable net::Mutex mutex_;
  std::map<uint32_t, std::unique_ptr<InterfaceManager>> managers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACE_REGISTRY_H_
