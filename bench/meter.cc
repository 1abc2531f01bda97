#include "bench/meter.h"

#include <time.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "bench/metrics.h"
#include "bench/stamp.h"

namespace mcgw::bench {

Meter::Meter(const Process* server, Cores cores) : server_(server), cores_(cores), before_(Take()) {}

Meter::Snapshot Meter::Take() const {
  Snapshot snapshot;
  if (server_ != nullptr) snapshot.server = server_->usage();
  timespec own = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  snapshot.own_cpu_ns = own.tv_sec * int64_t{1'000'000'000} + own.tv_nsec;
  snapshot.server_core = ReadCoreTime(cores_.server);
  snapshot.client_core = ReadCoreTime(cores_.client);
  snapshot.at_ns = NowNs();
  snapshot.network_drops = NetworkDrops();
  return snapshot;
}

void Meter::Stop() { after_ = Take(); }

void Meter::Fill(Round* round) const {
  const double busy = BusyPart(before_.client_core, after_.client_core);
  const double wall_ns = std::max<double>(1, static_cast<double>(elapsed_ns()));
  const double own = static_cast<double>(after_.own_cpu_ns - before_.own_cpu_ns) / wall_ns;
  const double server_core =
      BusyPart(before_.server_core, after_.server_core) + LowPart(before_.server_core, after_.server_core);
  round->Set(kClientBusy, busy);
  round->Set(kClientOwn, own);
  round->Set(kLowPriority, LowPart(before_.client_core, after_.client_core));
  if (server_ != nullptr) {
    round->Set(kServerBusy, cpu_ns() / wall_ns);
    const double others = std::max(0.0, server_core - cpu_ns() / wall_ns);
    round->Set(kOthers, others);
    if (others > kMostOthers) round->Disturb(absl::StrFormat("others took %.0f %% of the server's core", 100 * others));
    round->Set(kResident, static_cast<double>(server_->resident_bytes()));
    if (!server_->running()) round->Invalidate("the server has ended");
  }
  if (busy > kMostClientBusy) {
    round->Disturb(absl::StrFormat("client core %.0f %% busy, %.0f %% with this measurement", 100 * busy, 100 * own));
  }
}

}  // namespace mcgw::bench
