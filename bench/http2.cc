#include "bench/http2.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kPrefixBytes = 5;  // Before each message of gRPC.
constexpr size_t kBufferBytes = 256 << 10;
constexpr int kSendPatienceMs = 1000;

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
constexpr uint16_t kSettingFrameBytes = 5;
constexpr int64_t kDefaultWindowBytes = 65'535;
constexpr size_t kDefaultFrameBytes = 16'384;
constexpr size_t kMostFrameBytes = 64 << 10;  // That this client sends.
// Wide enough that TCP alone limits; what was taken is given back in large pieces.
constexpr uint32_t kWindowPieceBytes = 1U << 26;

// A server that hears nothing for long pings, and ends a connection that does not answer, as one that discards cannot.
constexpr int64_t kSignOfLifeNs = int64_t{2} * 1'000'000'000;

// Of the static and dynamic tables of HPACK (RFC 7541). The dynamic table holds, the newest first: the paths that were
// used after the first one, the three other fields, the first path.
constexpr uint8_t kIndexed = 0x80;
constexpr uint8_t kAddToTable = 0x40;
constexpr uint8_t kAuthorityName = 1, kMethodPost = 3, kPathName = 4, kSchemeHttp = 6, kContentTypeName = 31;
constexpr uint8_t kFirstDynamic = 62;
constexpr size_t kCommonFields = 3;

void AppendBigEndian(uint64_t value, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t BigEndian(const char* data, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(data[i]);
  return value;
}

void AppendFrameHeader(FrameType type, uint8_t flags, uint32_t call, size_t bytes, std::string* out) {
  AppendBigEndian(bytes, 3, out);
  out->push_back(static_cast<char>(type));
  out->push_back(static_cast<char>(flags));
  AppendBigEndian(call, 4, out);
}

void AppendFrame(FrameType type, uint8_t flags, uint32_t call, absl::string_view body, std::string* out) {
  AppendFrameHeader(type, flags, call, body.size(), out);
  absl::StrAppend(out, body);
}

// A field that enters the dynamic table (RFC 7541, 6.2.1). `name`: its index in the static table, or 0 and its text.
// No text is longer than 126 bytes.
void AppendField(uint8_t name, absl::string_view name_text, absl::string_view value, std::string* out) {
  out->push_back(static_cast<char>(kAddToTable | name));
  if (name == 0) absl::StrAppend(out, std::string(1, static_cast<char>(name_text.size())), name_text);
  absl::StrAppend(out, std::string(1, static_cast<char>(value.size())), value);
}

void AppendIndex(size_t index, std::string* out) { out->push_back(static_cast<char>(kIndexed | index)); }

std::string WindowBody(uint32_t bytes) {
  std::string body;
  AppendBigEndian(bytes, 4, &body);
  return body;
}

// Of the message that begins here, with its prefix; 0 if that is not known yet.
size_t MessageBytes(absl::string_view data) {
  return data.size() < kPrefixBytes ? 0 : kPrefixBytes + BigEndian(data.data() + 1, 4);
}

}  // namespace

Http2Client::Http2Client(Wire wire, Listener* listener, uint32_t window_bytes)
    : wire_(std::move(wire)),
      listener_(listener),
      out_(kPreface),
      buffer_(kBufferBytes),
      window_bytes_(kDefaultWindowBytes),
      first_window_bytes_(kDefaultWindowBytes),
      frame_bytes_(kDefaultFrameBytes) {
  std::string settings;
  AppendBigEndian(kSettingInitialWindow, 2, &settings);
  AppendBigEndian(window_bytes, 4, &settings);
  AppendFrame(kSettings, 0, 0, settings, &out_);
  AppendFrame(kWindowUpdate, 0, 0, WindowBody(kWidestWindowBytes - kDefaultWindowBytes), &out_);
}

uint32_t Http2Client::Open(absl::string_view path) {
  const uint32_t call = next_call_;
  next_call_ += 2;
  calls_.emplace(call, Call{first_window_bytes_, {}});
  PutRequestHeaders(call, path);
  return call;
}

void Http2Client::PutRequestHeaders(uint32_t call, absl::string_view path) {
  std::string block;
  AppendIndex(kMethodPost, &block);
  AppendIndex(kSchemeHttp, &block);
  const bool first = known_paths_.empty();
  const auto place = static_cast<size_t>(std::ranges::find(known_paths_, path) - known_paths_.begin());
  if (place == known_paths_.size()) {
    AppendField(kPathName, {}, path, &block);
    known_paths_.emplace_back(path);
  } else {
    const size_t later = known_paths_.size() - 1 - place;
    AppendIndex(kFirstDynamic + later + (place == 0 ? kCommonFields : 0), &block);
  }
  if (first) {
    AppendField(kAuthorityName, {}, "localhost", &block);
    AppendField(0, "te", "trailers", &block);
    AppendField(kContentTypeName, {}, "application/grpc", &block);
  } else {
    const size_t newest = kFirstDynamic + known_paths_.size() - 1;
    for (size_t i = kCommonFields; i-- > 0;) AppendIndex(newest + i, &block);
  }
  AppendFrame(kHeaders, kEndHeaders, call, block, &out_);
}

void Http2Client::Write(uint32_t call, absl::string_view message, bool last) {
  std::string data(1, '\0');
  AppendBigEndian(message.size(), 4, &data);
  absl::StrAppend(&data, message);
  writes_.push_back({.call = call, .data = std::move(data), .sent = 0, .last = last});
}

void Http2Client::PutAllowedData() {
  while (!writes_.empty()) {
    PendingWrite& write = writes_.front();
    const auto call = calls_.find(write.call);
    if (call == calls_.end()) {  // The server has ended it.
      writes_.pop_front();
      continue;
    }
    const int64_t window = std::min(window_bytes_, call->second.window_bytes);
    if (window <= 0) return;
    const size_t left = write.data.size() - write.sent;
    const size_t size = std::min({left, static_cast<size_t>(window), frame_bytes_});
    const bool last = write.last && size == left;
    AppendFrame(kData, last ? kEndStream : 0, write.call, absl::string_view(write.data).substr(write.sent, size),
                &out_);
    write.sent += size;
    window_bytes_ -= static_cast<int64_t>(size);
    call->second.window_bytes -= static_cast<int64_t>(size);
    if (write.sent == write.data.size()) writes_.pop_front();
  }
}

absl::Status Http2Client::Flush() {
  PutAllowedData();
  size_t sent = 0;
  while (sent != out_.size()) {
    const ssize_t size = wire_.Send(&out_[sent], out_.size() - sent);
    if (size > 0) {
      sent += static_cast<size_t>(size);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return ErrnoError("send to the server");
    pollfd writable = {.fd = wire_.fd(), .events = POLLOUT, .revents = 0};
    if (poll(&writable, 1, kSendPatienceMs) == 0) return absl::DeadlineExceededError("the server reads nothing");
  }
  out_.clear();
  return absl::OkStatus();
}

absl::Status Http2Client::Receive() {
  do {
    if (auto status = ReceiveOnce(); !status.ok()) return status;
  } while (wire_.has_pending());
  return absl::OkStatus();
}

absl::Status Http2Client::ReceiveOnce() {
  const ssize_t got = wire_.Receive(&buffer_[filled_], buffer_.size() - filled_);
  if (got == 0) return absl::UnavailableError("the server ended the connection");
  if (got < 0) return errno == EAGAIN || errno == EINTR ? absl::OkStatus() : ErrnoError("recv from the server");
  received_bytes_ += static_cast<uint64_t>(got);
  filled_ += static_cast<size_t>(got);
  size_t at = 0;
  while (filled_ - at >= kFrameHeaderBytes) {
    const char* header = &buffer_[at];
    const size_t size = BigEndian(header, 3);
    if (size + kFrameHeaderBytes > buffer_.size()) return absl::InternalError("a frame larger than was allowed");
    if (filled_ - at - kFrameHeaderBytes < size) break;
    const auto status = TakeFrame(static_cast<uint8_t>(header[3]), static_cast<uint8_t>(header[4]),
                                  BigEndian(header + 5, 4), {header + kFrameHeaderBytes, size});
    if (!status.ok()) return status;
    at += kFrameHeaderBytes + size;
  }
  filled_ -= at;
  std::memmove(buffer_.data(), &buffer_[at], filled_);
  return flushed() ? absl::OkStatus() : Flush();
}

absl::StatusOr<size_t> Http2Client::Discard(size_t most) {
  const ssize_t got = wire_.Discard(most);
  if (got == 0) return absl::UnavailableError("the server ended the connection");
  if (got < 0 && errno != EAGAIN && errno != EINTR) return ErrnoError("recv from the server");
  if (const int64_t now_ns = NowNs(); now_ns - sign_of_life_ns_ > kSignOfLifeNs) {
    sign_of_life_ns_ = now_ns;
    AppendFrame(kWindowUpdate, 0, 0, WindowBody(1), &out_);
    if (auto status = Flush(); !status.ok()) return status;
  }
  const size_t taken = got < 0 ? 0 : static_cast<size_t>(got);
  received_bytes_ += taken;
  return taken;
}

absl::Status Http2Client::TakeFrame(uint8_t type, uint8_t flags, uint32_t call, absl::string_view body) {
  switch (type) {
    case kData:
      return TakeData(flags, call, body);
    case kHeaders:
      if ((flags & kEndStream) == 0) return absl::OkStatus();
      calls_.erase(call);
      return listener_->TakeEnd(call, body);
    case kReset:
      calls_.erase(call);
      return listener_->TakeEnd(call, "reset");
    case kGoAway:
      return absl::UnavailableError(absl::StrCat("the server is ending the connection: ", body.substr(8)));
    case kSettings:
      return TakeSettings(flags, body);
    case kPing:
      if ((flags & kAck) == 0) AppendFrame(kPing, kAck, 0, body, &out_);
      return absl::OkStatus();
    case kWindowUpdate: {
      const uint32_t bytes = BigEndian(body.data(), 4);
      if (call == 0) window_bytes_ += bytes;
      if (const auto at = calls_.find(call); at != calls_.end()) at->second.window_bytes += bytes;
      return absl::OkStatus();
    }
    default:
      return absl::OkStatus();
  }
}

absl::Status Http2Client::TakeSettings(uint8_t flags, absl::string_view body) {
  if ((flags & kAck) != 0) return absl::OkStatus();
  for (; body.size() >= 6; body.remove_prefix(6)) {
    const uint32_t setting = BigEndian(body.data(), 2), value = BigEndian(body.data() + 2, 4);
    if (setting == kSettingFrameBytes) frame_bytes_ = std::min<size_t>(value, kMostFrameBytes);
    if (setting != kSettingInitialWindow) continue;
    for (auto& [unused, call] : calls_) call.window_bytes += int64_t{value} - first_window_bytes_;
    first_window_bytes_ = value;
  }
  AppendFrame(kSettings, kAck, 0, {}, &out_);
  return absl::OkStatus();
}

void Http2Client::GiveWindowBack(uint32_t call, size_t bytes) {
  unreturned_bytes_ += static_cast<uint32_t>(bytes);
  if (unreturned_bytes_ < kWindowPieceBytes) return;
  AppendFrame(kWindowUpdate, 0, 0, WindowBody(unreturned_bytes_), &out_);
  AppendFrame(kWindowUpdate, 0, call, WindowBody(unreturned_bytes_), &out_);
  unreturned_bytes_ = 0;
}

absl::Status Http2Client::TakeData(uint8_t flags, uint32_t call, absl::string_view body) {
  if ((flags & (kPadded | kEndStream)) != 0) return absl::InternalError("unexpected flags of a DATA frame");
  const auto at = calls_.find(call);
  if (at == calls_.end()) return absl::OkStatus();
  GiveWindowBack(call, body.size());
  // Whole messages are read in place; parts are put together first.
  std::string& partial = at->second.partial;
  while (!body.empty()) {
    absl::string_view message;
    if (partial.empty() && MessageBytes(body) != 0 && body.size() >= MessageBytes(body)) {
      message = body.substr(0, MessageBytes(body));
      body.remove_prefix(message.size());
    } else {
      const size_t whole = MessageBytes(partial);
      const size_t wanted = (whole == 0 ? kPrefixBytes : whole) - partial.size();
      const size_t take = std::min(wanted, body.size());
      absl::StrAppend(&partial, body.substr(0, take));
      body.remove_prefix(take);
      if (partial.size() != MessageBytes(partial)) continue;
      message = partial;
    }
    if (message[0] != 0) return absl::InternalError("a compressed message");
    if (auto status = listener_->TakeMessage(call, message.substr(kPrefixBytes)); !status.ok()) return status;
    if (message.data() == partial.data()) partial.clear();
  }
  return absl::OkStatus();
}

}  // namespace mcgw::bench
