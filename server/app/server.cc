#include "server/app/server.h"

#include <pthread.h>

#include <algorithm>
#include <optional>

#include "server/app/config_warnings.h"
#include "server/app/descriptors.h"
#include "server/app/grace.h"
#include "server/net/clock.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::app {
namespace {

// Separate pools for calls that may block and calls that only read, so that a diagnosis delays no join.
constexpr net::WorkPool::Limits kCalls = {.threads = 16, .running = 4};
constexpr net::WorkPool::Limits kLooks = {.threads = 4, .running = 2};
constexpr int64_t kSweepNs = 1'000'000'000;

const char* const kServices[] = {"multicast.gateway.v1.MulticastGatewayService",
                                 "multicast.gateway.v1.InspectionService", ""};

// Divides the limit of open files among connections and channels.
DescriptorSplit Split(const Config& config) {
  const size_t limit = RaiseDescriptorLimit();
  const DescriptorSplit split =
      SplitDescriptors(limit, static_cast<size_t>(config.listen_size()), config.max_connections());
  if (split.connections < config.max_connections()) {
    spdlog::warn(
        "the limit of open files, {}, allows {} connections, not max_connections {}: raise it "
        "(LimitNOFILE, ulimit -Hn)",
        limit, split.connections, config.max_connections());
  }
  spdlog::info("{} open files: {} for channel sockets, {} for {} connections, {} for sending", limit, split.channels,
               2 * split.connections, split.connections, split.sends);
  return split;
}

absl::Duration StallTimeout(const Config& config) {
  if (!config.has_stall_timeout()) return absl::Seconds(60);
  return ToDuration(config.stall_timeout());
}

// A TLS connection on its way to the front door.
class Arrival final : public http2::Handshakes::Outcome {
 public:
  // All arguments outlive it.
  Arrival(rpc::FrontDoor* door, http2::Peer peer, std::string listener, std::atomic<uint64_t>* refused)
      : door_(door), peer_(std::move(peer)), listener_(std::move(listener)), refused_(refused) {}

  void OnDone(std::unique_ptr<http2::Transport> transport, const std::string& identity) override {
    if (!identity.empty()) peer_.identity = identity;
    door_->Serve(std::move(transport), std::move(peer_));
  }
  void OnFailed(const std::string& why) override {
    if (why.empty()) return;
    spdlog::warn("refused a TLS client of {}, {}: {} ({} refused so far)", listener_, peer_.address, why,
                 refused_->fetch_add(1) + 1);
  }

 private:
  rpc::FrontDoor* const door_;
  http2::Peer peer_;
  const std::string listener_;
  std::atomic<uint64_t>* const refused_;
};

void LogCertificate(const std::string& address, const http2::TlsSource& source) {
  const std::shared_ptr<const http2::TlsContext> context = source.context();
  spdlog::info("{} has the certificate {}", address, context->summary());
  if (const std::string invalid = context->InvalidNow(); !invalid.empty()) {
    spdlog::warn("clients will not accept the certificate of {}: {}", address, invalid);
  }
}

}  // namespace

Server::Server(const Config& config) : config_(config) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Config& config, const std::vector<grpc::Service*>& others) {
  auto server = std::unique_ptr<Server>(new Server(config));
  if (absl::Status status = server->Serve(others); !status.ok()) return status;
  return server;
}

absl::Status Server::Serve(const std::vector<grpc::Service*>& others) {
  const DescriptorSplit descriptors = Split(config_);
  // Start with steps that can fail and take nothing that others need.
  std::vector<std::unique_ptr<ListenSocket>> sockets;
  for (const ListenerOptions& listener : ListenersOf(config_)) {
    absl::StatusOr<std::unique_ptr<ListenSocket>> socket = ListenSocket::Open(listener);
    if (!socket.ok()) return socket.status();
    if ((*socket)->tls() != nullptr) tls_.emplace_back((*socket)->address(), (*socket)->tls());
    if (!listener.IsGuarded()) {
      spdlog::warn("{} serves whoever reaches it: insecure_allow_plaintext names it", (*socket)->address());
    }
    sockets.push_back(*std::move(socket));
  }
  absl::StatusOr<std::unique_ptr<net::EventLoop>> control = net::EventLoop::Create();
  if (!control.ok()) return control.status();
  control_ = *std::move(control);
  // Watching begins before the table is read, so that no change is missed.
  absl::StatusOr<std::unique_ptr<net::InterfaceWatch>> watch = net::InterfaceWatch::Create();
  if (!watch.ok()) return watch.status();
  watch_ = *std::move(watch);
  gateway::Options options = GatewayOptions(config_);
  options.channel_descriptors = descriptors.channels;
  options.send_descriptors = descriptors.sends;
  absl::StatusOr<std::unique_ptr<gateway::Gateway>> gateway =
      gateway::Gateway::Create(options, net::NewLinuxSocketFactory(), {.watch = watch_.get()});
  if (!gateway.ok()) return gateway.status();
  gateway_ = *std::move(gateway);
  for (const std::string& warning : InterfaceWarnings(config_, *gateway_->directory().table())) {
    spdlog::warn("{}", warning);
  }
  follower_ = std::make_unique<gateway::InterfaceFollower>(watch_.get(), &gateway_->reconciler());
  if (absl::Status status = control_->Add(watch_->fd(), follower_.get()); !status.ok()) return status;

  calls_ = std::make_unique<net::WorkPool>("mcgw-call", kCalls);
  looks_ = std::make_unique<net::WorkPool>("mcgw-look", kLooks);
  sends_ = std::make_unique<gateway::SendLoop>(calls_.get());
  if (absl::Status status = sends_->Start(); !status.ok()) return status;
  if (!tls_.empty()) {
    handshakes_ = std::make_unique<http2::Handshakes>(http2::Handshakes::Limits());
    if (absl::Status status = handshakes_->Start(); !status.ok()) return status;
    for (const auto& [address, source] : tls_) LogCertificate(address, *source);
  }
  absl::StatusOr<std::unique_ptr<GrpcServices>> services = GrpcServices::Start(others);
  if (!services.ok()) return services.status();
  services_ = *std::move(services);

  door_ = std::make_unique<rpc::FrontDoor>(gateway_.get(), calls_.get(), looks_.get(), sends_.get());
  door_->Start(services_->Connect());
  acceptor_ = std::make_unique<Acceptor>(
      std::move(sockets), ConnectionShares(descriptors.connections, config_.max_connections_per_peer()),
      StallTimeout(config_), [this](Acceptor::Accepted accepted) { Serve(std::move(accepted)); });
  WatchDuties();
  control_thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-control");
    RunControl();
  });
  SetServing(true);
  return acceptor_->Start();
}

Server::~Server() {
  if (services_ != nullptr) Stop(absl::ZeroDuration());
}

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> addresses;
  for (const std::unique_ptr<ListenSocket>& socket : acceptor_->sockets()) addresses.push_back(socket->address());
  return addresses;
}

void Server::SetServing(bool serving) {
  for (const char* name : kServices) services_->SetServing(name, serving);
}

void Server::Serve(Acceptor::Accepted accepted) {
  const ListenSocket& socket = *accepted.socket;
  const ConnectionPeer& from = accepted.peer;
  http2::Peer peer = {.address = from.address,
                      .identity = from.uid.has_value() ? net::StrCat("uid:", *from.uid)
                                                       : net::StrCat("listener:", socket.options().name)};
  if (socket.tls() == nullptr) return door_->Serve(http2::NewPlainTransport(std::move(accepted.fd)), std::move(peer));
  handshakes_->Begin(socket.tls()->context(), std::move(accepted.fd), from.name,
                     std::make_unique<Arrival>(door_.get(), std::move(peer), socket.address(), &refused_));
}

void Server::RefreshTls() {
  for (const auto& [address, source] : tls_) {
    const std::optional<absl::Status> news = source->Refresh();
    if (!news.has_value()) continue;
    if (news->ok()) {
      LogCertificate(address, *source);
    } else {
      spdlog::error("the changed TLS files of {} are bad, and the former stay in force: {}", address,
                    net::ToStd(news->message()));
    }
  }
}

void Server::ReportInterfaces() {
  const std::shared_ptr<const net::InterfaceTable> table = gateway_->directory().table();
  const auto exists = [&](const std::string& name) { return table->FindByName(name) != nullptr; };
  for (const auto& [name, serving] : health_names_.Update(gateway_->reconciler().Health(), exists)) {
    services_->SetServing("interface/" + name, serving);
  }
}

void Server::WatchDuties() {
  for (size_t shard = 0; shard < gateway_->shards(); ++shard) {
    duties_.Watch(net::StrCat("shard ", shard), &gateway_->loop(shard)->duty());
  }
  duties_.Watch("the control loop", &control_->duty());
  duties_.Watch("the send loop", &sends_->duty());
  duties_.Watch("the accept loop", &acceptor_->duty());
  if (handshakes_ != nullptr) duties_.Watch("the loop of handshakes", &handshakes_->duty());
}

void Server::RunControl() {
  // A message is taken as a whole, and may have 128 KiB: a slow reader takes bytes all the time, but messages seldom.
  // One that takes no byte is the Acceptor's to find.
  const absl::Duration patience = 2 * StallTimeout(config_);
  const auto stall_checks = static_cast<int>(absl::Ceil(patience, absl::Seconds(1)) / absl::Seconds(1));
  int64_t next_sweep_ns = net::MonotonicNs() + kSweepNs;
  while (!stopping_control_) {
    int64_t now_ns = net::MonotonicNs();
    bool report = follower_->Run(now_ns);
    if (now_ns >= next_sweep_ns) {
      gateway_->Sweep();
      door_->Check(stall_checks);
      RefreshTls();
      for (const std::string& line : duties_.NewLines(now_ns)) spdlog::info("{}", line);
      next_sweep_ns = now_ns + kSweepNs;
      report = true;
    }
    if (report) ReportInterfaces();
    now_ns = net::MonotonicNs();
    const int64_t due_ns = std::min(next_sweep_ns, follower_->due_ns());
    control_->RunOnce(absl::Nanoseconds(std::max<int64_t>(due_ns - now_ns, 0)));
  }
}

void Server::WaitUntilIdle(int64_t end_ns) {
  const auto left = [end_ns] { return absl::Nanoseconds(end_ns - net::MonotonicNs()); };
  door_->subscriptions().WaitUntilIdle(left());
  door_->publications().WaitUntilIdle(left());
}

void Server::Stop(absl::Duration grace) {
  if (services_ == nullptr) return;
  const absl::Status draining =
      net::Error(net::Reason::kDraining, "", "the gateway is stopping: connect to another one, or try again later");
  if (acceptor_ != nullptr) acceptor_->Stop();
  if (handshakes_ != nullptr) handshakes_->Stop();
  SetServing(false);
  const Grace divided = DivideGrace(grace);
  const int64_t ending_ns = absl::ToInt64Nanoseconds(divided.ending);
  const int64_t end_ns = net::MonotonicNs() + absl::ToInt64Nanoseconds(divided.serving) + ending_ns;
  gateway_->Drain(divided.serving);
  door_->subscriptions().WaitUntilIdle(divided.serving);
  door_->End(draining);
  // In half of this time, streams whose clients read get their reason; then the others are cut.
  WaitUntilIdle(end_ns - ending_ns / 2);
  door_->publications().Abandon();
  door_->Drain();
  std::thread shutdown([this, end_ns] { services_->Shutdown(absl::Nanoseconds(end_ns - net::MonotonicNs())); });
  WaitUntilIdle(end_ns - ending_ns / 4);
  door_->Cut();
  shutdown.join();
  door_->Stop();
  if (acceptor_ != nullptr) acceptor_->CutConnections();
  control_->Post([this] { stopping_control_ = true; });
  control_thread_.join();
  for (const std::string& line : duties_.Summary(net::MonotonicNs(), start_ns_)) spdlog::debug("{}", line);
  door_.reset();
  services_.reset();
  // All calls have been answered.
  sends_->Stop();
  looks_.reset();
  calls_.reset();
  gateway_->EndAllSessions();
  gateway_.reset();
}

}  // namespace mcgw::app
