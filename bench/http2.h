// HTTP/2 (RFC 9113) and gRPC's framing, as far as a lean client of an orderly gRPC server needs them: it keeps to the
// server's flow control, and decodes no header blocks, so that of a call's end it knows only that it came.

#ifndef MCGW_BENCH_HTTP2_H_
#define MCGW_BENCH_HTTP2_H_

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "bench/wire.h"

namespace mcgw::bench {

inline constexpr uint32_t kWidestWindowBytes = 1U << 30;

// Not thread-safe.
class Http2Client {
 public:
  // Told of what comes. A status that is not OK ends Receive with it.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A message of a call, without its prefix; valid during the call.
    virtual absl::Status TakeMessage(uint32_t call, absl::string_view message) = 0;
    // The server ended the call. `block`: the header block of the trailers, for texts of errors.
    virtual absl::Status TakeEnd(uint32_t call, absl::string_view block) = 0;
  };

  // `listener` outlives this object. `window_bytes`: how much of each call the server may send
  // before it hears that it was read, which is long after.
  Http2Client(Wire wire, Listener* listener, uint32_t window_bytes = kWidestWindowBytes);
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  int fd() const { return wire_.fd(); }

  // Opens a call of "/SERVICE/METHOD". Nothing is sent before Flush.
  uint32_t Open(absl::string_view path);
  // Adds a message to the call; with `last` the client's half of the call ends.
  void Write(uint32_t call, absl::string_view message, bool last);
  // Sends what the server's flow control allows, waiting at most a second for the socket; the rest goes with a later
  // Receive.
  absl::Status Flush();
  // Whether all that was written has been sent.
  bool flushed() const { return writes_.empty() && out_.empty(); }

  // Takes what has come, once. UNAVAILABLE if the server ended the connection.
  absl::Status Receive();
  // Takes away at most `most` bytes that have come, without looking at them; from now on Receive cannot be used.
  // Returns how many, 0 if there are none. Only for TCP.
  absl::StatusOr<size_t> Discard(size_t most);

  // That have been read from the connection, by Receive and Discard.
  uint64_t received_bytes() const { return received_bytes_; }

 private:
  struct Call {
    int64_t window_bytes;
    std::string partial;  // Of the message that comes.
  };
  struct PendingWrite {
    uint32_t call;
    std::string data;
    size_t sent;
    bool last;
  };

  void PutRequestHeaders(uint32_t call, absl::string_view path);
  void PutAllowedData();
  absl::Status ReceiveOnce();
  absl::Status TakeFrame(uint8_t type, uint8_t flags, uint32_t call, absl::string_view body);
  absl::Status TakeData(uint8_t flags, uint32_t call, absl::string_view body);
  absl::Status TakeSettings(uint8_t flags, absl::string_view body);
  void GiveWindowBack(uint32_t call, size_t bytes);

  Wire wire_;
  Listener* const listener_;
  std::unordered_map<uint32_t, Call> calls_;
  std::vector<std::string> known_paths_;  // In the order in which they entered the server's header table.
  std::deque<PendingWrite> writes_;
  std::string out_;
  std::vector<char> buffer_;
  size_t filled_ = 0;
  uint64_t received_bytes_ = 0;
  uint32_t next_call_ = 1;
  uint32_t unreturned_bytes_ = 0;
  int64_t sign_of_life_ns_ = 0;
  int64_t window_bytes_;  // Of the connection.
  int64_t first_window_bytes_;
  size_t frame_bytes_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_HTTP2_H_
