// Where frames are made.
//
// nghttp2 has a buffer of 16 KiB in each session for that, which would be the greater part of an idle connection's
// memory. It holds something only during a call of nghttp2_session_send, if the callbacks take all that they are given;
// so the sessions of one thread can share one.

#ifndef MCGW_HTTP2_FRAME_BUFFER_H_
#define MCGW_HTTP2_FRAME_BUFFER_H_

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>

namespace mcgw::http2 {

// Outlives the sessions that share it, and belongs to their thread.
class FrameBuffer {
 public:
  // An allocator for a new session, of which the first block that can be its frame buffer is this one. Once the
  // session is made, call EndLending.
  nghttp2_mem Lend();
  void EndLending() { lending_ = false; }
  // nghttp2_session_send, with the buffer for this session alone.
  int Send(nghttp2_session* session);
  // Overwrites what is in it: for tests.
  void Spoil(char with) { room_.fill(with); }

 private:
  static void* AllocateBlock(size_t size, void* self);
  static void FreeBlock(void* block, void* self);
  static void* ReallocateBlock(void* block, size_t size, void* self);

  std::array<char, (16 << 10) + 64> room_;
  bool lending_ = false;  // The new session has not got it yet.
  bool sending_ = false;
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_FRAME_BUFFER_H_
