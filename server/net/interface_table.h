// The network interfaces of this host: a snapshot, and a watch that reports changes.

#ifndef MCGW_NET_INTERFACE_TABLE_H_
#define MCGW_NET_INTERFACE_TABLE_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/net/address.h"
#include "server/net/interface.h"
#include "server/net/mutex.h"

namespace mcgw::net {

// The interfaces, ordered by index. A value type.
class InterfaceTable {
 public:
  InterfaceTable() = default;
  // Leaves out names that are not UTF-8, which the kernel accepts and no client can say or be told.
  explicit InterfaceTable(std::vector<Interface> interfaces);

  // Asks the kernel (rtnetlink, RTM_GETLINK and RTM_GETADDR). Blocks only for its answer.
  static absl::StatusOr<InterfaceTable> Read();

  const std::vector<Interface>& interfaces() const { return interfaces_; }
  // Interfaces that are left out because of their name, which is given in printable form.
  const std::vector<std::string>& left_out() const { return left_out_; }
  // By name or alternative name; names are unique. Null if not found; valid as long as this table.
  const Interface* FindByName(std::string_view name) const;
  const Interface* FindByIndex(uint32_t index) const;
  // All interfaces with the address: several may share it.
  std::vector<const Interface*> FindByAddress(const IpAddress& address) const;
  // All interfaces that the name or address selects; empty if none.
  std::vector<const Interface*> FindBySelector(std::string_view name_or_address) const;

 private:
  std::vector<Interface> interfaces_;
  std::vector<std::string> left_out_;
};

// The index of the interface of a family's default route (main table, lowest metric), or NO_ROUTE.
absl::StatusOr<uint32_t> DefaultRouteInterface(Family family);

// Changes of links and addresses that the kernel reported. The table shows the state; this shows what it cannot.
struct InterfaceChanges {
  bool any = false;  // Something changed, or messages were lost: read the table again.
  // By index: links that, at some moment, were deleted, went down, or were ports of a device that takes what they
  // receive. The table may show any of them unchanged.
  std::set<uint32_t> deleted;
  std::set<uint32_t> down;
  std::set<uint32_t> enslaved;

  void Add(InterfaceChanges other);
};

// Collects changes of links and addresses, and on request of routes, until they are taken. Thread-safe.
//
// Every collected change is older than a table whose reading began after Hear. So after Take, then reading the table,
// no taken change concerns anything that the table shows for the first time.
class InterfaceWatch {
 public:
  enum class Scope : uint8_t { kInterfaces, kInterfacesAndRoutes };

  virtual ~InterfaceWatch() = default;
  InterfaceWatch() = default;
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;
  // `receive_buffer_bytes` sizes the netlink socket; 0: the default, which exceeds the host's limit if the process may.
  // Messages that do not fit are lost, and the loss is detected.
  static absl::StatusOr<std::unique_ptr<InterfaceWatch>> Create(size_t receive_buffer_bytes = 0,
                                                                Scope scope = Scope::kInterfaces);
  // Readable when something may have changed. Borrowed.
  virtual int fd() const = 0;
  // Takes in all queued messages without blocking. Lost messages (ENOBUFS) count as a change. True if there is
  // something to take.
  bool Hear();
  // The changes since the previous Take, including those queued now.
  InterfaceChanges Take();

 protected:
  // Adds the changes of the queued messages. Called by one thread at a time.
  virtual void Drain(InterfaceChanges* changes) = 0;

 private:
  Mutex mutex_;
  InterfaceChanges heard_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::net

#endif  // MCGW_NET_INTERFACE_TABLE_H_
