#include "bench/subject.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mcgw::bench {
namespace {

constexpr std::array<absl::string_view, 5> kNames = {kDirect, kTcp, kTcpBatch, kGateway, kGatewayUnix};
constexpr uint16_t kGroupPort = 7000;
constexpr uint16_t kServerPort = 7100;  // And those after it, one for each subject.
constexpr char kSocketPath[] = "/run/mcgw-bench.sock";

}  // namespace

absl::StatusOr<std::unique_ptr<Subject>> Subject::Start(absl::string_view name, const std::string& programs, int core) {
  const auto place = std::find(kNames.begin(), kNames.end(), name) - kNames.begin();
  if (place == static_cast<std::ptrdiff_t>(kNames.size())) {
    return absl::InvalidArgumentError(absl::StrCat("nothing to measure is called ", name));
  }
  const Group group = {.address = absl::StrCat("239.77.0.", place + 1), .port = kGroupPort, .interface = "a0"};
  const std::string port = absl::StrCat(kServerPort + place);
  std::unique_ptr<Subject> subject(new Subject(std::string(name), group));
  std::vector<std::string> command;
  if (name == kTcp || name == kTcpBatch) {
    command = {programs + "/mcgw-bench", "tcp-gateway", "--group",       group.address, "--group-port",
               absl::StrCat(group.port), "--interface", group.interface, "--port",      port};
    if (name == kTcpBatch) command.emplace_back("--batch");
  } else if (name == kGateway) {
    command = {programs + "/mcgwd", "--listen", absl::StrCat("127.0.0.1:", port), "--interface", group.interface};
  } else if (name == kGatewayUnix) {
    command = {programs + "/mcgwd", "--listen", absl::StrCat("unix:", kSocketPath), "--interface", group.interface};
  } else {
    return subject;
  }
  auto server = Process::Start(command, core);
  if (!server.ok()) return server.status();
  subject->server_ = *std::move(server);
  return subject;
}

absl::StatusOr<std::unique_ptr<Reader>> Subject::MakeReader() const {
  const auto place = std::find(kNames.begin(), kNames.end(), name_) - kNames.begin();
  const auto port = static_cast<uint16_t>(kServerPort + place);
  if (name_ == kDirect) return MakeDirectReader(group_);
  if (name_ == kGateway) return MakeGrpcReader(absl::StrCat("127.0.0.1:", port), {.group = group_});
  if (name_ == kGatewayUnix) return MakeGrpcReader(absl::StrCat("unix:", kSocketPath), {.group = group_});
  return MakeTcpReader(port);
}

}  // namespace mcgw::bench
