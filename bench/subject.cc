#include "bench/subject.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bench/reference/zmq_relay.h"
#include "bench/wire.h"

namespace mcgw::bench {
namespace {

constexpr std::array<absl::string_view, 15> kNames = {
    kDirect,  kTcp,     kTcpBatch,      kTcpRing,     kGrpcSingle, kNats,       kZmq,         kGrpcEmpty,
    kGrpcGso, kGateway, kGatewayAtOnce, kGatewayUnix, kGrpcSend,   kGatewayTls, kGatewayBatch};
constexpr uint16_t kGroupPort = 7000;
constexpr uint16_t kServerPort = 7100;  // And those after it, one for each subject.
constexpr char kSocketPath[] = "/run/mcgw-bench.sock";
constexpr char kTlsDirectory[] = "/run/mcgw-bench-tls";

}  // namespace

std::vector<std::string> Subject::Command(const Programs& programs, const SubjectOptions& options) const {
  const auto reference = [&](const char* command, const std::vector<std::string>& flags = {}) {
    std::vector<std::string> all = {
        programs.directory + "/mcgw-bench", command,       "--group",        group_.address, "--group-port",
        absl::StrCat(group_.port),          "--interface", group_.interface, "--port",       absl::StrCat(port_)};
    all.insert(all.end(), flags.begin(), flags.end());
    return all;
  };
  std::vector<std::string> log;
  if (options.log_bytes != 0) log = {"--log-bytes", absl::StrCat(options.log_bytes)};
  if (name_ == kTcp) return reference("tcp-gateway");
  if (name_ == kTcpBatch) return reference("tcp-gateway", {"--batch"});
  if (name_ == kTcpRing) {
    if (options.oldest) log.emplace_back("--oldest");
    return reference("tcp-ring", log);
  }
  if (name_ == kGrpcSingle) return reference("grpc-single", log);
  if (name_ == kZmq) return reference("zmq-relay");
  if (name_ == kGrpcEmpty || name_ == kGrpcGso) return reference("send-server");
  if (name_ == kGrpcSend) return reference("send-server", {"--send"});
  if (name_ == kNats) return {programs.nats_server, "-a", "127.0.0.1", "-p", absl::StrCat(port_)};
  std::string listen = target();
  if (name_ == kGatewayTls) {
    listen = absl::StrCat(absl::StripPrefix(listen, "tls:"), " certificate=", kTlsDirectory,
                          "/server.crt key=", kTlsDirectory, "/server.key");
  }
  std::vector<std::string> gateway = {programs.directory + "/mcgwd", "--listen", listen, "--interface",
                                      group_.interface};
  if (options.log_bytes != 0) {
    for (const char* flag : {"--channel-log-bytes", "--total-log-bytes"}) {
      gateway.insert(gateway.end(), {flag, absl::StrCat(options.log_bytes)});
    }
  }
  gateway.insert(gateway.end(), options.gateway_flags.begin(), options.gateway_flags.end());
  return gateway;
}

absl::StatusOr<std::unique_ptr<Subject>> Subject::Start(absl::string_view name, const Programs& programs, int core,
                                                        const SubjectOptions& options) {
  const auto place = std::find(kNames.begin(), kNames.end(), name) - kNames.begin();
  if (place == static_cast<std::ptrdiff_t>(kNames.size())) {
    return absl::InvalidArgumentError(absl::StrCat("nothing to measure is called ", name));
  }
  if (name == kNats && programs.nats_server.empty()) return absl::NotFoundError("nats-server is not installed");
  if (name == kZmq && ZmqVersion().empty()) return absl::NotFoundError("built without libzmq");
  const Group group = {.address = absl::StrCat("239.77.0.", place + 1), .port = kGroupPort, .interface = "a0"};
  std::unique_ptr<Subject> subject(
      new Subject(std::string(name), group, static_cast<uint16_t>(kServerPort + place), options.oldest));
  if (name == kDirect) return subject;
  if (name == kGatewayTls) {
    mkdir(kTlsDirectory, 0700);
    if (auto status = MakeCertificate(kTlsDirectory); !status.ok()) return status;
  }
  auto server = Process::Start(subject->Command(programs, options), core);
  if (!server.ok()) return server.status();
  subject->server_ = *std::move(server);
  return subject;
}

std::string Subject::target() const {
  if (name_ == kGatewayUnix) return absl::StrCat("unix:", kSocketPath);
  return absl::StrCat(name_ == kGatewayTls ? "tls:" : "", "127.0.0.1:", port_);
}

absl::StatusOr<std::unique_ptr<Reader>> Subject::MakeReader(Subscription request) const {
  request.oldest = oldest_;
  if (name_ == kGatewayAtOnce) request.delay = absl::ZeroDuration();
  if (name_ == kGatewayBatch) request.delay = absl::Milliseconds(5);
  if (name_ == kDirect) return MakeDirectReader(group_);
  if (name_ == kNats) return MakeNatsReader(port_);
  if (name_ == kZmq) return MakeZmqReader(port_);
  if (name_ == kTcp || name_ == kTcpBatch || name_ == kTcpRing) return MakeTcpReader(port_);
  return MakeGrpcReader(target(), request);
}

absl::StatusOr<std::unique_ptr<Feed>> Subject::MakeFeed() const {
  return name_ == kNats ? MakeNatsFeed(port_) : MakeMulticastFeed({group_});
}

}  // namespace mcgw::bench
