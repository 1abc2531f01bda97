#include "bench/feed.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/host.h"
#include "bench/sockets.h"

namespace mcgw::bench {
namespace {

constexpr size_t kMostSegments = 64;
constexpr size_t kMostRunBytes = 65'000;

class MulticastFeed : public Feed {
 public:
  explicit MulticastFeed(std::vector<OwnedFd> sockets) : sockets_(std::move(sockets)) {}

  size_t channels() const override { return sockets_.size(); }

  absl::Status Send(size_t channel, const char* data, size_t size, size_t count) override {
    iovec part = {const_cast<char*>(data), size * count};
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
    if (count > 1) {
      header.msg_control = control;
      header.msg_controllen = sizeof(control);
      cmsghdr* segment = CMSG_FIRSTHDR(&header);
      segment->cmsg_level = SOL_UDP;
      segment->cmsg_type = UDP_SEGMENT;
      segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto segment_bytes = static_cast<uint16_t>(size);
      std::memcpy(CMSG_DATA(segment), &segment_bytes, sizeof(segment_bytes));
    }
    return sendmsg(sockets_[channel].get(), &header, 0) < 0 ? ErrnoError("send") : absl::OkStatus();
  }

 private:
  const std::vector<OwnedFd> sockets_;
};

class NatsFeed : public Feed {
 public:
  explicit NatsFeed(OwnedFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }

  absl::Status Send(size_t, const char* data, size_t size, size_t count) override {
    text_.clear();
    for (size_t i = 0; i < count; ++i) {
      absl::StrAppend(&text_, "PUB ", kNatsSubject, " ", size, "\r\n", absl::string_view(data + i * size, size),
                      "\r\n");
    }
    for (size_t sent = 0; sent != text_.size();) {
      const ssize_t part = send(fd_.get(), &text_[sent], text_.size() - sent, MSG_NOSIGNAL);
      if (part < 0 && errno != EINTR) return ErrnoError("send to nats-server");
      if (part > 0) sent += static_cast<size_t>(part);
    }
    // What nats-server says is not looked at, only taken away.
    char answer[4096];
    while (recv(fd_.get(), answer, sizeof(answer), MSG_DONTWAIT) > 0) {
    }
    return absl::OkStatus();
  }

 private:
  const OwnedFd fd_;
  std::string text_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Feed>> MakeMulticastFeed(const std::vector<Group>& groups) {
  std::vector<OwnedFd> sockets;
  for (const Group& group : groups) {
    auto socket = OpenSenderOnPeer(group);
    if (!socket.ok()) return socket.status();
    sockets.push_back(*std::move(socket));
  }
  return std::make_unique<MulticastFeed>(std::move(sockets));
}

absl::StatusOr<std::unique_ptr<Feed>> MakeNatsFeed(uint16_t server_port) {
  auto fd = ConnectBlocking(absl::StrCat("127.0.0.1:", server_port));
  if (!fd.ok()) return fd.status();
  auto feed = std::make_unique<NatsFeed>(*std::move(fd));
  constexpr absl::string_view kHello = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
  if (send(feed->fd(), kHello.data(), kHello.size(), MSG_NOSIGNAL) < 0) return ErrnoError("send to nats-server");
  return feed;
}

size_t MostInRun(size_t payload_bytes) {
  return std::clamp<size_t>(kMostRunBytes / std::max<size_t>(payload_bytes, 1), 1, kMostSegments);
}

}  // namespace mcgw::bench
