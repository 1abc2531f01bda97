#include "server/http2/frame_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "server/net/invariant.h"

namespace mcgw::http2 {
namespace {

// The largest payload of a frame (RFC 9113, section 4.2). A frame buffer is larger.
constexpr size_t kPayloadBytes = 16 << 10;

}  // namespace

void* FrameBuffer::AllocateBlock(size_t size, void* self) {
  auto* const buffer = static_cast<FrameBuffer*>(self);
  if (!buffer->lending_ || size <= kPayloadBytes || size > buffer->room_.size()) return std::malloc(size);
  buffer->lending_ = false;
  return buffer->room_.data();
}

void FrameBuffer::FreeBlock(void* block, void* self) {
  if (block != static_cast<FrameBuffer*>(self)->room_.data()) std::free(block);
}

void* FrameBuffer::ReallocateBlock(void* block, size_t size, void* self) {
  const auto& room = static_cast<FrameBuffer*>(self)->room_;
  if (block != nullptr && block != room.data()) return std::realloc(block, size);
  void* const moved = AllocateBlock(size, self);
  if (moved != nullptr && block != nullptr) std::memcpy(moved, block, std::min(size, room.size()));
  return moved;
}

nghttp2_mem FrameBuffer::Lend() {
  lending_ = true;
  return {.mem_user_data = this,
          .malloc = AllocateBlock,
          .free = FreeBlock,
          .calloc = [](size_t count, size_t size, void*) { return std::calloc(count, size); },
          .realloc = ReallocateBlock};
}

int FrameBuffer::Send(nghttp2_session* session) {
  MCGW_INVARIANT(!sending_);  // Not from within a callback of another session.
  sending_ = true;
  const int result = nghttp2_session_send(session);
  sending_ = false;
  return result;
}

}  // namespace mcgw::http2
