// Recognises received datagrams that the gateway sent.
//
// They are recognised by source address and port: an address of this host, and a port that the gateway sends from. So a
// copy is recognised whichever way it came: looped by the kernel, or back through another interface or a bridge.
// OwnTraffic knows the addresses and all ports, SourcePorts the ports of one sender, and OwnFilter answers for a
// stream.

#ifndef MCGW_FANOUT_OWN_TRAFFIC_H_
#define MCGW_FANOUT_OWN_TRAFFIC_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/net/address.h"
#include "server/net/interface_table.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// The port of one sender in each family; 0: none. Thread-safe.
class SourcePorts {
 public:
  uint16_t port(net::Family family) const { return ports_[Index(family)].load(std::memory_order_acquire); }
  void Set(net::Family family, uint16_t port) { ports_[Index(family)].store(port, std::memory_order_release); }

 private:
  static size_t Index(net::Family family) { return family == net::Family::kIpv6 ? 1 : 0; }
  std::array<std::atomic<uint16_t>, 2> ports_{};
};

// Thread-safe.
class OwnTraffic {
 public:
  // The host's addresses in network order, sorted.
  using Addresses = std::vector<std::string>;

  OwnTraffic() = default;
  OwnTraffic(const OwnTraffic&) = delete;
  OwnTraffic& operator=(const OwnTraffic&) = delete;

  // Uses this table's addresses from now on. Free if the table is unchanged.
  void SetTable(std::shared_ptr<const net::InterfaceTable> table);
  std::shared_ptr<const Addresses> addresses() const;

  // A port is the gateway's own from Add until kRememberNs after Retire, since logs still hold datagrams sent from it.
  // Then Sweep, called once a second, forgets it.
  void AddPort(net::Family family, uint16_t port);
  void RetirePort(net::Family family, uint16_t port, int64_t now_ns);
  void Sweep(int64_t now_ns);
  bool HasPort(net::Family family, uint16_t port) const;

  static constexpr int64_t kRememberNs = 60'000'000'000;

 private:
  using Bits = std::array<std::atomic<uint64_t>, 1024>;  // One bit per port.
  std::atomic<uint64_t>& Word(net::Family family, uint16_t port);

  std::array<Bits, 2> ports_{};  // IPv4, IPv6.
  mutable net::Mutex mutex_;
  std::shared_ptr<const net::InterfaceTable> table_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Addresses> addresses_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Addresses>();
  std::map<std::pair<net::Family, uint16_t>, int64_t> retired_ ABSL_GUARDED_BY(mutex_);  // When to forget.
};

// What a stream with exclude_own holds back: datagrams of one sender, or all that the gateway sent. Thread-safe.
class OwnFilter {
 public:
  // `only`: the one sender; null: all.
  OwnFilter(std::shared_ptr<const OwnTraffic> traffic, std::shared_ptr<const SourcePorts> only)
      : traffic_(std::move(traffic)), only_(std::move(only)) {}

  // The filter with a snapshot of the addresses, for a run of records. Must not outlive the filter.
  class View {
   public:
    // Whether the gateway sent the datagram of a record (datagram_record.h).
    bool IsOwn(const char* record) const;

   private:
    friend class OwnFilter;
    View(const OwnFilter* filter, std::shared_ptr<const OwnTraffic::Addresses> addresses)
        : filter_(filter), addresses_(std::move(addresses)) {}
    const OwnFilter* filter_;
    std::shared_ptr<const OwnTraffic::Addresses> addresses_;
  };
  View Look() const { return {this, traffic_->addresses()}; }

 private:
  bool HasPort(net::Family family, uint16_t port) const {
    return only_ == nullptr ? traffic_->HasPort(family, port) : port != 0 && only_->port(family) == port;
  }

  const std::shared_ptr<const OwnTraffic> traffic_;
  const std::shared_ptr<const SourcePorts> only_;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_OWN_TRAFFIC_H_
