#include "bench/reference/send_server.h"

#include <grpcpp/grpcpp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/feed.h"
#include "bench/sockets.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "server/net/address.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

using Payloads = google::protobuf::RepeatedPtrField<std::string>;

// A run of payloads of one size, as one send. True if the kernel took it.
bool SendGso(int fd, const Payloads& payloads, int first, int count) {
  std::vector<iovec> parts;
  for (int i = first; i < first + count; ++i) {
    parts.push_back({const_cast<char*>(payloads[i].data()), payloads[i].size()});
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  msghdr header = {};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* segment = CMSG_FIRSTHDR(&header);
  segment->cmsg_level = SOL_UDP;
  segment->cmsg_type = UDP_SEGMENT;
  segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const auto segment_bytes = static_cast<uint16_t>(payloads[first].size());
  std::memcpy(CMSG_DATA(segment), &segment_bytes, sizeof(segment_bytes));
  return sendmsg(fd, &header, 0) >= 0;
}

int SendEach(int fd, const Payloads& payloads) {
  std::vector<iovec> parts(static_cast<size_t>(payloads.size()));
  std::vector<mmsghdr> headers(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& payload = payloads[static_cast<int>(i)];
    parts[i] = {const_cast<char*>(payload.data()), payload.size()};
    headers[i].msg_hdr.msg_iov = &parts[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  return std::max(0, sendmmsg(fd, headers.data(), static_cast<unsigned>(headers.size()), 0));
}

uint32_t SendBurst(int fd, const Payloads& payloads) {
  const size_t size = payloads.empty() ? 0 : payloads[0].size();
  const bool one_size = std::ranges::all_of(payloads, [size](const std::string& each) { return each.size() == size; });
  if (!one_size || payloads.size() == 1 || size == 0) return static_cast<uint32_t>(SendEach(fd, payloads));
  uint32_t taken = 0;
  for (int i = 0; i < payloads.size();) {
    const int count = std::min(payloads.size() - i, static_cast<int>(MostInRun(size)));
    if (SendGso(fd, payloads, i, count)) taken += static_cast<uint32_t>(count);
    i += count;
  }
  return taken;
}

class PublishStream : public grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse> {
 public:
  explicit PublishStream(int fd) : fd_(fd) { StartRead(&request_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    uint32_t taken = 0;
    for (const v1::Burst& burst : request_.bursts()) taken += SendBurst(fd_, burst.payloads());
    response_.set_batch_id(request_.batch_id());
    response_.set_accepted_items(taken);
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      StartRead(&request_);
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

  const int fd_;
  v1::PublishRequest request_;
  v1::PublishResponse response_;
};

class Service : public v1::MulticastGatewayService::CallbackService {
 public:
  Service(OwnedFd fd, std::optional<v1::SendResult> result) : fd_(std::move(fd)), result_(std::move(result)) {}

 private:
  grpc::ServerUnaryReactor* Send(grpc::CallbackServerContext* context, const v1::SendRequest* request,
                                 v1::SendResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    bool sent = true;
    if (result_.has_value()) {
      sent = send(fd_.get(), request->payload().data(), request->payload().size(), 0) >= 0;
      *response->add_results() = *result_;
    }
    reactor->Finish(sent ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "send"));
    return reactor;
  }
  grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse>* Publish(grpc::CallbackServerContext*) override {
    return new PublishStream(fd_.get());
  }

  const OwnedFd fd_;
  const std::optional<v1::SendResult> result_;  // Of every send; nothing: none is done.
};

// What the gateway answers of a datagram that left.
absl::StatusOr<v1::SendResult> ResultOf(int fd, const Group& group) {
  sockaddr_storage name;
  socklen_t length = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) return ErrnoError("getsockname");
  const auto& in = reinterpret_cast<const sockaddr_in&>(name);
  v1::SendResult result;
  result.set_interface_name(group.interface);
  result.set_interface_index(if_nametoindex(group.interface.c_str()));
  result.set_source_address(net::IpAddress::FromSockaddr(name).ToString());
  result.set_source_port(ntohs(in.sin_port));
  return result;
}

}  // namespace

absl::Status RunSendServer(const SendServerOptions& options) {
  auto socket = OpenSender(options.group);
  if (!socket.ok()) return socket.status();
  std::optional<v1::SendResult> result;
  if (options.send) {
    auto made = ResultOf(socket->get(), options.group);
    if (!made.ok()) return made.status();
    result = *std::move(made);
  }
  Service service(*std::move(socket), std::move(result));
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", options.port), grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::InternalError(absl::StrCat("cannot serve on port ", options.port));
  std::fprintf(stderr, "ready\n");
  server->Wait();
  return absl::InternalError("the server has ended");
}

}  // namespace mcgw::bench
