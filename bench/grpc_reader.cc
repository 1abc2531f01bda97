// HTTP/2 (RFC 9113) and gRPC as far as one Subscribe stream of an orderly server needs them. Header blocks of the
// server are not decoded: the end of the stream is an error here, whatever its status.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/reader.h"
#include "bench/sockets.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr char kPath[] = "/multicast.gateway.v1.MulticastGatewayService/Subscribe";

constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kMessageHeaderBytes = 5;
constexpr uint32_t kStream = 1;
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8
};
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint8_t kPadded = 8;

constexpr uint16_t kSettingInitialWindow = 4;
constexpr uint32_t kInitialWindowBytes = 65'535;
// Wide enough that TCP alone limits; what was taken is given back in large pieces.
constexpr uint32_t kWindowBytes = 1U << 30;
constexpr uint32_t kWindowPieceBytes = 1U << 26;

void AppendBigEndian(uint64_t value, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t BigEndian(const char* data, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(data[i]);
  return value;
}

void AppendFrame(FrameType type, uint8_t flags, uint32_t stream, absl::string_view body, std::string* out) {
  AppendBigEndian(body.size(), 3, out);
  out->push_back(static_cast<char>(type));
  out->push_back(static_cast<char>(flags));
  AppendBigEndian(stream, 4, out);
  absl::StrAppend(out, body);
}

// A literal header field without indexing (RFC 7541, 6.2.2), neither text longer than 126 bytes.
void AppendHeader(absl::string_view name, absl::string_view value, std::string* out) {
  out->push_back(0);
  out->push_back(static_cast<char>(name.size()));
  absl::StrAppend(out, name);
  out->push_back(static_cast<char>(value.size()));
  absl::StrAppend(out, value);
}

std::string Window(uint32_t bytes) {
  std::string body;
  AppendBigEndian(bytes, 4, &body);
  return body;
}

std::string Opening(const Subscription& subscription) {
  v1::SubscribeRequest request;
  v1::Membership* membership = request.add_memberships();
  membership->set_group(subscription.group.address);
  membership->set_port(subscription.group.port);
  membership->set_interface(subscription.group.interface);
  if (subscription.oldest) request.mutable_start()->mutable_oldest();

  std::string out(kPreface);
  std::string settings;
  AppendBigEndian(kSettingInitialWindow, 2, &settings);
  AppendBigEndian(kWindowBytes, 4, &settings);
  AppendFrame(kSettings, 0, 0, settings, &out);
  AppendFrame(kWindowUpdate, 0, 0, Window(kWindowBytes - kInitialWindowBytes), &out);
  std::string headers;
  AppendHeader(":method", "POST", &headers);
  AppendHeader(":scheme", "http", &headers);
  AppendHeader(":path", kPath, &headers);
  AppendHeader(":authority", "localhost", &headers);
  AppendHeader("te", "trailers", &headers);
  AppendHeader("content-type", "application/grpc", &headers);
  AppendFrame(kHeaders, kEndHeaders, kStream, headers, &out);
  const std::string body = request.SerializeAsString();
  std::string message(1, '\0');
  AppendBigEndian(body.size(), 4, &message);
  AppendFrame(kData, kEndStream, kStream, message + body, &out);
  return out;
}

// Reads the wire format of protobuf. After anything malformed it is at its end and not ok.
class FieldReader {
 public:
  FieldReader(const char* data, size_t size) : at_(data), end_(data + size) {}

  bool Next() {
    if (at_ == end_) return false;
    const uint64_t tag = Varint();
    number_ = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0:
        value_ = Varint();
        return ok_;
      case 1:
        return Take(8);
      case 2:
        return Take(Varint());
      case 5:
        return Take(4);
      default:
        return Fail();
    }
  }

  uint32_t number() const { return number_; }
  uint64_t value() const { return value_; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  bool ok() const { return ok_; }

 private:
  bool Fail() {
    ok_ = false;
    at_ = end_;
    return false;
  }

  bool Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) return Fail();
    data_ = at_;
    size_ = size;
    at_ += size;
    return ok_;
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }

  const char* at_;
  const char* const end_;
  const char* data_ = nullptr;
  size_t size_ = 0;
  uint64_t value_ = 0;
  uint32_t number_ = 0;
  bool ok_ = true;
};

class GrpcReader : public Reader {
 public:
  explicit GrpcReader(OwnedFd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }
  bool ready() const override { return ready_; }

  absl::Status Send(absl::string_view bytes) {
    // A few bytes into an empty send buffer; more never waits there.
    if (send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
      return ErrnoError("send to mcgwd");
    }
    return absl::OkStatus();
  }

  absl::Status Receive() override {
    const ssize_t got = recv(fd_.get(), &buffer_[filled_], buffer_.size() - filled_, MSG_DONTWAIT);
    if (got == 0) return absl::UnavailableError("mcgwd ended the connection");
    if (got < 0) return errno == EAGAIN ? absl::OkStatus() : ErrnoError("recv from mcgwd");
    now_ns_ = NowNs();
    filled_ += static_cast<size_t>(got);
    size_t at = 0;
    while (filled_ - at >= kFrameHeaderBytes) {
      const char* header = &buffer_[at];
      const size_t size = BigEndian(header, 3);
      if (size + kFrameHeaderBytes > buffer_.size()) return absl::InternalError("a frame larger than was allowed");
      if (filled_ - at - kFrameHeaderBytes < size) break;
      auto status = TakeFrame(static_cast<FrameType>(header[3]), static_cast<uint8_t>(header[4]),
                              {header + kFrameHeaderBytes, size});
      if (!status.ok()) return status;
      at += kFrameHeaderBytes + size;
    }
    filled_ -= at;
    std::memmove(buffer_.data(), &buffer_[at], filled_);
    return absl::OkStatus();
  }

 private:
  absl::Status TakeFrame(FrameType type, uint8_t flags, absl::string_view body) {
    std::string answer;
    switch (type) {
      case kData:
        if ((flags & (kPadded | kEndStream)) != 0) return absl::InternalError("unexpected flags of a DATA frame");
        return TakeData(body);
      case kHeaders:
        if ((flags & kEndStream) == 0) return absl::OkStatus();
        return absl::UnavailableError(absl::StrCat("mcgwd ended the stream: ", body));
      case kReset:
      case kGoAway:
        return absl::UnavailableError("mcgwd reset the stream or the connection");
      case kSettings:
        if ((flags & kAck) != 0) return absl::OkStatus();
        AppendFrame(kSettings, kAck, 0, {}, &answer);
        return Send(answer);
      case kPing:
        if ((flags & kAck) != 0) return absl::OkStatus();
        AppendFrame(kPing, kAck, 0, body, &answer);
        return Send(answer);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status TakeData(absl::string_view body) {
    taken_bytes_ += static_cast<uint32_t>(body.size());
    if (taken_bytes_ >= kWindowPieceBytes) {
      std::string update;
      AppendFrame(kWindowUpdate, 0, 0, Window(taken_bytes_), &update);
      AppendFrame(kWindowUpdate, 0, kStream, Window(taken_bytes_), &update);
      taken_bytes_ = 0;
      if (auto status = Send(update); !status.ok()) return status;
    }
    // Whole messages are read in place; parts are put together first.
    while (!body.empty()) {
      if (partial_.empty()) {
        const size_t whole = MessageBytes(body);
        if (whole != 0 && body.size() >= whole) {
          if (auto status = TakeMessage(body.substr(0, whole)); !status.ok()) return status;
          body.remove_prefix(whole);
          continue;
        }
      }
      const size_t whole = MessageBytes(partial_);
      const size_t wanted = (whole == 0 ? kMessageHeaderBytes : whole) - partial_.size();
      const size_t take = std::min(wanted, body.size());
      absl::StrAppend(&partial_, body.substr(0, take));
      body.remove_prefix(take);
      if (partial_.size() == MessageBytes(partial_)) {
        if (auto status = TakeMessage(partial_); !status.ok()) return status;
        partial_.clear();
      }
    }
    return absl::OkStatus();
  }

  // Of the message that begins here, with its header; 0 if that is not known yet.
  static size_t MessageBytes(absl::string_view data) {
    return data.size() < kMessageHeaderBytes ? 0 : kMessageHeaderBytes + BigEndian(data.data() + 1, 4);
  }

  absl::Status TakeMessage(absl::string_view message) {
    if (message[0] != 0) return absl::InternalError("a compressed message");
    message.remove_prefix(kMessageHeaderBytes);
    // All events of a message precede all its datagrams in time.
    FieldReader events(message.data(), message.size());
    while (events.Next()) {
      if (events.number() != v1::SubscribeResponse::kEventsFieldNumber) continue;
      v1::Event event;
      if (!event.ParseFromArray(events.data(), static_cast<int>(events.size()))) {
        return absl::InternalError("an event that cannot be read");
      }
      TakeEvent(event);
    }
    FieldReader datagrams(message.data(), message.size());
    while (datagrams.Next()) {
      if (datagrams.number() == v1::SubscribeResponse::kDatagramsFieldNumber) {
        TakeDatagram(datagrams.data(), datagrams.size());
      }
    }
    return datagrams.ok() ? absl::OkStatus() : absl::InternalError("a message that cannot be read");
  }

  void TakeEvent(const v1::Event& event) {
    if (event.has_subscribed()) {
      ready_ = true;
      for (const v1::ChannelState& state : event.subscribed().channels()) {
        account().StartSequence(state.channel().next_sequence());
      }
    } else if (event.has_gap() && event.gap().has_range()) {
      account().TakeRange(event.gap().range().first(), event.gap().range().last());
    } else if (event.has_gap()) {
      account().TakeUnknownGap();
    }
  }

  void TakeDatagram(const char* data, size_t size) {
    FieldReader fields(data, size);
    uint64_t sequence = 0;
    const char* payload = nullptr;
    size_t payload_bytes = 0;
    while (fields.Next()) {
      if (fields.number() == v1::Datagram::kSequenceFieldNumber) {
        sequence = fields.value();
      } else if (fields.number() == v1::Datagram::kPayloadFieldNumber) {
        payload = fields.data();
        payload_bytes = fields.size();
      }
    }
    account().TakeSequence(sequence);
    account().Take(payload, payload_bytes, now_ns_);
  }

  const OwnedFd fd_;
  std::vector<char> buffer_ = std::vector<char>(256 << 10);
  size_t filled_ = 0;
  std::string partial_;
  uint32_t taken_bytes_ = 0;
  int64_t now_ns_ = 0;
  bool ready_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reader>> MakeGrpcReader(const std::string& target, const Subscription& subscription) {
  auto fd = Connect(target);
  if (!fd.ok()) return fd.status();
  auto reader = std::make_unique<GrpcReader>(*std::move(fd));
  if (auto status = reader->Send(Opening(subscription)); !status.ok()) return status;
  return reader;
}

}  // namespace mcgw::bench
