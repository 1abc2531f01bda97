#include "bench/host.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr int kWishedPriority = -10;
constexpr useconds_t kQuietUs = 100'000;
constexpr double kQuietBusy = 0.25;

// The rest of the first line that begins with `key`, without the separator and quotes.
std::string LineOf(const char* path, absl::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, key)) continue;
    const size_t begin = rest.find_first_not_of(" \t:=\"");
    const size_t end = rest.find_last_not_of(" \"");
    return begin == absl::string_view::npos ? "" : std::string(rest.substr(begin, end - begin + 1));
  }
  return "unknown";
}

// An interface that is up and no loopback; empty if there is none.
std::string OtherInterface() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "";
  std::string found;
  for (const ifaddrs* each = all; each != nullptr && found.empty(); each = each->ifa_next) {
    if ((each->ifa_flags & IFF_UP) != 0 && (each->ifa_flags & IFF_LOOPBACK) == 0) found = each->ifa_name;
  }
  freeifaddrs(all);
  return found;
}

}  // namespace

CoreTime ReadCoreTime(int core) {
  std::ifstream file("/proc/stat");
  const std::string name = absl::StrCat("cpu", core);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string label;
    uint64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
    fields >> label >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
    if (label != name) continue;
    const uint64_t busy = user + system + irq + softirq + steal;
    return {.busy = busy, .low = nice, .total = busy + nice + idle + iowait};
  }
  return {};
}

double BusyPart(const CoreTime& before, const CoreTime& after) {
  if (after.total == before.total) return 0;
  return static_cast<double>(after.busy - before.busy) / static_cast<double>(after.total - before.total);
}

double LowPart(const CoreTime& before, const CoreTime& after) {
  if (after.total == before.total) return 0;
  return static_cast<double>(after.low - before.low) / static_cast<double>(after.total - before.total);
}

int64_t WaitForQuiet(int core, int other_core, int64_t most_ns) {
  const int64_t begin_ns = NowNs();
  while (NowNs() - begin_ns < most_ns) {
    const CoreTime before = ReadCoreTime(core), other_before = ReadCoreTime(other_core);
    usleep(kQuietUs);
    if (BusyPart(before, ReadCoreTime(core)) < kQuietBusy &&
        BusyPart(other_before, ReadCoreTime(other_core)) < kQuietBusy) {
      break;
    }
  }
  return NowNs() - begin_ns;
}

uint64_t NetworkDrops() {
  std::ifstream file("/proc/net/softnet_stat");
  uint64_t drops = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    uint64_t processed = 0, dropped = 0;
    fields >> std::hex >> processed >> dropped;
    drops += dropped;
  }
  return drops;
}

absl::Status PinThisThread(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof(cores), &cores) != 0) return ErrnoError(absl::StrCat("pinning to core ", core));
  return absl::OkStatus();
}

bool RaisePriority() { return setpriority(PRIO_PROCESS, 0, kWishedPriority) == 0; }

int PriorityInForce() { return getpriority(PRIO_PROCESS, 0); }

absl::Status MakeNetwork() {
  // Load must never leave the machine.
  if (const std::string other = OtherInterface(); !other.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("this network has the interface ", other, "; run ./dev bench, which makes one of its own"));
  }
  for (const char* command : {
           "ip netns add peer",
           "ip link add a0 type veth peer name b0 netns peer",
           "ip link set a0 mtu 9216",
           "ip -n peer link set b0 mtu 9216",
           "ip address add 10.77.0.1/24 dev a0",
           "ip address add fd77::1/64 dev a0 nodad",
           "ip link set a0 up",
           "ip -n peer link set lo up",
           "ip -n peer address add 10.77.0.2/24 dev b0",
           "ip -n peer address add fd77::2/64 dev b0 nodad",
           "ip -n peer link set b0 up",
       }) {
    if (std::system(command) != 0) return absl::InternalError(absl::StrCat("this failed: ", command));
  }
  return absl::OkStatus();
}

namespace {

// What `make` returns, called on the peer.
template <typename Make>
auto OnPeer(const Make& make) -> decltype(make()) {
  const OwnedFd here(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const OwnedFd peer(open("/run/netns/peer", O_RDONLY | O_CLOEXEC));
  if (!here.valid() || !peer.valid()) return ErrnoError("network namespace");
  if (setns(peer.get(), CLONE_NEWNET) != 0) return ErrnoError("setns");
  auto made = make();
  if (setns(here.get(), CLONE_NEWNET) != 0) return ErrnoError("setns back");
  return made;
}

}  // namespace

absl::StatusOr<OwnedFd> OpenSenderOnPeer(const Group& group) {
  return OnPeer([&] { return OpenSender({.address = group.address, .port = group.port, .interface = "b0"}); });
}

absl::StatusOr<std::unique_ptr<Reader>> MakeReaderOnPeer(const Group& group) {
  return OnPeer([&] { return MakeDirectReader({.address = group.address, .port = group.port, .interface = "b0"}); });
}

HostFacts ReadHostFacts() {
  utsname names = {};
  uname(&names);
  return {.processor = LineOf("/proc/cpuinfo", "model name"),
          .cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
          .kernel = names.release,
          .system = LineOf("/etc/os-release", "PRETTY_NAME")};
}

}  // namespace mcgw::bench
