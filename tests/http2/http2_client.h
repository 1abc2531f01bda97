// A client of HTTP/2 for tests: nghttp2's, on its end of a pair of sockets.

#ifndef MCGW_TESTS_HTTP2_HTTP2_CLIENT_H_
#define MCGW_TESTS_HTTP2_HTTP2_CLIENT_H_

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http2/stream.h"
#include "server/net/owned_fd.h"

namespace mcgw::http2 {

class Http2Client {
 public:
  // What has come of a response.
  struct Response {
    std::vector<Fields> fields;  // Those at the beginning, then the trailers.
    std::string body;
    bool ended = false;
    std::optional<uint32_t> closed;  // With this error code.
  };

  // `fd` is one end of a pair. `window_bytes`: of each stream; of the connection too, if
  // larger than usual.
  explicit Http2Client(net::OwnedFd fd, uint32_t window_bytes = 65535);
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;
  ~Http2Client();

  // Begins a request; with `open` its body follows by Body.
  int32_t Request(const Fields& more = {}, bool open = false, const std::string& path = "/service/Method");
  void Body(int32_t id, std::string_view bytes, bool last);
  void Reset(int32_t id) { nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL); }
  void Ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

  // Sends what there is to send, as far as the socket takes it.
  void Send();
  // Takes at most `most` bytes that have come. Returns how many.
  size_t Receive(size_t most = SIZE_MAX);
  void SendRaw(std::string_view bytes);
  // Of a server with threads of its own: goes on until `done`. False: it was not within 20 s, or the connection ended.
  bool Until(const std::function<bool()>& done);

  const Response& response(int32_t id) { return responses_[id]; }
  // The last streams that GOAWAY frames named.
  const std::vector<int32_t>& goaways() const { return goaways_; }
  int pings() const { return pings_; }      // Asked by the server,
  int answers() const { return answers_; }  // and answered by it.
  bool over() const { return over_; }       // The server has closed the connection.

 private:
  struct Upload {
    std::string bytes;
    bool last = false;
    bool deferred = false;
  };

  static Http2Client* Of(void* self) { return static_cast<Http2Client*>(self); }

  const net::OwnedFd fd_;
  nghttp2_session* session_ = nullptr;
  std::string out_;
  std::map<int32_t, Response> responses_;
  std::map<int32_t, Upload> uploads_;
  std::vector<int32_t> goaways_;
  int pings_ = 0;
  int answers_ = 0;
  bool over_ = false;
};

}  // namespace mcgw::http2

#endif  // MCGW_TESTS_HTTP2_HTTP2_CLIENT_H_
