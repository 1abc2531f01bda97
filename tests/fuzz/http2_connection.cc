// A connection of HTTP/2 whose client sends any bytes, in pieces of any size, and takes what it likes. Its requests are
// answered in every way there is. In the end all streams are closed, and nothing is called after that.

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/http2/connection.h"
#include "server/net/clock.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {
namespace {

// So that inputs need not spell it.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class FuzzedTransport final : public http2::Transport {
 public:
  explicit FuzzedTransport(fuzz::Input* input) : input_(input), fd_(eventfd(1, EFD_CLOEXEC)) {}

  ssize_t Read(char* buffer, size_t size) override {
    if (!preface_sent_) {
      preface_sent_ = true;
      std::copy(kPreface.begin(), kPreface.end(), buffer);
      return kPreface.size();
    }
    if (input_->empty()) return 0;
    const std::string_view bytes = input_->Bytes(std::min(size, 1 + input_->Below(256)));
    if (bytes.empty()) return 0;
    std::copy(bytes.begin(), bytes.end(), buffer);
    return static_cast<ssize_t>(bytes.size());
  }
  ssize_t Write(const iovec* buffers, int count) override {
    const size_t choice = input_->Below(8);
    if (choice == 1) return kWouldBlock;
    if (choice == 2 && input_->Below(8) == 1) return kBroken;
    size_t size = 0;
    for (int i = 0; i < count; ++i) {
      // What was lent must still be there.
      copied_.assign(static_cast<const char*>(buffers[i].iov_base), buffers[i].iov_len);
      size += buffers[i].iov_len;
    }
    FUZZ_CHECK(size > 0);
    return static_cast<ssize_t>(choice == 3 ? 1 + input_->Below(size) : size);
  }
  bool drained() const override { return true; }
  int fd() const override { return fd_.get(); }

 private:
  fuzz::Input* const input_;
  const net::OwnedFd fd_;
  bool preface_sent_ = false;
  std::string copied_;
};

class Server final : public http2::Connection::Owner {
 public:
  explicit Server(fuzz::Input* input) : input_(input) {
    connection_ = std::make_unique<http2::Connection>(std::make_unique<FuzzedTransport>(input), http2::Peer(),
                                                      http2::Connection::Limits{.max_streams = 10}, loop_.get(), this);
    FUZZ_CHECK(connection_->Start().ok());
  }
  ~Server() override {
    connection_->Cut();
    FUZZ_CHECK(over_ && open_ == 0);
  }

  bool Step() {
    loop_->RunOnce(absl::ZeroDuration());
    if (flush_ && !over_) {
      flush_ = false;
      connection_->Flush();
    }
    if (over_) return false;
    if (input_->Below(64) == 1) connection_->CheckPeer(time_.monotonic_ns += 10'000'000'000);
    if (input_->Below(64) == 1) connection_->Drain();
    return true;
  }

 private:
  class Handler final : public http2::StreamHandler {
   public:
    Handler(Server* server, http2::Stream* stream) : server_(server), stream_(stream) { ++server_->open_; }
    ~Handler() override { FUZZ_CHECK(stream_ == nullptr); }

    void Act() {
      FUZZ_CHECK(stream_ != nullptr);
      switch (server_->input_->Below(8)) {
        case 0:
          if (!responded_ && !stream_->ended()) {
            stream_->Respond({{":status", "200"}});
            responded_ = true;
          }
          break;
        case 1:
        case 2:
        case 3:
          if (!responded_ || stream_->writing() || stream_->ended()) break;
          body_.assign(1 + server_->input_->Below(40'000), 'x');
          stream_->Write({"head", body_});
          break;
        case 4:
          if (!stream_->ended())
            stream_->End(responded_ ? http2::Fields{{"t", "1"}} : http2::Fields{{":status", "200"}});
          break;
        case 5:
          if (!stream_->ended()) stream_->Reset(8);
          break;
        default:
          stream_->Consume(std::exchange(unconsumed_, 0));
      }
    }
    void OnData(std::string_view bytes) override {
      unconsumed_ += bytes.size();
      Act();
    }
    void OnRequestEnd() override { Act(); }
    void OnWritten() override {
      body_.assign(body_.size(), 'y');
      Act();
    }
    void OnClosed() override {
      FUZZ_CHECK(stream_ != nullptr);
      stream_ = nullptr;
      --server_->open_;
    }

   private:
    Server* const server_;
    http2::Stream* stream_;
    std::string body_;
    size_t unconsumed_ = 0;
    bool responded_ = false;
  };

  std::shared_ptr<http2::StreamHandler> OnRequest(http2::Stream* stream, http2::Fields, bool) override {
    FUZZ_CHECK(!over_);
    auto handler = std::make_shared<Handler>(this, stream);
    handler->Act();
    return handler;
  }
  void FlushSoon(http2::Connection*) override { flush_ = true; }
  void OnEnd(http2::Connection*) override {
    FUZZ_CHECK(!over_);
    over_ = true;
  }
  absl::Span<char> read_buffer() override { return absl::MakeSpan(buffer_); }
  http2::FrameBuffer* frame_buffer() override { return &frames_; }

  fuzz::Input* const input_;
  net::SimulatedTime time_{.monotonic_ns = 1'000'000'000'000, .unix_ns = 0};
  const std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::Create().value();
  std::vector<char> buffer_ = std::vector<char>(4096);
  http2::FrameBuffer frames_;  // Outlives the connection.
  std::unique_ptr<http2::Connection> connection_;
  int open_ = 0;
  bool flush_ = false;
  bool over_ = false;
};

}  // namespace

FUZZ_TARGET(http2_connection) {
  fuzz::Input bytes(input);
  Server server(&bytes);
  while (server.Step()) {
  }
}

}  // namespace mcgw
