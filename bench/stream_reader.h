// What the readers of byte streams over TCP have in common.

#ifndef MCGW_BENCH_STREAM_READER_H_
#define MCGW_BENCH_STREAM_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/reader.h"
#include "bench/sockets.h"

namespace mcgw::bench {

// Not thread-safe.
class StreamReader : public Reader {
 public:
  explicit StreamReader(OwnedFd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }
  absl::Status Receive() override;
  bool StopLooking() override;
  uint64_t received_bytes() const override { return received_bytes_; }
  uint64_t datagram_bytes() const override { return datagram_bytes_; }

  // A few bytes, which fit into an empty send buffer.
  absl::Status Send(absl::string_view bytes);

 protected:
  // Takes whole frames off the beginning of `data`, and returns how many bytes those were.
  virtual absl::StatusOr<size_t> TakeFrames(absl::string_view data, int64_t now_ns) = 0;

  // For TakeFrames: a datagram, and the bytes that its frame takes.
  void TakeDatagram(absl::string_view payload, size_t frame_bytes, int64_t now_ns) {
    account().Take(payload.data(), payload.size(), now_ns);
    datagram_bytes_ += frame_bytes;
  }

 private:
  const OwnedFd fd_;
  std::vector<char> buffer_ = std::vector<char>(256 << 10);
  size_t filled_ = 0;
  bool looking_ = true;
  uint64_t received_bytes_ = 0;
  uint64_t datagram_bytes_ = 0;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_STREAM_READER_H_
