#include "tests/kernel/kernel_net.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "server/net/interface_table.h"
#include "server/net/text.h"

namespace mcgw::kernel {
namespace {

constexpr int kPatienceMs = 5000;
constexpr char kPeerName[] = "peer";

[[noreturn]] void Abort(const std::string& why) {
  std::cerr << "kernel test support: " << why << std::endl;
  abort();
}

void WaitUntilEndIsUp(const std::string& interface) {
  const std::unique_ptr<net::InterfaceWatch> watch = net::InterfaceWatch::Create().value();
  while (true) {
    // The queueing discipline comes last, after the flags.
    const std::string state = Output(absl::StrCat("ip -o link show dev ", interface));
    if (absl::StrContains(state, "state UP") && !absl::StrContains(state, "qdisc noop ")) return;
    if (!WaitReadable(watch->fd())) Abort(absl::StrCat("does not come up: ", state));
    watch->Take();
  }
}

}  // namespace

bool Succeeds(const std::string& command) { return system(command.c_str()) == 0; }

void Shell(const std::string& command) {
  if (!Succeeds(command)) Abort(absl::StrCat("failed: ", command));
}

std::string Output(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) Abort("popen");
  std::string output;
  char buffer[4096];
  while (const size_t got = fread(buffer, 1, sizeof(buffer), pipe)) output.append(buffer, got);
  return pclose(pipe) == 0 ? output : "";
}

net::IpAddress Ip(std::string_view text) {
  const absl::StatusOr<net::IpAddress> address = net::IpAddress::Parse(text);
  if (!address.ok()) Abort(address.status().ToString());
  return *address;
}

Peer::Peer() {
  kernel::Shell(absl::StrCat("ip netns add ", kPeerName, " && ip -n ", kPeerName, " link set lo up"));
  namespace_ = net::OwnedFd(open(absl::StrCat("/run/netns/", kPeerName).c_str(), O_RDONLY | O_CLOEXEC));
  if (!namespace_.valid()) Abort("no namespace file: run under tests/support/in_namespace");
  AddLink("a0", "b0");
}

Peer::~Peer() {
  // First, since a namespace takes its ends of the links with it only some time after it ended.
  for (const std::string& link : links_) (void)Succeeds(absl::StrCat("ip link del ", link, " 2>/dev/null"));
  namespace_.Reset();
  kernel::Shell(absl::StrCat("ip netns del ", kPeerName));
}

void Peer::AddLink(const std::string& here, const std::string& there) {
  const auto commands = [number = links_.size()](const std::string& name, int host) {
    return absl::StrReplaceAll(
        "link set IF addrgenmode none\n"
        "link set IF up\n"
        "addr add 10.N.0.H/24 dev IF\n"
        "addr add fd0N::H/64 dev IF nodad\n"
        "addr add fe80::N:H/64 dev IF nodad\n",
        {{"IF", name}, {"N", absl::StrCat(number)}, {"H", absl::StrCat(host)}});
  };
  kernel::Shell(absl::StrCat("ip link add ", here, " type veth peer name ", there, " netns ", kPeerName));
  kernel::Shell(absl::StrCat("printf '", commands(here, 1), "' | ip -batch -"));
  kernel::Shell(absl::StrCat("printf '", commands(there, 2), "' | ip -n ", kPeerName, " -batch -"));
  links_.push_back(here);
  WaitUntilUp(here, there);
}

void Peer::WaitUntilUp(const std::string& here, const std::string& there) const {
  WaitUntilEndIsUp(here);
  Do([&] { WaitUntilEndIsUp(there); });
}

void Peer::Do(const std::function<void()>& work) const {
  std::thread([&] {
    if (setns(namespace_.get(), CLONE_NEWNET) != 0) Abort("setns");
    work();
  }).join();
}

void Peer::Shell(const std::string& command) const {
  kernel::Shell(absl::StrCat("ip netns exec ", kPeerName, " ", command));
}

uint32_t Peer::IndexOf(const std::string& interface) const {
  uint32_t index = 0;
  Do([&] { index = if_nametoindex(interface.c_str()); });
  if (index == 0) Abort(absl::StrCat("no ", interface, " there"));
  return index;
}

bool WaitReadable(int fd) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, kPatienceMs) == 1;
}

std::vector<Copy> Receive(net::SocketFactory* factory, net::ReceiveSocket* socket, size_t count) {
  const std::unique_ptr<net::ReceiveBatch> batch = factory->NewReceiveBatch();
  std::vector<Copy> copies;
  while (copies.size() < count && WaitReadable(socket->fd())) {
    bool drained = false;
    const absl::StatusOr<size_t> read = socket->Receive(batch.get(), &drained);
    if (!read.ok()) Abort(read.status().ToString());
    for (const net::ReceivedDatagram& datagram : batch->datagrams()) {
      copies.push_back({datagram, std::string(datagram.payload)});
    }
  }
  return copies;
}

std::vector<Copy> ReceiveQueued(net::SocketFactory* factory, net::ReceiveSocket* socket) {
  const std::unique_ptr<net::ReceiveBatch> batch = factory->NewReceiveBatch();
  std::vector<Copy> copies;
  bool drained = false;
  while (!drained) {
    const absl::StatusOr<size_t> read = socket->Receive(batch.get(), &drained);
    if (!read.ok()) Abort(read.status().ToString());
    for (const net::ReceivedDatagram& datagram : batch->datagrams()) {
      copies.push_back({datagram, std::string(datagram.payload)});
    }
  }
  return copies;
}

std::vector<std::string> Payloads(const std::vector<Copy>& copies) {
  std::vector<std::string> payloads;
  for (const Copy& copy : copies) payloads.push_back(copy.payload);
  return payloads;
}

void StayOnOneProcessor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) Abort("sched_setaffinity");
}

int GroupUsers(const std::string& interface, const net::IpAddress& group) {
  // "	inet  239.1.1.1 users 2"; "users" is left out for one.
  std::istringstream lines(Output(absl::StrCat("ip maddr show dev ", interface)));
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string family, address, label;
    words >> family >> address >> label;
    if (address != group.ToString()) continue;
    int users = 1;
    if (label == "users") words >> users;
    return users;
  }
  return 0;
}

SourceCounts SourceUsers(const net::IpAddress& group, const net::IpAddress& source) {
  const bool v4 = group.is_v4();
  const auto hex = [v4](const net::IpAddress& address) {
    const std::string digits = absl::BytesToHexString(net::ToAbsl(address.bytes()));
    return v4 ? absl::StrCat("0x", digits) : digits;
  };
  std::ifstream lines(v4 ? "/proc/net/mcfilter" : "/proc/net/mcfilter6");
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string index, device, row_group, row_source;
    SourceCounts counts;
    words >> index >> device >> row_group >> row_source >> counts.include >> counts.exclude;
    if (row_group == hex(group) && row_source == hex(source)) return counts;
  }
  return {};
}

}  // namespace mcgw::kernel
