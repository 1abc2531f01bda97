// A call that is served here: its messages, on its stream of HTTP/2.

#ifndef MCGW_RPC_CALL_H_
#define MCGW_RPC_CALL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "google/protobuf/message_lite.h"
#include "grpcpp/support/status.h"
#include "server/gateway/gateway.h"
#include "server/http2/stream.h"
#include "server/net/text.h"
#include "server/rpc/grpc_fields.h"

namespace mcgw::rpc {

class StreamLoop;

// Belongs to the thread of its loop. Owned by its stream, and by whoever works for it elsewhere.
class Call : public http2::StreamHandler, public std::enable_shared_from_this<Call> {
 public:
  // In front of each message: a flag, and its length.
  static constexpr size_t kPrefixBytes = 5;

  Call(StreamLoop* loop, http2::Stream* stream, CallHead head, size_t most_message_bytes);
  ~Call() override;

  const CallHead& head() const { return head_; }
  const std::string& peer() const { return head_.peer; }
  // For the log.
  std::string who() const { return net::StrCat(head_.identity, " at ", head_.peer); }
  StreamLoop* loop() const { return loop_; }
  gateway::Caller caller() const { return {.identity = head_.identity, .peer = head_.peer}; }

  // The deadline has come.
  void Expire();
  // Ends the call without a word: the client is gone, or takes nothing.
  void Abort();
  // Called once a second. Ends the call if its client has taken no message, or sent nothing of one that it began, for
  // `most_checks` of these calls. They are counted, not time: a gateway that was frozen has not given its clients a
  // chance.
  virtual void Check(int64_t now_ns, int most_checks);

 protected:
  // A message has come, after ReadNext.
  virtual void OnMessage(std::string message) = 0;
  // The client will send no other message, and none is left. After ReadNext too.
  virtual void OnHalfClosed() = 0;
  // The kernel has taken what was given to Write.
  virtual void OnSent() {}
  // The call is over. Called once, and last.
  virtual void OnGone() = 0;

  // Whether the client can still be told something.
  bool open() const { return stream_ != nullptr && !finished_ && !stream_->ended(); }
  bool writing() const { return stream_ != nullptr && stream_->writing(); }
  // Whether this check is the one that finds the client stalled.
  bool IsStalled(int most_checks);

  // Asks for one message.
  void ReadNext();
  // Begins the response before its first message, with metadata: names in lower case, values of "-bin" names in base64.
  // Once, and not after Write.
  void Respond(const http2::Fields& metadata);
  // Writes one message: `head`, which begins with kPrefixBytes of room, and then `body`, which is borrowed until OnSent
  // or OnGone. Not while writing.
  void Write(std::string head, std::string_view body = {});
  // Ends the call after what was written. `metadata`: as for Respond.
  void Finish(const grpc::Status& status, const http2::Fields& metadata = {});

 private:
  friend class StreamLoop;

  void OnData(std::string_view bytes) final;
  void OnRequestEnd() final;
  void OnWritten() final;
  void OnClosed() final;
  // Hands on what ReadNext waits for, if it has come.
  void Deliver();
  void Consume(size_t bytes);
  // Forgets what has been received.
  void DropReceived();

  StreamLoop* const loop_;
  http2::Stream* stream_;  // Null once it is over.
  const CallHead head_;
  const size_t most_message_bytes_;
  std::string received_;         // Not yet handed on,
  size_t unconsumed_bytes_ = 0;  // and how much of it the client still has to be given room for.
  std::string written_;
  bool reading_ = false;
  bool half_closed_ = false;
  bool responded_ = false;
  bool finished_ = false;
  uint64_t progress_ = 0;  // Messages written and bytes received,
  uint64_t progress_seen_ = 0;
  int stalled_checks_ = 0;
  bool has_deadline_ = false;
  std::multimap<int64_t, Call*>::iterator deadline_;  // In the loop.
};

// A batch of Publish may have 1 MiB. The excess is taken so that the answer can say what is wrong.
inline constexpr size_t kMostMessageBytes = (1 << 20) + (64 << 10);
// Of most methods.
inline constexpr size_t kMostRequestBytes = 256 << 10;

// For Call::Write.
inline std::string EncodeMessage(const google::protobuf::MessageLite& message) {
  std::string bytes(Call::kPrefixBytes, '\0');
  message.AppendToString(&bytes);
  return bytes;
}

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_CALL_H_
