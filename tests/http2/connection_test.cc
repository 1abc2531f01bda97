// A connection and its streams, with a real client at the other end of a pair of sockets.

#include "server/http2/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "server/net/clock.h"
#include "tests/http2/http2_client.h"

namespace mcgw::http2 {
namespace {

using ::testing::ElementsAre;

const Fields kHead = {{":status", "200"}, {"content-type", "text/plain"}};
const Fields kTrailers = {{"result", "0"}};

// Remembers what happens to it. Answers only what the test says.
struct Handler final : StreamHandler {
  explicit Handler(Stream* the_stream) : stream(the_stream) {}
  void OnData(std::string_view bytes) override {
    received += bytes;
    if (consumes) stream->Consume(bytes.size());
  }
  void OnRequestEnd() override { request_ended = true; }
  void OnWritten() override {
    ++written;
    if (on_written) on_written();
  }
  void OnClosed() override {
    closed = true;
    stream = nullptr;
  }

  Stream* stream;
  std::string received;
  bool consumes = true;
  bool request_ended = false;
  int written = 0;
  bool closed = false;
  std::function<void()> on_written;
};

// Hands on a few bytes at a time of what has come, as TLS does of a record: the descriptor does not show the rest.
class SlicingTransport final : public Transport {
 public:
  explicit SlicingTransport(net::OwnedFd fd) : inner_(NewPlainTransport(std::move(fd))) {}
  ssize_t Read(char* buffer, size_t size) override {
    if (rest_.empty()) {
      char all[4096];
      const ssize_t got = inner_->Read(all, sizeof(all));
      if (got <= 0) return got;
      rest_.assign(all, static_cast<size_t>(got));
    }
    const size_t taken = std::min({size, rest_.size(), size_t{7}});
    rest_.copy(buffer, taken);
    rest_.erase(0, taken);
    return static_cast<ssize_t>(taken);
  }
  ssize_t Write(const iovec* buffers, int count) override { return inner_->Write(buffers, count); }
  bool has_pending() const override { return !rest_.empty(); }
  bool drained() const override { return inner_->drained(); }
  int fd() const override { return inner_->fd(); }

 private:
  const std::unique_ptr<Transport> inner_;
  std::string rest_;
};

class ConnectionTest : public ::testing::Test, private Connection::Owner {
 protected:
  ~ConnectionTest() override {
    net::simulated_time = nullptr;
    if (connection_ != nullptr) connection_->Cut();
  }

  using NewTransport = std::unique_ptr<Transport> (*)(net::OwnedFd);
  void Connect(const Connection::Limits& limits = {}, uint32_t client_window_bytes = 65535, int buffer_bytes = 0,
               NewTransport new_transport = NewPlainTransport) {
    int fds[2] = {-1, -1};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (buffer_bytes != 0) setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    client_.emplace(net::OwnedFd(fds[1]), client_window_bytes);
    connection_ =
        std::make_unique<Connection>(new_transport(net::OwnedFd(fds[0])), Peer{.address = "test", .identity = {}},
                                     limits, loop_.get(), static_cast<Connection::Owner*>(this));
    ASSERT_TRUE(connection_->Start().ok());
  }
  // The server's side, until it has nothing more to do.
  void Serve() {
    do {
      if (std::exchange(flush_, false) && !over_) connection_->Flush();
    } while (loop_->RunOnce(absl::ZeroDuration()) > 0 || flush_);
  }
  // Both sides, until nothing moves.
  void Exchange() {
    do {
      client_->Send();
      Serve();
    } while (client_->Receive() > 0);
  }
  // The handler of a new request, whose fields have come.
  std::shared_ptr<Handler> Request(const Fields& more = {}, bool open = false) {
    const size_t before = handlers_.size();
    last_id_ = client_->Request(more, open);
    Exchange();
    EXPECT_EQ(handlers_.size(), before + 1);
    return handlers_.back();
  }

  const std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::Create().value();
  std::optional<Http2Client> client_;
  FrameBuffer frames_;  // Outlives the connection.
  std::unique_ptr<Connection> connection_;
  std::vector<std::shared_ptr<Handler>> handlers_;
  std::vector<Fields> requests_;
  bool too_many_fields_ = false;
  bool over_ = false;
  int32_t last_id_ = 0;
  net::SimulatedTime time_{.monotonic_ns = 1'000'000'000'000, .unix_ns = 0};

 private:
  std::shared_ptr<StreamHandler> OnRequest(Stream* stream, Fields request, bool too_many_fields) override {
    requests_.push_back(std::move(request));
    too_many_fields_ = too_many_fields;
    handlers_.push_back(std::make_shared<Handler>(stream));
    return handlers_.back();
  }
  void FlushSoon(Connection*) override { flush_ = true; }
  void OnEnd(Connection*) override { over_ = true; }
  absl::Span<char> read_buffer() override { return absl::MakeSpan(buffer_); }
  FrameBuffer* frame_buffer() override { return &frames_; }

  std::vector<char> buffer_ = std::vector<char>(16384);
  bool flush_ = false;
};

TEST_F(ConnectionTest, AnAnswerHasFieldsABodyAndTrailers) {
  Connect();
  const auto handler = Request({{"user", "me"}});
  EXPECT_TRUE(handler->request_ended);
  EXPECT_EQ(requests_.back().back().value, "me");
  const std::string head = "head ";
  const std::string body = "and body";
  handler->stream->Respond(kHead);
  handler->stream->Write({head, body});
  Exchange();
  EXPECT_EQ(handler->written, 1);
  EXPECT_FALSE(client_->response(last_id_).ended);
  handler->stream->End(kTrailers);
  Exchange();
  const Http2Client::Response& response = client_->response(last_id_);
  EXPECT_EQ(response.body, "head and body");
  ASSERT_EQ(response.fields.size(), 2u);
  EXPECT_EQ(response.fields[1].front().name, "result");
  EXPECT_TRUE(response.ended);
  EXPECT_TRUE(handler->closed);
  EXPECT_EQ(connection_->open_streams(), 0u);
}

TEST_F(ConnectionTest, AnAnswerMayBeTrailersOnly) {
  Connect();
  const auto handler = Request();
  handler->stream->End({{":status", "200"}, {"result", "5"}});
  Exchange();
  ASSERT_EQ(client_->response(last_id_).fields.size(), 1u);
  EXPECT_TRUE(client_->response(last_id_).ended);
  EXPECT_TRUE(handler->closed);
}

TEST_F(ConnectionTest, AnAnswerMayHaveNoTrailers) {
  Connect();
  const auto handler = Request({}, true);
  handler->stream->Respond(kHead);
  handler->stream->Write({"text"});
  handler->stream->End({});
  Exchange();
  EXPECT_EQ(client_->response(last_id_).body, "text");
  EXPECT_EQ(client_->response(last_id_).fields.size(), 1u);
  EXPECT_TRUE(client_->response(last_id_).ended);
  EXPECT_EQ(client_->response(last_id_).closed, NGHTTP2_NO_ERROR);
}

TEST_F(ConnectionTest, TheEndComesAfterWhatIsStillBeingWritten) {
  Connect();
  const auto handler = Request();
  const std::string body(100'000, 'b');
  handler->stream->Respond(kHead);
  handler->stream->Write({body});
  handler->stream->End(kTrailers);
  Exchange();
  EXPECT_EQ(client_->response(last_id_).body, body);
  EXPECT_EQ(client_->response(last_id_).fields.size(), 2u);
}

TEST_F(ConnectionTest, ABodyPassesASmallWindowAndASmallBuffer) {
  Connect({}, 1000, 4096);
  const auto handler = Request();
  std::string body;
  for (int i = 0; i < 60'000; ++i) body += std::to_string(i);
  handler->stream->Respond(kHead);
  handler->stream->Write({std::string_view(body).substr(0, 7), std::string_view(body).substr(7)});
  for (int i = 0; i < 20; ++i) {
    client_->Send();
    Serve();
    EXPECT_EQ(handler->written, 0);
    client_->Receive(1000);
  }
  Exchange();
  EXPECT_EQ(handler->written, 1);
  EXPECT_EQ(client_->response(last_id_).body, body);
}

// More than the queue holds, from many streams at once: whose data finds it full goes on later, also after other
// connections have made their frames in the same buffer.
TEST_F(ConnectionTest, ManyLargeBodiesPassASmallBuffer) {
  constexpr int kStreams = 8;
  Connect({}, 1 << 20, 4096);
  std::vector<std::shared_ptr<Handler>> handlers;
  std::vector<int32_t> ids;
  std::vector<std::string> bodies;
  for (int i = 0; i < kStreams; ++i) {
    handlers.push_back(Request());
    ids.push_back(last_id_);
    bodies.push_back(std::string(200'000, static_cast<char>('a' + i)));
  }
  for (int i = 0; i < kStreams; ++i) {
    handlers[i]->stream->Respond(kHead);
    handlers[i]->stream->Write({bodies[i]});
    handlers[i]->stream->End(kTrailers);
  }
  do {
    client_->Send();
    frames_.Spoil('x');
    Serve();
    frames_.Spoil('y');
  } while (client_->Receive() > 0);
  for (int i = 0; i < kStreams; ++i) {
    EXPECT_TRUE(handlers[i]->closed);
    EXPECT_TRUE(client_->response(ids[i]).body == bodies[i]) << i;
    EXPECT_EQ(client_->response(ids[i]).fields.back().back().value, "0");
  }
}

// Its frames do not fit into the buffer that connections share.
TEST_F(ConnectionTest, FieldsMayBeLongerThanAFrame) {
  Connect({}, 65535, 4096);
  const auto handler = Request();
  Fields head = kHead;
  for (int i = 0; i < 8; ++i)
    head.push_back({"long-" + std::to_string(i), std::string(6000, static_cast<char>('a' + i))});
  handler->stream->Respond(head);
  handler->stream->End(kTrailers);
  Exchange();
  const auto& fields = client_->response(last_id_).fields;
  ASSERT_EQ(fields.size(), 2u);
  ASSERT_EQ(fields[0].size(), head.size());
  for (size_t i = 0; i < head.size(); ++i) EXPECT_TRUE(fields[0][i].value == head[i].value) << head[i].name;
  EXPECT_TRUE(client_->response(last_id_).ended);
}

TEST_F(ConnectionTest, AHandlerWritesOnAsSoonAsTheKernelHasTakenIt) {
  Connect();
  const auto handler = Request();
  const std::string piece(3000, 'p');
  handler->on_written = [&] {
    if (handler->written < 50) handler->stream->Write({piece});
  };
  handler->stream->Respond(kHead);
  handler->stream->Write({piece});
  Exchange();
  EXPECT_EQ(handler->written, 50);
  EXPECT_EQ(client_->response(last_id_).body.size(), 50 * piece.size());
}

TEST_F(ConnectionTest, AStreamThatIsResetInsideAFrameHarmsNoOther) {
  Connect({}, 1 << 20, 4096);
  const auto doomed = Request();
  const int32_t doomed_id = last_id_;
  auto body = std::make_unique<std::string>(200'000, 'd');
  doomed->stream->Respond(kHead);
  doomed->stream->Write({*body});
  Serve();
  client_->Receive(5000);  // The kernel has a part of a frame.
  client_->Reset(doomed_id);
  client_->Send();
  Serve();
  EXPECT_TRUE(doomed->closed);
  body->assign(body->size(), '#');
  body.reset();
  const auto next = Request();
  next->stream->Respond(kHead);
  next->stream->Write({"fine"});
  next->stream->End(kTrailers);
  Exchange();
  EXPECT_EQ(client_->response(last_id_).body, "fine");
  EXPECT_EQ(client_->response(doomed_id).body.find_first_not_of('d'), std::string::npos);
  EXPECT_FALSE(over_);
}

TEST_F(ConnectionTest, ARequestStopsAtTheWindowUntilItIsConsumed) {
  Connect({.stream_window_bytes = 10'000});
  const auto handler = Request({}, true);
  handler->consumes = false;
  client_->Body(last_id_, std::string(50'000, 'r'), true);
  Exchange();
  EXPECT_EQ(handler->received.size(), 10'000u);
  EXPECT_FALSE(handler->request_ended);
  while (!handler->request_ended) {
    const size_t before = handler->received.size();
    handler->stream->Consume(10'000);
    Exchange();
    ASSERT_GT(handler->received.size(), before);
  }
  EXPECT_EQ(handler->received.size(), 50'000u);
}

TEST_F(ConnectionTest, WhatAClosedStreamDidNotConsumeIsGivenBackToTheConnection) {
  Connect({.stream_window_bytes = 60'000, .window_bytes = 100'000});
  for (int i = 0; i < 10; ++i) {
    const auto handler = Request({}, true);
    handler->consumes = false;
    client_->Body(last_id_, std::string(60'000, 'r'), false);
    Exchange();
    ASSERT_EQ(handler->received.size(), 60'000u) << i;
    client_->Reset(last_id_);
    Exchange();
    ASSERT_TRUE(handler->closed);
  }
}

TEST_F(ConnectionTest, AClientThatStillSendsLearnsThatItIsAnswered) {
  Connect();
  const auto handler = Request({}, true);
  handler->stream->End({{":status", "200"}});
  Exchange();
  EXPECT_TRUE(handler->closed);
  EXPECT_EQ(client_->response(last_id_).closed, NGHTTP2_NO_ERROR);
}

TEST_F(ConnectionTest, TooManyFieldsAreToldAndNotKept) {
  Connect({.max_header_bytes = 1000});
  const auto handler = Request({{"large", std::string(2000, 'x')}, {"last", "1"}});
  EXPECT_TRUE(too_many_fields_);
  size_t bytes = 0;
  for (const Field& field : requests_.back()) bytes += field.name.size() + field.value.size();
  EXPECT_LE(bytes, 1000u);
  handler->stream->End({{":status", "200"}});
  Exchange();
  EXPECT_TRUE(client_->response(last_id_).ended);
}

TEST_F(ConnectionTest, MalformedRequestsAreReset) {
  Connect();
  const Fields malformed[] = {{{"connection", "close"}}, {{"content-length", "3"}}};
  for (const Fields& more : malformed) {
    last_id_ = client_->Request(more);
    Exchange();
    EXPECT_EQ(client_->response(last_id_).closed, NGHTTP2_PROTOCOL_ERROR) << more.front().name;
  }
  EXPECT_FALSE(over_);
  EXPECT_EQ(connection_->open_streams(), 0u);
}

TEST_F(ConnectionTest, WhatIsWrittenAfterAMalformedEndIsDropped) {
  Connect({}, 1 << 30, 4096);
  const auto full = Request();
  const std::string body(1 << 20, 'f');
  full->stream->Respond(kHead);
  full->stream->Write({body});
  Serve();  // The client reads nothing, so the reset of the next stream waits.
  last_id_ = client_->Request({{"content-length", "3"}}, true);
  client_->Body(last_id_, "four", true);
  client_->Send();
  Serve();
  ASSERT_EQ(handlers_.size(), 2u);
  const auto malformed = handlers_.back();
  ASSERT_FALSE(malformed->closed);
  malformed->stream->Respond(kHead);
  malformed->stream->Write({"too late"});
  malformed->stream->End(kTrailers);
  Exchange();
  EXPECT_TRUE(malformed->closed);
  EXPECT_EQ(malformed->written, 0);
  EXPECT_EQ(client_->response(last_id_).closed, NGHTTP2_PROTOCOL_ERROR);
}

TEST_F(ConnectionTest, StreamsAreBounded) {
  Connect({.max_streams = 3});
  Exchange();
  for (int i = 0; i < 10; ++i) client_->Request();
  Exchange();
  EXPECT_EQ(handlers_.size(), 3u);
  handlers_.front()->stream->End({{":status", "200"}});
  Exchange();
  EXPECT_EQ(handlers_.size(), 4u);
}

TEST_F(ConnectionTest, BytesThatAreNoHttpEndTheConnectionAndItsStreams) {
  Connect();
  const auto handler = Request();
  client_->SendRaw(std::string(100, '\xff'));
  Serve();
  client_->Receive();
  EXPECT_TRUE(over_);
  EXPECT_TRUE(handler->closed);
}

TEST_F(ConnectionTest, AClientThatGoesEndsItsStreams) {
  Connect();
  const auto handler = Request();
  client_.reset();
  Serve();
  EXPECT_TRUE(handler->closed);
  EXPECT_TRUE(over_);
}

TEST_F(ConnectionTest, ADrainedConnectionServesItsStreamsToTheEnd) {
  Connect();
  const auto handler = Request();
  connection_->Drain();
  Exchange();
  ASSERT_THAT(client_->goaways(), ElementsAre(0x7fffffff, last_id_));
  EXPECT_FALSE(over_);
  handler->stream->Respond(kHead);
  handler->stream->Write({"still here"});
  Exchange();
  EXPECT_EQ(client_->response(last_id_).body, "still here");
  handler->stream->End(kTrailers);
  Exchange();
  EXPECT_TRUE(over_);
}

TEST_F(ConnectionTest, AnIdlePeerIsAskedAndCutWhenItDoesNotAnswer) {
  net::simulated_time = &time_;
  Connect();
  Exchange();
  connection_->CheckPeer(time_.monotonic_ns += 9'000'000'000);
  Exchange();
  EXPECT_EQ(client_->pings(), 0);
  connection_->CheckPeer(time_.monotonic_ns += 1'000'000'000);
  Serve();
  client_->Receive();
  EXPECT_EQ(client_->pings(), 1);
  Exchange();  // It answers.
  connection_->CheckPeer(time_.monotonic_ns += 10'000'000'000);
  Serve();  // It does not.
  EXPECT_FALSE(over_);
  connection_->CheckPeer(time_.monotonic_ns += 9'000'000'000);
  EXPECT_FALSE(over_);
  connection_->CheckPeer(time_.monotonic_ns += 1'000'000'000);
  EXPECT_TRUE(over_);
}

TEST_F(ConnectionTest, APeerThatHasNotReadWhatWasSentIsNotAsked) {
  net::simulated_time = &time_;
  Connect();
  const auto handler = Request();
  handler->stream->Respond(kHead);
  handler->stream->Write({"unread"});
  Serve();
  for (int i = 0; i < 100; ++i) {
    connection_->CheckPeer(time_.monotonic_ns += 1'000'000'000);
    Serve();
  }
  EXPECT_FALSE(over_);
  client_->Receive();
  EXPECT_EQ(client_->pings(), 0);
}

TEST_F(ConnectionTest, WhatTheTransportHoldsBackIsReadToo) {
  Connect({}, 65535, 0, [](net::OwnedFd fd) -> std::unique_ptr<Transport> {
    return std::make_unique<SlicingTransport>(std::move(fd));
  });
  const auto handler = Request({{"user", std::string(100, 'u')}}, true);
  client_->Body(last_id_, std::string(3000, 'b'), true);
  Exchange();
  EXPECT_EQ(handler->received, std::string(3000, 'b'));
  EXPECT_TRUE(handler->request_ended);
}

TEST_F(ConnectionTest, PingsAreAnswered) {
  Connect();
  for (int i = 0; i < 20; ++i) client_->Ping();
  Exchange();
  EXPECT_EQ(client_->answers(), 20);
}

}  // namespace
}  // namespace mcgw::http2
