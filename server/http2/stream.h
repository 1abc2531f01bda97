// One exchange of an HTTP/2 connection: a request and its response.

#ifndef MCGW_HTTP2_STREAM_H_
#define MCGW_HTTP2_STREAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http2/request_check.h"

namespace mcgw::http2 {

class Connection;

struct Field {
  std::string name;  // Lower case.
  std::string value;
};
using Fields = std::vector<Field>;

// What a server does with an exchange. Called on the thread of the connection.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;

  // Bytes of the request's body. Until Stream::Consume has returned them, they take room in the client's window.
  virtual void OnData(std::string_view bytes) = 0;
  // The client has sent all of its request.
  virtual void OnRequestEnd() = 0;
  // The kernel has taken what was given to Stream::Write.
  virtual void OnWritten() = 0;
  // The exchange is over: answered, reset, or its connection is gone. The Stream is gone when this returns. Called
  // once, and last.
  virtual void OnClosed() = 0;
};

// The response. Belongs to its Connection, and to that connection's thread. The connection itself ends the exchange of
// a request that turns out malformed; what is written after that, until OnClosed, is dropped.
class Stream {
 public:
  Stream(Connection* connection, int32_t id) : connection_(connection), id_(id) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int32_t id() const { return id_; }
  Connection* connection() const { return connection_; }

  // Begins the response.
  void Respond(const Fields& fields);
  // Adds to the response's body. Borrows the pieces until OnWritten or OnClosed; until then Write must not be called
  // again. At least one byte; at most kMostPieces.
  static constexpr size_t kMostPieces = 3;
  void Write(std::initializer_list<std::string_view> pieces);
  // Ends the response after all that was written, with trailers, if any; without Respond, these are its only fields.
  void End(const Fields& trailers);
  // Ends the exchange at once. `code`: an error code of RFC 9113, section 7.
  void Reset(uint32_t code);
  // Allows the client to send as many bytes more.
  void Consume(size_t bytes);

  // Whether Write has been called and OnWritten has not.
  bool writing() const { return writing_; }
  // Whether End or Reset has been called.
  bool ended() const { return ended_; }

 private:
  friend class Connection;

  size_t LeftBytes() const;

  Connection* const connection_;
  const int32_t id_;
  Fields request_;  // Until it is complete.
  RequestCheck check_;
  bool malformed_ = false;
  uint64_t received_bytes_ = 0;  // Of the body.
  size_t request_bytes_ = 0;
  bool too_many_fields_ = false;
  bool request_ended_ = false;
  std::shared_ptr<StreamHandler> handler_;
  size_t unconsumed_bytes_ = 0;

  std::array<std::string_view, kMostPieces> pieces_;  // Not yet in frames.
  Fields trailers_;
  bool responded_ = false;
  bool writing_ = false;
  bool ended_ = false;
  bool has_trailers_ = false;  // Still to be sent.
  bool deferred_ = false;      // Its frames wait for Write or End.
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_STREAM_H_
