#include "bench/reference/zmq_relay.h"

#include "absl/strings/str_cat.h"

#ifdef MCGW_BENCH_ZMQ

#include <poll.h>
#include <sys/socket.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "bench/sockets.h"

namespace mcgw::bench {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kLargestBytes = 65'536;
constexpr int kMostWaiting = 100'000;  // Messages for one reader.

absl::Status ZmqError(absl::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": ", zmq_strerror(errno)));
}

absl::StatusOr<void*> Publish(void* context, const std::string& endpoint) {
  void* publisher = zmq_socket(context, ZMQ_XPUB);
  if (publisher == nullptr) return ZmqError("zmq_socket");
  const int on = 1;
  if (zmq_setsockopt(publisher, ZMQ_SNDHWM, &kMostWaiting, sizeof(kMostWaiting)) != 0 ||
      zmq_setsockopt(publisher, ZMQ_XPUB_VERBOSE, &on, sizeof(on)) != 0) {
    return ZmqError("zmq_setsockopt");
  }
  if (zmq_bind(publisher, endpoint.c_str()) != 0) return ZmqError("zmq_bind");
  return publisher;
}

// Each subscription is answered, so that the reader knows that it is served.
void AnswerSubscriptions(void* publisher) {
  char subscription[16];
  while (zmq_recv(publisher, subscription, sizeof(subscription), ZMQ_DONTWAIT) >= 0) {
    if (subscription[0] == 1) zmq_send(publisher, "", 0, ZMQ_DONTWAIT);
  }
}

}  // namespace

absl::Status RunZmqRelay(const ZmqRelayOptions& options) {
  auto group = OpenReceiver(options.group);
  if (!group.ok()) return group.status();
  auto publisher = Publish(zmq_ctx_new(), absl::StrCat("tcp://127.0.0.1:", options.port));
  if (!publisher.ok()) return publisher.status();
  std::vector<char> received(kBatch * kLargestBytes);
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> headers = {};
  for (size_t i = 0; i < kBatch; ++i) {
    parts[i] = {&received[i * kLargestBytes], kLargestBytes};
    headers[i].msg_hdr.msg_iov = &parts[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  std::fprintf(stderr, "ready\n");
  while (true) {
    std::array<zmq_pollitem_t, 2> items = {{{*publisher, 0, ZMQ_POLLIN, 0}, {nullptr, group->get(), ZMQ_POLLIN, 0}}};
    if (zmq_poll(items.data(), items.size(), -1) < 0 && errno != EINTR) return ZmqError("zmq_poll");
    if ((items[0].revents & ZMQ_POLLIN) != 0) AnswerSubscriptions(*publisher);
    if ((items[1].revents & ZMQ_POLLIN) == 0) continue;
    const int count = recvmmsg(group->get(), headers.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(i);
      zmq_send(*publisher, parts[at].iov_base, headers[at].msg_len, ZMQ_DONTWAIT);
    }
  }
}

std::string ZmqVersion() {
  int major = 0, minor = 0, patch = 0;
  zmq_version(&major, &minor, &patch);
  return absl::StrCat(major, ".", minor, ".", patch);
}

}  // namespace mcgw::bench

#else

namespace mcgw::bench {

absl::Status RunZmqRelay(const ZmqRelayOptions&) {
  return absl::UnimplementedError("this mcgw-bench was built without libzmq");
}

std::string ZmqVersion() { return ""; }

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_ZMQ
