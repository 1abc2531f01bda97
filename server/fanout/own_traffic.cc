#include "server/fanout/own_traffic.h"

#include <algorithm>

#include "server/fanout/datagram_record.h"

namespace mcgw::fanout {
namespace {

constexpr int kPortsPerWord = 64;

uint64_t BitOf(uint16_t port) { return uint64_t{1} << (port % kPortsPerWord); }

}  // namespace

void OwnTraffic::SetTable(std::shared_ptr<const net::InterfaceTable> table) {
  net::MutexLock lock(&mutex_);
  if (table == table_) return;
  auto addresses = std::make_shared<Addresses>();
  for (const net::Interface& interface : table->interfaces()) {
    for (const net::InterfaceAddress& entry : interface.addresses) addresses->emplace_back(entry.address.bytes());
  }
  std::sort(addresses->begin(), addresses->end());
  addresses_ = std::move(addresses);
  table_ = std::move(table);
}

std::shared_ptr<const OwnTraffic::Addresses> OwnTraffic::addresses() const {
  net::MutexLock lock(&mutex_);
  return addresses_;
}

std::atomic<uint64_t>& OwnTraffic::Word(net::Family family, uint16_t port) {
  return ports_[family == net::Family::kIpv6 ? 1 : 0][port / kPortsPerWord];
}

void OwnTraffic::AddPort(net::Family family, uint16_t port) {
  net::MutexLock lock(&mutex_);
  retired_.erase({family, port});
  Word(family, port).fetch_or(BitOf(port), std::memory_order_release);
}

void OwnTraffic::RetirePort(net::Family family, uint16_t port, int64_t now_ns) {
  net::MutexLock lock(&mutex_);
  retired_[{family, port}] = now_ns + kRememberNs;
}

void OwnTraffic::Sweep(int64_t now_ns) {
  net::MutexLock lock(&mutex_);
  for (auto at = retired_.begin(); at != retired_.end();) {
    const auto [family, port] = at->first;
    if (now_ns < at->second) {
      ++at;
      continue;
    }
    Word(family, port).fetch_and(~BitOf(port), std::memory_order_release);
    at = retired_.erase(at);
  }
}

bool OwnTraffic::HasPort(net::Family family, uint16_t port) const {
  const Bits& bits = ports_[family == net::Family::kIpv6 ? 1 : 0];
  return (bits[port / kPortsPerWord].load(std::memory_order_acquire) & BitOf(port)) != 0;
}

bool OwnFilter::View::IsOwn(const char* record) const {
  const std::string_view source = RecordSource(record);
  const net::Family family = source.size() == sizeof(in6_addr) ? net::Family::kIpv6 : net::Family::kIpv4;
  // Checks the port first, which excludes nearly all traffic of others.
  return filter_->HasPort(family, RecordSourcePort(record)) &&
         std::binary_search(addresses_->begin(), addresses_->end(), source, std::less<>());
}

}  // namespace mcgw::fanout
