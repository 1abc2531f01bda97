#include "server/http2/connection.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <utility>

#include "server/net/clock.h"
#include "server/net/invariant.h"

namespace mcgw::http2 {
namespace {

// Frames are made while fewer bytes than this wait for the kernel: enough for a few calls of sendmsg.
constexpr size_t kQueueBytes = 256 << 10;
constexpr size_t kQueueSegments = 1024;
constexpr int kMostBuffers = 64;
// A segment of its own bytes grows up to this.
constexpr size_t kJoinedBytes = 1024;
// Less than this is copied: one buffer costs the kernel less than three.
constexpr size_t kCopiedBytes = 2048;
// A field counts with this many bytes more than it has (RFC 9113, section 6.5.2).
constexpr size_t kFieldOverheadBytes = 32;

// A peer that has been silent for so long is asked, and has as long to answer.
constexpr int64_t kSilenceNs = 10'000'000'000;

nghttp2_nv NameValue(const Field& field) {
  const auto bytes = [](const std::string& text) { return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data())); };
  return {.name = bytes(field.name),
          .value = bytes(field.value),
          .namelen = field.name.size(),
          .valuelen = field.value.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

std::vector<nghttp2_nv> NameValues(const Fields& fields) {
  std::vector<nghttp2_nv> values;
  values.reserve(fields.size());
  for (const Field& field : fields) values.push_back(NameValue(field));
  return values;
}

}  // namespace

// ---- Stream ----

size_t Stream::LeftBytes() const {
  size_t bytes = 0;
  for (const std::string_view piece : pieces_) bytes += piece.size();
  return bytes;
}

void Stream::Respond(const Fields& fields) {
  MCGW_INVARIANT(!responded_);
  if (ended_) return;
  responded_ = true;
  const std::vector<nghttp2_nv> values = NameValues(fields);
  nghttp2_data_provider provider = {.source = {.ptr = this}, .read_callback = &Connection::OnReadSource};
  nghttp2_submit_response(connection_->session_, id_, values.data(), values.size(), &provider);
  connection_->Touch();
}

void Stream::Write(std::initializer_list<std::string_view> pieces) {
  if (ended_) return;
  MCGW_INVARIANT(responded_ && !writing_ && pieces.size() <= kMostPieces);
  std::copy(pieces.begin(), pieces.end(), pieces_.begin());
  MCGW_INVARIANT(LeftBytes() > 0);
  writing_ = true;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(connection_->session_, id_);
  connection_->Touch();
}

void Stream::End(const Fields& trailers) {
  if (std::exchange(ended_, true)) return;
  if (!responded_) {
    responded_ = true;
    const std::vector<nghttp2_nv> values = NameValues(trailers);
    nghttp2_submit_response(connection_->session_, id_, values.data(), values.size(), nullptr);
  } else {
    trailers_ = trailers;
    has_trailers_ = true;
    if (std::exchange(deferred_, false)) nghttp2_session_resume_data(connection_->session_, id_);
  }
  connection_->Touch();
}

void Stream::Reset(uint32_t code) {
  ended_ = true;
  nghttp2_submit_rst_stream(connection_->session_, NGHTTP2_FLAG_NONE, id_, code);
  connection_->Touch();
}

void Stream::Consume(size_t bytes) {
  MCGW_INVARIANT(bytes <= unconsumed_bytes_);
  unconsumed_bytes_ -= bytes;
  nghttp2_session_consume(connection_->session_, id_, bytes);
  connection_->Touch();
}

// ---- Connection ----

Connection::Connection(std::unique_ptr<Transport> transport, Peer peer, const Limits& limits, net::EventLoop* loop,
                       Owner* owner)
    : transport_(std::move(transport)),
      peer_(std::move(peer)),
      limits_(limits),
      loop_(loop),
      owner_(owner),
      heard_ns_(net::MonotonicNs()) {}

Connection::~Connection() {
  MCGW_INVARIANT(streams_.empty());
  nghttp2_session_del(session_);
}

nghttp2_session_callbacks* Connection::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_send_callback(made, &OnSend);
    nghttp2_session_callbacks_set_send_data_callback(made, &OnSendData);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, &OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(made, &OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, &OnFrame);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, &OnFrameSent);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, &OnChunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, &OnStreamClosed);
    return made;
  }();
  return callbacks;
}

absl::Status Connection::Start() {
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_http_messaging(option, 1);  // RequestCheck does it.
  FrameBuffer* const frames = owner_->frame_buffer();
  nghttp2_mem memory = frames->Lend();
  const int made = nghttp2_session_server_new3(&session_, Callbacks(), this, option, &memory);
  frames->EndLending();
  nghttp2_option_del(option);
  if (made != 0) return absl::ResourceExhaustedError(nghttp2_strerror(made));
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.max_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(limits_.stream_window_bytes)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits_.max_header_bytes)},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, limits_.window_bytes);
  if (absl::Status status = loop_->Add(transport_->fd(), this); !status.ok()) return status;
  Touch();
  return absl::OkStatus();
}

void Connection::OnReadable() {
  do {
    const absl::Span<char> buffer = owner_->read_buffer();
    const ssize_t got = transport_->Read(buffer.data(), buffer.size());
    if (got == Transport::kWouldBlock) return;
    if (got <= 0) return End();
    heard_ns_ = net::MonotonicNs();
    ping_ns_ = 0;
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer.data()), static_cast<size_t>(got));
    Flush();  // With an error, this is what tells the client (GOAWAY).
    if (taken < 0) return End();
  } while (!ended_ && transport_->has_pending());
}

void Connection::OnWritable() { Flush(); }

void Connection::ResumeHeld() {
  for (const int32_t id : std::exchange(held_, {})) {
    Stream* const stream = Find(id);
    if (stream != nullptr && std::exchange(stream->deferred_, false)) nghttp2_session_resume_data(session_, id);
  }
}

bool Connection::FillQueue() {
  if (queued_bytes_ < kQueueBytes && !held_.empty()) ResumeHeld();
  while (queued_bytes_ < kQueueBytes && queue_.size() - queue_first_ < kQueueSegments) {
    const size_t before = queued_bytes_;
    if (owner_->frame_buffer()->Send(session_) != 0) return false;
    if (queued_bytes_ == before) break;
  }
  return true;
}

void Connection::Flush() {
  if (ended_) return;
  touched_ = false;
  std::vector<int32_t> written = std::exchange(written_, {});
  bool blocked = false;
  bool broken = false;
  while (!blocked && !broken) {
    broken = !FillQueue();
    if (queued_bytes_ == 0) break;
    std::array<iovec, kMostBuffers> buffers;
    int count = 0;
    size_t offset = queue_offset_;
    for (size_t at = queue_first_; at < queue_.size() && count < kMostBuffers; ++at) {
      const std::string_view bytes = queue_[at].bytes().substr(offset);
      offset = 0;
      buffers[count++] = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    }
    const ssize_t sent = transport_->Write(buffers.data(), count);
    if (sent == Transport::kWouldBlock) {
      blocked = true;
    } else if (sent < 0) {
      broken = true;
    } else {
      Advance(static_cast<size_t>(sent), &written);
      heard_ns_ = net::MonotonicNs();
    }
  }
  for (const int32_t id : written) {
    Stream* const stream = Find(id);
    if (stream == nullptr) continue;
    stream->writing_ = false;
    if (const std::shared_ptr<StreamHandler> handler = stream->handler_; handler != nullptr) handler->OnWritten();
  }
  written.clear();
  written_ = std::move(written);  // For its capacity.
  if (broken) return End();
  if (blocked != watching_writable_) {
    watching_writable_ = blocked;
    loop_->WatchWritable(transport_->fd(), this, blocked);
  }
  const bool over = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (queued_bytes_ == 0 && (over || (last_goaway_ && streams_.empty()))) End();
}

void Connection::Advance(size_t bytes, std::vector<int32_t>* written) {
  MCGW_INVARIANT(bytes <= queued_bytes_);
  queued_bytes_ -= bytes;
  while (bytes > 0) {
    Segment& segment = queue_[queue_first_];
    const size_t left = segment.bytes().size() - queue_offset_;
    if (bytes < left) {
      queue_offset_ += bytes;
      return;
    }
    bytes -= left;
    queue_offset_ = 0;
    ++queue_first_;
    if (segment.ends_write_of != 0) written->push_back(segment.ends_write_of);
  }
  if (queue_first_ == queue_.size()) {
    queue_.clear();
    queue_first_ = 0;
  } else if (queue_first_ >= kQueueSegments) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(queue_first_));
    queue_first_ = 0;
  }
}

void Connection::Drain() {
  if (ended_ || std::exchange(draining_, true)) return;
  // The client learns of it before its new streams are refused: those on the way come before its answer to the ping.
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  Touch();
}

void Connection::Cut() {
  if (ended_) return;
  nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  Flush();
  End();
}

void Connection::CheckPeer(int64_t now_ns) {
  if (ended_) return;
  if (ping_ns_ != 0) {
    if (now_ns - std::max(ping_ns_, heard_ns_) >= kSilenceNs) End();
    return;
  }
  // A ping waits behind unread data, and would take a slow reader for one that is gone.
  if (now_ns - heard_ns_ < kSilenceNs || queued_bytes_ > 0 || !transport_->drained()) return;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  ping_ns_ = now_ns;
  Touch();
}

void Connection::End() {
  if (std::exchange(ended_, true)) return;
  loop_->Remove(transport_->fd(), this);
  queue_.clear();
  queue_first_ = 0;
  queued_bytes_ = 0;
  while (!streams_.empty()) CloseStream(streams_.begin()->first);
  owner_->OnEnd(this);
}

Stream* Connection::Find(int32_t id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

void Connection::CloseStream(int32_t id) {
  auto node = streams_.extract(id);
  if (node.empty()) return;
  Stream* const stream = node.mapped().get();
  for (size_t at = queue_first_; at < queue_.size(); ++at) {
    Segment& segment = queue_[at];
    if (segment.lender != stream) continue;
    // A frame that has begun goes out whole.
    segment.own = segment.borrowed;
    segment.lender = nullptr;
  }
  if (stream->unconsumed_bytes_ > 0) nghttp2_session_consume_connection(session_, stream->unconsumed_bytes_);
  if (stream->handler_ != nullptr) stream->handler_->OnClosed();
}

void Connection::RefuseMalformed(Stream* stream) {
  stream->malformed_ = true;
  if (!stream->ended_) stream->Reset(NGHTTP2_PROTOCOL_ERROR);
}

void Connection::EndRequest(Stream* stream) {
  if (stream->malformed_) return;
  const std::optional<uint64_t> length = stream->check_.content_length();
  if (length.has_value() && *length != stream->received_bytes_) return RefuseMalformed(stream);
  stream->request_ended_ = true;
  if (const std::shared_ptr<StreamHandler> handler = stream->handler_; handler != nullptr) handler->OnRequestEnd();
}

void Connection::Begin(Stream* stream) {
  if (stream->malformed_ || (!stream->too_many_fields_ && !stream->check_.IsComplete())) {
    return RefuseMalformed(stream);
  }
  stream->handler_ = owner_->OnRequest(stream, std::exchange(stream->request_, {}), stream->too_many_fields_);
}

// ---- nghttp2's callbacks ----

ssize_t Connection::OnSend(nghttp2_session*, const uint8_t* data, size_t size, int, void* self) {
  // Takes all of it, see FrameBuffer. What may be given is bounded where frames are asked for.
  auto* const connection = static_cast<Connection*>(self);
  std::vector<Segment>& queue = connection->queue_;
  const auto* const bytes = reinterpret_cast<const char*>(data);
  if (queue.size() > connection->queue_first_ && queue.back().lender == nullptr && queue.back().ends_write_of == 0 &&
      queue.back().own.size() + size <= kJoinedBytes) {
    queue.back().own.append(bytes, size);
  } else {
    queue.push_back({.own = std::string(bytes, size), .borrowed = {}});
  }
  connection->queued_bytes_ += size;
  return static_cast<ssize_t>(size);
}

ssize_t Connection::OnReadSource(nghttp2_session* session, int32_t id, uint8_t*, size_t size, uint32_t* flags,
                                 nghttp2_data_source* source, void* self) {
  auto* const connection = static_cast<Connection*>(self);
  auto* const stream = static_cast<Stream*>(source->ptr);
  if (connection->queued_bytes_ >= kQueueBytes ||
      connection->queue_.size() - connection->queue_first_ >= kQueueSegments) {
    connection->held_.push_back(id);
    stream->deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t left = stream->LeftBytes();
  const size_t taken = std::min(left, size);
  if (taken > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (taken == left && stream->has_trailers_) {
    stream->has_trailers_ = false;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers_.empty()) return static_cast<ssize_t>(taken);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const std::vector<nghttp2_nv> values = NameValues(stream->trailers_);
    nghttp2_submit_trailer(session, id, values.data(), values.size());
  } else if (left == 0) {
    stream->deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(taken);
}

int Connection::OnSendData(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t size,
                           nghttp2_data_source* source, void* self) {
  auto* const connection = static_cast<Connection*>(self);
  constexpr size_t kHeadBytes = 9;
  auto* const stream = static_cast<Stream*>(source->ptr);
  OnSend(nullptr, head, kHeadBytes, 0, self);
  size_t left = size;
  std::vector<Segment>& queue = connection->queue_;
  for (std::string_view& piece : stream->pieces_) {
    const std::string_view bytes = piece.substr(0, left);
    if (bytes.empty()) continue;
    if (size <= kCopiedBytes) {
      queue.back().own.append(bytes);
    } else {
      queue.push_back({.own = {}, .borrowed = bytes, .lender = stream});
    }
    piece.remove_prefix(bytes.size());
    left -= bytes.size();
  }
  MCGW_INVARIANT(left == 0);
  connection->queued_bytes_ += size;
  if (stream->LeftBytes() == 0) queue.back().ends_write_of = stream->id();
  return 0;
}

int Connection::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto* const connection = static_cast<Connection*>(self);
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const int32_t id = frame->hd.stream_id;
  connection->streams_.emplace(id, std::make_unique<Stream>(connection, id));
  return 0;
}

int Connection::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                         const uint8_t* value, size_t value_size, uint8_t, void* self) {
  auto* const connection = static_cast<Connection*>(self);
  Stream* const stream = connection->Find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  const std::string_view name_text(reinterpret_cast<const char*>(name), name_size);
  const std::string_view value_text(reinterpret_cast<const char*>(value), value_size);
  if (!stream->check_.Add(name_text, value_text)) stream->malformed_ = true;
  // Fields after the body say nothing that a server of gRPC reads.
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  stream->request_bytes_ += name_size + value_size + kFieldOverheadBytes;
  if (stream->request_bytes_ > connection->limits_.max_header_bytes) {
    stream->too_many_fields_ = true;
    return 0;
  }
  stream->request_.push_back({.name = std::string(name_text), .value = std::string(value_text)});
  return 0;
}

int Connection::OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  auto* const connection = static_cast<Connection*>(self);
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && connection->draining_ &&
      !connection->last_goaway_) {
    connection->last_goaway_ = true;
    nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                          NGHTTP2_NO_ERROR, nullptr, 0);
    return 0;
  }
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  Stream* const stream = connection->Find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  const bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      connection->Begin(stream);
    } else if (!is_last || stream->malformed_) {
      connection->RefuseMalformed(stream);
    }
  }
  if (is_last) connection->EndRequest(stream);
  return 0;
}

int Connection::OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  const bool of_stream = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (!of_stream || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  const Stream* const stream = static_cast<Connection*>(self)->Find(frame->hd.stream_id);
  // A client that still sends learns that nobody reads it (RFC 9113, section 8.1).
  if (stream != nullptr && !stream->request_ended_) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  }
  return 0;
}

int Connection::OnChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self) {
  auto* const connection = static_cast<Connection*>(self);
  Stream* const stream = connection->Find(id);
  if (stream == nullptr) {
    nghttp2_session_consume_connection(connection->session_, size);
    return 0;
  }
  stream->unconsumed_bytes_ += size;
  stream->received_bytes_ += size;
  const std::shared_ptr<StreamHandler> handler = stream->handler_;
  if (handler == nullptr || stream->ended_) {
    stream->Consume(size);
  } else {
    handler->OnData({reinterpret_cast<const char*>(data), size});
  }
  return 0;
}

int Connection::OnStreamClosed(nghttp2_session*, int32_t id, uint32_t, void* self) {
  static_cast<Connection*>(self)->CloseStream(id);
  return 0;
}

}  // namespace mcgw::http2
