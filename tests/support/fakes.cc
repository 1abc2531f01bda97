#include "tests/support/fakes.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::testing {

using net::FilterMode;
using net::IpAddress;
using net::ReceiveBatch;

namespace {

class FakeReceiveBatch : public ReceiveBatch {
 public:
  absl::Span<const net::ReceivedDatagram> datagrams() const override { return datagrams_; }
  void Clear() {
    datagrams_.clear();
    payloads_.clear();
  }
  void Append(const FakeDatagram& datagram, const net::ReceiveSocketSpec& spec, uint32_t drops_so_far) {
    payloads_.push_back(datagram.payload);
    datagrams_.push_back({.payload = payloads_.back(),
                          .source = Ip(datagram.source),
                          .source_port = datagram.source_port,
                          .destination = datagram.group.empty() ? spec.group : Ip(datagram.group),
                          .interface_index = spec.interface_index,
                          .receive_time_unix_ns = datagram.receive_time_unix_ns,
                          .hop_limit = datagram.hop_limit,
                          .traffic_class = datagram.traffic_class,
                          .drops_so_far = drops_so_far});
  }

 private:
  std::deque<std::string> payloads_;  // Addresses of its elements hold.
  std::vector<net::ReceivedDatagram> datagrams_;
};

}  // namespace

IpAddress Ip(std::string_view text) { return IpAddress::Parse(text).value(); }

std::vector<IpAddress> Ips(const std::vector<std::string_view>& texts) {
  std::vector<IpAddress> addresses;
  for (const std::string_view text : texts) addresses.push_back(Ip(text));
  return addresses;
}

std::string FilterText(FilterMode mode, absl::Span<const IpAddress> sources) {
  const std::string list =
      absl::StrJoin(sources, ", ", [](std::string* out, const IpAddress& source) { out->append(source.ToString()); });
  return absl::StrCat(mode == FilterMode::kInclude ? "INCLUDE{" : "EXCLUDE{", list, "}");
}

// ---- FakeReceiver ----

FakeReceiver::FakeReceiver(net::ReceiveSocketSpec the_spec)
    : spec(std::move(the_spec)), fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void FakeReceiver::Inject(FakeDatagram datagram) {
  net::MutexLock lock(&mutex_);
  queue_.push_back({std::move(datagram), drops_});
  eventfd_write(fd_.get(), 1);
}

void FakeReceiver::Drop(uint32_t count) {
  net::MutexLock lock(&mutex_);
  drops_ += count;
}

void FakeReceiver::BeforeDropsAreAsked(std::function<void()> happening) {
  net::MutexLock lock(&mutex_);
  before_drops_ = std::move(happening);
}

void FakeReceiver::LoseMembership() {
  net::MutexLock lock(&mutex_);
  lost_ = true;
}

void FakeReceiver::FailNextRead(absl::Status status) {
  net::MutexLock lock(&mutex_);
  read_failure_ = std::move(status);
}

size_t FakeReceiver::queued() const {
  net::MutexLock lock(&mutex_);
  return queue_.size();
}

bool FakeReceiver::joined() const {
  net::MutexLock lock(&mutex_);
  return !filters_.empty();
}

bool FakeReceiver::closed() const {
  net::MutexLock lock(&mutex_);
  return closed_;
}

std::vector<std::string> FakeReceiver::calls() const {
  net::MutexLock lock(&mutex_);
  return calls_;
}

std::string FakeReceiver::filter() const { return filter(spec.group); }

std::string FakeReceiver::filter(const IpAddress& group) const {
  net::MutexLock lock(&mutex_);
  const auto at = filters_.find(group);
  return at == filters_.end() ? "" : FilterText(at->second.mode, at->second.sources);
}

std::map<IpAddress, FakeReceiver::Filter> FakeReceiver::filters() const {
  net::MutexLock lock(&mutex_);
  return filters_;
}

std::thread::id FakeReceiver::closed_by() const {
  net::MutexLock lock(&mutex_);
  return closed_by_;
}

// ---- FakeReceiveSocket ----

class FakeReceiveSocket : public net::ReceiveSocket {
 public:
  FakeReceiveSocket(std::shared_ptr<FakeKernel> kernel, std::shared_ptr<FakeReceiver> receiver)
      : ReceiveSocket(receiver->spec.group), kernel_(std::move(kernel)), receiver_(std::move(receiver)) {}

  ~FakeReceiveSocket() override {
    {
      net::MutexLock lock(&kernel_->mutex_);
      --kernel_->open_sockets_;
    }
    net::MutexLock lock(&receiver_->mutex_);
    receiver_->calls_.push_back("close");
    receiver_->filters_.clear();
    receiver_->closed_ = true;
    receiver_->closed_by_ = std::this_thread::get_id();
  }

  int fd() const override {
    net::MutexLock lock(&kernel_->mutex_);
    return kernel_->unwatchable_ ? -1 : receiver_->fd_.get();
  }

  absl::Status Join(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) override {
    return Set("join", group, mode, sources, /*joined=*/false);
  }

  absl::Status SetFilter(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) override {
    return Set("filter", group, mode, sources, /*joined=*/true);
  }

  absl::Status Leave(const IpAddress& group) override {
    const std::string text = Call("leave", group);
    const absl::Status status = kernel_->Ask({.spec = receiver_->spec, .call = text, .group = group});
    net::MutexLock lock(&receiver_->mutex_);
    receiver_->calls_.push_back(text);
    if (status.ok()) receiver_->filters_.erase(group);
    return status;
  }

  absl::StatusOr<size_t> Receive(ReceiveBatch* batch, bool* drained) override {
    auto* const fake = static_cast<FakeReceiveBatch*>(batch);
    fake->Clear();
    net::MutexLock lock(&receiver_->mutex_);
    if (!receiver_->read_failure_.ok()) return std::exchange(receiver_->read_failure_, absl::OkStatus());
    size_t read = 0;
    for (; read < ReceiveBatch::kMaxDatagrams && !receiver_->queue_.empty(); ++read) {
      const FakeReceiver::Queued& queued = receiver_->queue_.front();
      if (queued.datagram.foreign) {
        ++receiver_->mismatches_;
      } else {
        fake->Append(queued.datagram, receiver_->spec, queued.drops_so_far);
      }
      receiver_->queue_.pop_front();
    }
    receiver_->reads_ += read;
    // As with recvmmsg: a full read does not know whether it was the last.
    *drained = read < ReceiveBatch::kMaxDatagrams;
    eventfd_t ignored;
    if (receiver_->queue_.empty()) eventfd_read(receiver_->fd_.get(), &ignored);
    return fake->datagrams().size();
  }

  uint32_t Drops() const override {
    std::function<void()> happening;
    {
      net::MutexLock lock(&receiver_->mutex_);
      happening = std::exchange(receiver_->before_drops_, nullptr);
    }
    if (happening) happening();
    net::MutexLock lock(&receiver_->mutex_);
    return receiver_->drops_;
  }
  uint64_t reads() const override {
    net::MutexLock lock(&receiver_->mutex_);
    return receiver_->reads_;
  }
  uint64_t mismatches() const override {
    net::MutexLock lock(&receiver_->mutex_);
    return receiver_->mismatches_;
  }
  net::ReceiveSocketFacts Facts() const override {
    // Its descriptor serves as the inode, which differs among open sockets too.
    net::MutexLock lock(&receiver_->mutex_);
    return {.inode = static_cast<uint64_t>(receiver_->fd_.get()),
            .receive_buffer_bytes = receiver_->spec.receive_buffer_bytes,
            .reads = receiver_->reads_,
            .kernel_drops = receiver_->drops_};
  }

 private:
  std::string Call(std::string_view call, const IpAddress& group) const {
    return shared() ? net::StrCat(call, " ", group.ToString()) : std::string(call);
  }

  absl::Status Set(std::string_view call, const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources,
                   bool joined) {
    const std::string text = net::StrCat(Call(call, group), " ", FilterText(mode, sources));
    absl::Status status =
        kernel_->Ask({.spec = receiver_->spec, .call = text, .sources = sources.size(), .group = group});
    net::MutexLock lock(&receiver_->mutex_);
    receiver_->calls_.push_back(text);
    if (status.ok() && mode == FilterMode::kInclude && sources.empty()) status = net::ErrnoStatus(EINVAL, text);
    if (status.ok() && joined != receiver_->filters_.contains(group)) {
      status = net::ErrnoStatus(joined ? EADDRNOTAVAIL : EADDRINUSE, text);
    }
    if (status.ok() && !joined && receiver_->filters_.size() >= kMostSharing) {
      status = net::ErrnoError(ENOBUFS, net::Reason::kHostLimit, "", text);
    }
    if (status.ok()) receiver_->filters_[group] = {mode, {sources.begin(), sources.end()}};
    return status;
  }

  const std::shared_ptr<FakeKernel> kernel_;
  const std::shared_ptr<FakeReceiver> receiver_;
};

// ---- FakeSendSocket ----

class FakeSendSocket : public net::SendSocket {
 public:
  FakeSendSocket(std::shared_ptr<FakeKernel> kernel, const net::SendSocketSpec& spec)
      : kernel_(std::move(kernel)), spec_(spec), room_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~FakeSendSocket() override {
    net::MutexLock lock(&kernel_->mutex_);
    kernel_->send_room_.erase(room_.get());
    kernel_->send_sockets_.erase(std::find(kernel_->send_sockets_.begin(), kernel_->send_sockets_.end(), spec_));
  }

  net::SendStep TrySend(absl::Span<const net::OutgoingDatagram> datagrams, bool patient,
                        std::vector<net::SendFailure>* failures) override {
    net::MutexLock lock(&kernel_->mutex_);
    ++kernel_->send_calls_;
    net::SendStep step;
    for (size_t i = 0; i < std::min(datagrams.size(), kernel_->most_in_a_send_); ++i) {
      const bool full = kernel_->full_interfaces_.count(datagrams[i].interface_index) > 0;
      if (full && patient) {
        // Readers of an eventfd wait for a count above 0, writers for one below its greatest.
        eventfd_write(room_.get(), UINT64_MAX - 1);
        step.wait = net::SendStep::Wait::kWritable;
        break;
      }
      ++step.done;
      if (full) {
        failures->push_back({i, net::ErrnoStatus(EAGAIN, "sendmsg")});
        continue;
      }
      absl::Status status = kernel_->send_refusal_ ? kernel_->send_refusal_(datagrams[i]) : absl::OkStatus();
      if (datagrams[i].group.family() != spec_.family) status = net::ErrnoStatus(EAFNOSUPPORT, "sendmsg");
      if ((datagrams[i].hop_limit == 0) != spec_.host_only) status = net::ErrnoStatus(EINVAL, "hop limit");
      const std::string membership = absl::StrCat(datagrams[i].group.ToString(), " on ", datagrams[i].interface_index);
      const std::string source_membership = absl::StrCat(datagrams[i].source.ToString(), "@", membership);
      if (spec_.host_only && kernel_->host_members_[membership] + kernel_->host_members_[source_membership] == 0) {
        status = absl::InternalError("it left the host");
      }
      if (!status.ok()) {
        failures->push_back({i, std::move(status)});
        continue;
      }
      FakeSent taken{.datagram = datagrams[i], .payload = std::string(datagrams[i].payload), .socket = spec_};
      taken.datagram.payload = {};
      kernel_->sent_.push_back(std::move(taken));
      ++step.sent;
    }
    return step;
  }
  int fd() const override { return room_.get(); }
  size_t queued_bytes() const override { return 1; }

  uint16_t source_port() const override { return spec_.source_port; }

 private:
  const std::shared_ptr<FakeKernel> kernel_;
  const net::SendSocketSpec spec_;
  const net::OwnedFd room_;
};

// ---- FakeMembershipSocket ----

class FakeMembershipSocket : public net::MembershipSocket {
 public:
  explicit FakeMembershipSocket(std::shared_ptr<FakeKernel> kernel) : kernel_(std::move(kernel)) {}
  ~FakeMembershipSocket() override {
    while (!held_.empty()) Drop(*held_.begin());
  }

  absl::Status Join(const net::HostMembership& membership) override {
    const std::string text = Text(membership);
    if (held_.contains(text)) return net::ErrnoStatus(EADDRINUSE, text);
    if (held_.size() == kMaxGroups) return net::ErrnoStatus(ENOBUFS, text);
    held_.insert(text);
    net::MutexLock lock(&kernel_->mutex_);
    ++kernel_->host_joins_[text];
    ++kernel_->host_members_[text];
    return absl::OkStatus();
  }

  void Leave(const net::HostMembership& membership) override {
    if (held_.contains(Text(membership))) Drop(Text(membership));
  }

 private:
  static std::string Text(const net::HostMembership& membership) {
    const std::string source =
        membership.group.IsSourceSpecific() ? absl::StrCat(membership.source.ToString(), "@") : std::string();
    return absl::StrCat(source, membership.group.ToString(), " on ", membership.interface_index);
  }
  void Drop(std::string text) {
    held_.erase(text);
    net::MutexLock lock(&kernel_->mutex_);
    int& members = kernel_->host_members_[text];
    members = std::max(members - 1, 0);
  }

  const std::shared_ptr<FakeKernel> kernel_;
  std::set<std::string> held_;
};

// ---- FakeKernel ----

void FakeKernel::set_refusal(Refusal refusal) {
  net::MutexLock lock(&mutex_);
  refusal_ = std::move(refusal);
}

void FakeKernel::set_max_sources(size_t count) {
  net::MutexLock lock(&mutex_);
  max_sources_ = count;
}

void FakeKernel::set_unwatchable(bool unwatchable) {
  net::MutexLock lock(&mutex_);
  unwatchable_ = unwatchable;
}

void FakeKernel::set_max_sockets(size_t count) {
  net::MutexLock lock(&mutex_);
  max_sockets_ = count;
}

void FakeKernel::set_send_refusal(std::function<absl::Status(const net::OutgoingDatagram&)> refusal) {
  net::MutexLock lock(&mutex_);
  send_refusal_ = std::move(refusal);
}

void FakeKernel::set_send_socket_status(absl::Status status) {
  net::MutexLock lock(&mutex_);
  send_socket_status_ = std::move(status);
}

absl::Status FakeKernel::Ask(const Attempt& attempt) {
  net::MutexLock lock(&mutex_);
  if (attempt.sources > max_sources_) {
    return net::ErrnoError(ENOBUFS, net::Reason::kHostLimit, "source_filter.sources", attempt.call);
  }
  if (attempt.call == "socket" && open_sockets_ >= max_sockets_) {
    return net::ErrnoError(EMFILE, net::Reason::kHostLimit, "", attempt.call);
  }
  return refusal_ ? refusal_(attempt) : absl::OkStatus();
}

std::map<FakeKernel::ChannelKey, std::string> FakeKernel::Memberships() const {
  std::map<ChannelKey, FakeReceiver::Filter> united;
  std::set<ChannelKey> duplicates;
  for (const std::shared_ptr<FakeReceiver>& receiver : receivers()) {
    for (auto& [group, filter] : receiver->filters()) {
      const ChannelKey key{receiver->spec.interface_index, group.ToString(), receiver->spec.port};
      const auto [at, fresh] = united.emplace(key, filter);
      if (fresh) continue;
      std::vector<IpAddress>& sources = at->second.sources;
      sources.insert(sources.end(), filter.sources.begin(), filter.sources.end());
      std::sort(sources.begin(), sources.end());
      const bool twice = std::adjacent_find(sources.begin(), sources.end()) != sources.end();
      const bool includes = filter.mode == FilterMode::kInclude && at->second.mode == FilterMode::kInclude;
      if (twice || !includes) duplicates.insert(key);
    }
  }
  std::map<ChannelKey, std::string> memberships;
  for (const auto& [key, filter] : united) {
    memberships[key] = duplicates.contains(key) ? "DUPLICATES" : FilterText(filter.mode, filter.sources);
  }
  return memberships;
}

net::KernelMemberships FakeKernel::Users() const {
  net::KernelMemberships memberships;
  for (const std::shared_ptr<FakeReceiver>& receiver : receivers()) {
    net::MutexLock lock(&receiver->mutex_);
    if (receiver->lost_) continue;
    for (const auto& [group, filter] : receiver->filters_) ++memberships.users[{receiver->spec.interface_index, group}];
  }
  return memberships;
}

void FakeKernel::set_most_in_a_send(size_t count) {
  net::MutexLock lock(&mutex_);
  most_in_a_send_ = count;
}

void FakeKernel::LoseMemberships(uint32_t interface_index) {
  for (const std::shared_ptr<FakeReceiver>& receiver : receivers()) {
    if (receiver->spec.interface_index == interface_index) receiver->LoseMembership();
  }
}

std::vector<std::shared_ptr<FakeReceiver>> FakeKernel::receivers() const {
  net::MutexLock lock(&mutex_);
  return receivers_;
}

std::shared_ptr<FakeReceiver> FakeKernel::receiver(std::string_view group) const {
  std::shared_ptr<FakeReceiver> newest;
  for (const std::shared_ptr<FakeReceiver>& receiver : receivers()) {
    if (receiver->spec.group == Ip(group) || !receiver->filter(Ip(group)).empty()) newest = receiver;
  }
  return newest;
}

std::vector<FakeSent> FakeKernel::sent() const {
  net::MutexLock lock(&mutex_);
  return sent_;
}

void FakeKernel::set_full(uint32_t interface_index, bool full) {
  net::MutexLock lock(&mutex_);
  if (full) {
    full_interfaces_.insert(interface_index);
    return;
  }
  full_interfaces_.erase(interface_index);
  eventfd_t count = 0;
  for (const int room : send_room_) eventfd_read(room, &count);
}

size_t FakeKernel::send_calls() const {
  net::MutexLock lock(&mutex_);
  return send_calls_;
}

std::vector<net::SendSocketSpec> FakeKernel::send_sockets() const {
  net::MutexLock lock(&mutex_);
  return send_sockets_;
}

int FakeKernel::HostMembers(std::string_view membership) const {
  net::MutexLock lock(&mutex_);
  const auto at = host_members_.find(membership);
  return at == host_members_.end() ? 0 : at->second;
}

int FakeKernel::HostJoins(std::string_view membership) const {
  net::MutexLock lock(&mutex_);
  const auto at = host_joins_.find(membership);
  return at == host_joins_.end() ? 0 : at->second;
}

void FakeKernel::ForgetHostMemberships() {
  net::MutexLock lock(&mutex_);
  host_members_.clear();
}

// ---- FakeSocketFactory ----

std::unique_ptr<ReceiveBatch> FakeSocketFactory::NewReceiveBatch() { return std::make_unique<FakeReceiveBatch>(); }

size_t FakeSocketFactory::MostSources(net::Family /*family*/) const {
  net::MutexLock lock(&kernel_->mutex_);
  return kernel_->max_sources_;
}

absl::StatusOr<std::unique_ptr<net::ReceiveSocket>> FakeSocketFactory::NewReceiveSocket(
    const net::ReceiveSocketSpec& spec) {
  if (absl::Status status = kernel_->Ask({.spec = spec, .call = "socket"}); !status.ok()) return status;
  auto receiver = std::make_shared<FakeReceiver>(spec);
  net::MutexLock lock(&kernel_->mutex_);
  ++kernel_->open_sockets_;
  kernel_->receivers_.push_back(receiver);
  return std::make_unique<FakeReceiveSocket>(kernel_, std::move(receiver));
}

absl::StatusOr<std::unique_ptr<net::SendSocket>> FakeSocketFactory::NewSendSocket(const net::SendSocketSpec& spec) {
  net::MutexLock lock(&kernel_->mutex_);
  if (!kernel_->send_socket_status_.ok()) return kernel_->send_socket_status_;
  net::SendSocketSpec bound = spec;
  if (bound.source_port == 0) bound.source_port = kernel_->next_port_++;
  for (const net::SendSocketSpec& other : kernel_->send_sockets_) {
    if (other.family == bound.family && other.source_port == bound.source_port && !bound.shares_port) {
      return net::Error(net::Reason::kPortInUse, "source_port", "held");
    }
  }
  kernel_->send_sockets_.push_back(bound);
  auto socket = std::make_unique<FakeSendSocket>(kernel_, bound);
  kernel_->send_room_.insert(socket->fd());
  return socket;
}

absl::StatusOr<std::unique_ptr<net::MembershipSocket>> FakeSocketFactory::NewMembershipSocket(net::Family /*family*/) {
  return std::make_unique<FakeMembershipSocket>(kernel_);
}

// ---- Interfaces ----

net::Interface FakeInterface(uint32_t index, std::string name, const std::vector<std::string_view>& addresses) {
  net::Interface interface {
    .index = index, .name = std::move(name), .up = true, .carrier = true, .multicast = true, .loopback = false,
    .mtu_bytes = 1500
  };
  for (const std::string_view text : addresses) {
    const size_t slash = text.find('/');
    interface.addresses.push_back(
        {Ip(text.substr(0, slash)), static_cast<uint8_t>(std::stoi(std::string(text.substr(slash + 1))))});
  }
  return interface;
}

std::vector<net::Interface> FakeHostTable() {
  net::Interface lo = FakeInterface(1, "lo", {"127.0.0.1/8", "::1/128"});
  lo.multicast = false;
  lo.loopback = true;
  return {std::move(lo), FakeInterface(2, "a0", {"10.0.0.1/24", "fd00::1/64", "fe80::1/64"}),
          FakeInterface(3, "a1", {"10.0.1.1/24", "fd01::1/64"})};
}

}  // namespace mcgw::testing
