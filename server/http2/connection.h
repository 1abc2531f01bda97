// The server's end of one HTTP/2 connection (RFC 9113), by nghttp2.
//
// A response's bytes are not copied: frames refer to them until the kernel has taken them. What a client does not take
// stays with its stream's handler, of which at most one Write is here; so a client that does not read costs no more
// than its socket's buffer.

#ifndef MCGW_HTTP2_CONNECTION_H_
#define MCGW_HTTP2_CONNECTION_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/http2/frame_buffer.h"
#include "server/http2/stream.h"
#include "server/http2/transport.h"
#include "server/net/event_loop.h"

namespace mcgw::http2 {

// Belongs to the thread of its loop.
class Connection final : private net::EventLoop::Handler {
 public:
  struct Limits {
    uint32_t max_streams = 100;               // Open at a time.
    size_t max_header_bytes = 8 << 10;        // Of a request's fields: names, values and 32 for each (RFC 9113, 6.5.2).
    int32_t stream_window_bytes = 256 << 10;  // What a client may send of a request before it is consumed,
    int32_t window_bytes = 1 << 20;           // and of all requests.
  };

  // Who has it.
  class Owner {
   public:
    virtual ~Owner() = default;
    // A request has begun. `too_many_fields`: they exceed the limit, and some are missing.
    virtual std::shared_ptr<StreamHandler> OnRequest(Stream* stream, Fields request, bool too_many_fields) = 0;
    // The connection has something to write: call Flush soon, but not now.
    virtual void FlushSoon(Connection* connection) = 0;
    // The connection has ended, and all its streams with it. Destroy it, but not now.
    virtual void OnEnd(Connection* connection) = 0;
    // Room to read into.
    virtual absl::Span<char> read_buffer() = 0;
    // Shared by all its connections, and outlives them.
    virtual FrameBuffer* frame_buffer() = 0;
  };

  // All arguments outlive it.
  Connection(std::unique_ptr<Transport> transport, Peer peer, const Limits& limits, net::EventLoop* loop, Owner* owner);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override;

  // Begins to serve.
  absl::Status Start();
  // Writes what the kernel takes.
  void Flush();
  // Asks the client to go elsewhere (GOAWAY); open streams go on, and the connection ends after the last.
  void Drain();
  // Ends it now, with all streams. Tells the client (GOAWAY) if the socket has room.
  void Cut();
  // Once a second: asks an idle peer whether it is still there, and ends the connection if it does not answer.
  void CheckPeer(int64_t now_ns);

  const Peer& peer() const { return peer_; }
  // Whether Owner::OnEnd has been called.
  bool ended() const { return ended_; }
  size_t open_streams() const { return streams_.size(); }

 private:
  friend class Stream;

  // Bytes to write: their own, or borrowed from a stream.
  struct Segment {
    std::string own;
    std::string_view borrowed;
    Stream* lender = nullptr;   // Of `borrowed`.
    int32_t ends_write_of = 0;  // The stream of which this is the last of a Write; 0: none.
    std::string_view bytes() const { return lender != nullptr ? borrowed : std::string_view(own); }
  };

  void OnReadable() override;
  void OnWritable() override;
  // Lets those go on whose data had no room in the queue.
  void ResumeHeld();
  // Puts frames into the queue as long as there is room.
  bool FillQueue();
  // Takes `bytes` off the queue. Adds the streams whose Write is done to `written`.
  void Advance(size_t bytes, std::vector<int32_t>* written);
  void End();
  void Touch() {
    if (!std::exchange(touched_, true)) owner_->FlushSoon(this);
  }
  Stream* Find(int32_t id);
  void Begin(Stream* stream);
  void EndRequest(Stream* stream);
  // Of RFC 9113, section 8.1.1.
  void RefuseMalformed(Stream* stream);
  void CloseStream(int32_t id);

  // nghttp2's callbacks.
  static nghttp2_session_callbacks* Callbacks();
  static ssize_t OnSend(nghttp2_session*, const uint8_t* data, size_t size, int, void* self);
  static int OnSendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t size,
                        nghttp2_data_source* source, void* self);
  static ssize_t OnReadSource(nghttp2_session*, int32_t id, uint8_t*, size_t size, uint32_t* flags,
                              nghttp2_data_source* source, void* self);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* self);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self);
  static int OnStreamClosed(nghttp2_session*, int32_t id, uint32_t, void* self);

  const std::unique_ptr<Transport> transport_;
  const Peer peer_;
  const Limits limits_;
  net::EventLoop* const loop_;
  Owner* const owner_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<Segment> queue_;
  size_t queue_first_ = 0;   // The first that is not written,
  size_t queue_offset_ = 0;  // and how much of it is.
  size_t queued_bytes_ = 0;
  std::vector<int32_t> written_;
  std::vector<int32_t> held_;  // Streams whose data found the queue full.
  bool watching_writable_ = false;
  bool touched_ = false;  // FlushSoon has been called.
  bool ended_ = false;
  bool draining_ = false;
  bool last_goaway_ = false;
  int64_t heard_ns_ = 0;  // When something was last read, or the kernel last took something.
  int64_t ping_ns_ = 0;   // When the ping that is unanswered was sent; 0: none.
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_CONNECTION_H_
