// Clients of NATS (its text protocol) and of ZeroMQ (ZMTP 3.0 with the NULL mechanism), as far as one subscription to
// an orderly server needs them.

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "bench/sockets.h"
#include "bench/stream_reader.h"

namespace mcgw::bench {
namespace {

constexpr absl::string_view kLineEnd = "\r\n";

class NatsReader : public StreamReader {
 public:
  using StreamReader::StreamReader;

  bool ready() const override { return ready_; }

 private:
  absl::StatusOr<size_t> TakeFrames(absl::string_view data, int64_t now_ns) override {
    size_t at = 0;
    while (true) {
      const absl::string_view rest = data.substr(at);
      const size_t end = rest.find(kLineEnd);
      if (end == absl::string_view::npos) return at;
      const absl::string_view line = rest.substr(0, end);
      size_t frame_bytes = end + kLineEnd.size();
      if (absl::StartsWith(line, "MSG ")) {
        size_t size = 0;  // The last word of "MSG SUBJECT SID SIZE".
        if (!absl::SimpleAtoi(line.substr(line.rfind(' ') + 1), &size)) return absl::InternalError("no size of a MSG");
        const size_t payload = frame_bytes;
        frame_bytes += size + kLineEnd.size();
        if (rest.size() < frame_bytes) return at;
        TakeDatagram(rest.substr(payload, size), frame_bytes, now_ns);
      } else if (line == "PONG") {
        ready_ = true;
      } else if (line == "PING") {
        if (auto status = Send("PONG\r\n"); !status.ok()) return status;
      } else if (absl::StartsWith(line, "-ERR")) {
        return absl::InternalError(absl::StrCat("nats-server said ", line));
      }
      at += frame_bytes;
    }
  }

  bool ready_ = false;
};

constexpr size_t kGreetingBytes = 64;
constexpr absl::string_view kSubscribeToAll("\0\x01\x01", 3);

// Signature, version 3.0, the mechanism NULL, not a server.
std::string ZmtpGreeting() {
  std::string greeting(kGreetingBytes, '\0');
  greeting[0] = '\xff';
  greeting[9] = '\x7f';
  greeting[10] = 3;
  greeting.replace(12, 4, "NULL");
  return greeting;
}

class ZmqReader : public StreamReader {
 public:
  using StreamReader::StreamReader;

  bool ready() const override { return ready_; }

 private:
  static constexpr uint8_t kLong = 2, kCommand = 4;

  absl::StatusOr<size_t> TakeFrames(absl::string_view data, int64_t now_ns) override {
    size_t at = 0;
    if (!greeted_) {
      if (data.size() < kGreetingBytes) return at;
      at = kGreetingBytes;
      greeted_ = true;
    }
    while (true) {
      const absl::string_view rest = data.substr(at);
      const uint8_t flags = rest.empty() ? 0 : static_cast<uint8_t>(rest[0]);
      const size_t head = (flags & kLong) != 0 ? 9 : 2;
      if (rest.size() < head) return at;
      size_t size = 0;
      for (size_t i = 1; i < head; ++i) size = size << 8 | static_cast<uint8_t>(rest[i]);
      if (rest.size() - head < size) return at;
      if ((flags & kCommand) != 0 && !subscribed_) {
        // READY. A message that came to the relay before it had sent that would end the connection.
        if (auto status = Send(kSubscribeToAll); !status.ok()) return status;
        subscribed_ = true;
      } else if ((flags & kCommand) == 0) {
        // The relay answers a subscription with an empty message.
        if (size == 0) ready_ = true;
        if (size != 0) TakeDatagram(rest.substr(head, size), head + size, now_ns);
      }
      at += head + size;
    }
  }

  bool greeted_ = false;
  bool subscribed_ = false;
  bool ready_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reader>> MakeNatsReader(uint16_t server_port) {
  auto fd = Connect(absl::StrCat("127.0.0.1:", server_port));
  if (!fd.ok()) return fd.status();
  auto reader = std::make_unique<NatsReader>(*std::move(fd));
  const std::string hello =
      absl::StrCat("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB ", kNatsSubject, " 1\r\nPING\r\n");
  if (auto status = reader->Send(hello); !status.ok()) return status;
  return reader;
}

absl::StatusOr<std::unique_ptr<Reader>> MakeZmqReader(uint16_t server_port) {
  auto fd = Connect(absl::StrCat("127.0.0.1:", server_port));
  if (!fd.ok()) return fd.status();
  auto reader = std::make_unique<ZmqReader>(*std::move(fd));
  const std::string property = absl::StrCat(absl::string_view("\x0bSocket-Type\0\0\0\x03SUB", 19));
  const std::string ready = absl::StrCat(absl::string_view("\x05READY", 6), property);
  const std::string hello =
      absl::StrCat(ZmtpGreeting(), std::string(1, '\x04'), std::string(1, static_cast<char>(ready.size())), ready);
  if (auto status = reader->Send(hello); !status.ok()) return status;
  return reader;
}

}  // namespace mcgw::bench
