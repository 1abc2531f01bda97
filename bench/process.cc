#include "bench/process.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr int64_t kStartNs = int64_t{10} * 1'000'000'000;
constexpr int64_t kStopNs = kStartNs;

constexpr useconds_t kReadyLookUs = 200;
constexpr useconds_t kEndLookUs = 2000;
constexpr size_t kSaidBytes = 16 << 10;  // Of what it says, the beginning.

// The number after `key` in a file of lines such as "VmRSS:   1234 kB"; 0 if it is not there.
int64_t NumberOf(const std::filesystem::path& path, absl::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, key)) continue;
    rest = rest.substr(rest.find_first_of("0123456789"));
    int64_t number = 0;
    if (absl::SimpleAtoi(rest.substr(0, rest.find(' ')), &number)) return number;
  }
  return 0;
}

// The 14th field of /proc/PID/stat; the second, in parentheses, may hold spaces.
int64_t UserTicks(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t ticks = 0;
  fields >> ticks;
  return ticks;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(const std::vector<std::string>& command, int core) {
  OwnedFd said(memfd_create("stderr", MFD_CLOEXEC));
  if (!said.valid()) return ErrnoError("memfd_create");
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  const int64_t begin_ns = NowNs();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) == 0 && dup2(said.get(), STDERR_FILENO) >= 0) {
      execv(arguments[0], arguments.data());
    }
    _exit(127);
  }
  std::unique_ptr<Process> process(new Process(pid, std::move(said)));
  if (auto status = process->WaitReady(begin_ns); !status.ok()) return status;
  return process;
}

std::string Process::Said() const {
  std::string text(kSaidBytes, '\0');
  const ssize_t size = pread(said_.get(), text.data(), text.size(), 0);
  text.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return text;
}

absl::Status Process::WaitReady(int64_t begin_ns) {
  const int64_t deadline_ns = begin_ns + kStartNs;
  while (!absl::StrContains(Said(), "ready")) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      ended_ = true;
      return absl::InternalError(absl::StrCat("the server ended at once; it said:\n", Said()));
    }
    if (NowNs() > deadline_ns) return absl::DeadlineExceededError(absl::StrCat("not ready; it said:\n", Said()));
    usleep(kReadyLookUs);
  }
  start_up_ns_ = NowNs() - begin_ns;
  return absl::OkStatus();
}

Process::~Process() {
  if (ended_) return;
  kill(pid_, SIGTERM);
  const int64_t deadline_ns = NowNs() + kStopNs;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (NowNs() > deadline_ns) kill(pid_, SIGKILL);
    usleep(kEndLookUs);
  }
}

// Left a zombie by its end, since only the destructor waits for it.
bool Process::running() const {
  siginfo_t info = {};
  return !ended_ && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

Usage Process::usage() const {
  Usage usage;
  clockid_t clock;
  timespec used;
  if (clock_getcpuclockid(pid_, &clock) == 0 && clock_gettime(clock, &used) == 0) {
    usage.cpu_ns = used.tv_sec * int64_t{1'000'000'000} + used.tv_nsec;
  }
  usage.user_cpu_ns = UserTicks(pid_) * (int64_t{1'000'000'000} / sysconf(_SC_CLK_TCK));
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid_, "/task"), ignored)) {
    usage.voluntary_switches += NumberOf(task.path() / "status", "voluntary_ctxt_switches:");
  }
  return usage;
}

int64_t Process::thread_cpu_ns(const std::string& name) const {
  int64_t cpu_ns = 0;
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid_, "/task"), ignored)) {
    std::string said;
    if (!std::getline(std::ifstream(task.path() / "comm"), said) || said != name) continue;
    int64_t on_core_ns = 0;
    if (std::ifstream(task.path() / "schedstat") >> on_core_ns) cpu_ns += on_core_ns;
  }
  return cpu_ns;
}

int64_t Process::resident_bytes() const { return NumberOf(absl::StrCat("/proc/", pid_, "/status"), "VmRSS:") * 1024; }

}  // namespace mcgw::bench
