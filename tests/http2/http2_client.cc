#include "tests/http2/http2_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

namespace mcgw::http2 {
namespace {

constexpr uint32_t kUsualWindowBytes = 65535;

nghttp2_nv NameValue(const Field& field) {
  const auto bytes = [](const std::string& text) { return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data())); };
  return {bytes(field.name), bytes(field.value), field.name.size(), field.value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

Http2Client::Http2Client(net::OwnedFd fd, uint32_t window_bytes) : fd_(std::move(fd)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* self) {
        Response& response = Of(self)->responses_[frame->hd.stream_id];
        const size_t part = frame->headers.cat == NGHTTP2_HCAT_RESPONSE ? 0 : 1;
        response.fields.resize(std::max(response.fields.size(), part + 1));
        response.fields[part].push_back({std::string(reinterpret_cast<const char*>(name), name_size),
                                         std::string(reinterpret_cast<const char*>(value), value_size)});
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self) {
        Of(self)->responses_[id].body.append(reinterpret_cast<const char*>(data), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        Http2Client* const client = Of(self);
        if (frame->hd.type == NGHTTP2_GOAWAY) client->goaways_.push_back(frame->goaway.last_stream_id);
        if (frame->hd.type == NGHTTP2_PING) {
          ++((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ? client->answers_ : client->pings_);
        }
        const bool of_stream = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
        if (of_stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
          client->responses_[frame->hd.stream_id].ended = true;
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                         [](nghttp2_session*, int32_t id, uint32_t code, void* self) {
                                                           Of(self)->responses_[id].closed = code;
                                                           return 0;
                                                         });
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window_bytes}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 1);
  if (window_bytes > kUsualWindowBytes) {
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(window_bytes));
  }
}

Http2Client::~Http2Client() { nghttp2_session_del(session_); }

int32_t Http2Client::Request(const Fields& more, bool open, const std::string& path) {
  Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "test"}};
  fields.insert(fields.end(), more.begin(), more.end());
  std::vector<nghttp2_nv> values;
  values.reserve(fields.size());
  for (const Field& field : fields) values.push_back(NameValue(field));
  nghttp2_data_provider provider = {.source = {.ptr = this},
                                    .read_callback = [](nghttp2_session*, int32_t id, uint8_t* buffer, size_t size,
                                                        uint32_t* flags, nghttp2_data_source*, void* self) -> ssize_t {
                                      Upload& upload = Of(self)->uploads_[id];
                                      const size_t taken = std::min(size, upload.bytes.size());
                                      std::copy_n(upload.bytes.begin(), taken, buffer);
                                      upload.bytes.erase(0, taken);
                                      if (upload.bytes.empty() && upload.last) {
                                        *flags |= NGHTTP2_DATA_FLAG_EOF;
                                      } else if (taken == 0) {
                                        upload.deferred = true;
                                        return NGHTTP2_ERR_DEFERRED;
                                      }
                                      return static_cast<ssize_t>(taken);
                                    }};
  return nghttp2_submit_request(session_, nullptr, values.data(), values.size(), open ? &provider : nullptr, nullptr);
}

void Http2Client::Body(int32_t id, std::string_view bytes, bool last) {
  Upload& upload = uploads_[id];
  upload.bytes += bytes;
  upload.last = last;
  if (std::exchange(upload.deferred, false)) nghttp2_session_resume_data(session_, id);
}

void Http2Client::SendRaw(std::string_view bytes) {
  out_ += bytes;
  const ssize_t sent = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0) out_.erase(0, static_cast<size_t>(sent));
}

void Http2Client::Send() {
  const uint8_t* data = nullptr;
  for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_, &data)) > 0;) {
    out_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  }
  SendRaw({});
}

bool Http2Client::Until(const std::function<bool()>& done) {
  constexpr int kTries = 200;
  constexpr int kTryMs = 100;
  for (int i = 0; i < kTries; ++i) {
    Send();
    Receive();
    Send();
    if (done()) return true;
    if (over_) return false;
    pollfd poll_fd = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
    poll(&poll_fd, 1, kTryMs);
  }
  return false;
}

size_t Http2Client::Receive(size_t most) {
  std::array<uint8_t, 16384> buffer;
  size_t received = 0;
  while (received < most) {
    const ssize_t got = recv(fd_.get(), buffer.data(), std::min(buffer.size(), most - received), MSG_DONTWAIT);
    if (got == 0) over_ = true;
    if (got <= 0) break;
    received += static_cast<size_t>(got);
    nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(got));
  }
  return received;
}

}  // namespace mcgw::http2
