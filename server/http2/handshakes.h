// The handshakes of TLS, on a thread of their own: a signature takes up to a millisecond, and the threads that serve
// connections have none to spare.

#ifndef MCGW_HTTP2_HANDSHAKES_H_
#define MCGW_HTTP2_HANDSHAKES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/http2/tls_context.h"
#include "server/http2/tls_transport.h"
#include "server/http2/transport.h"
#include "server/net/event_loop.h"
#include "server/net/owned_fd.h"

namespace mcgw::http2 {

// Begin is thread-safe; the rest belongs to the owner.
class Handshakes {
 public:
  struct Limits {
    size_t most = 1024;          // At a time,
    size_t most_per_host = 512;  // and of one host.
    absl::Duration patience = absl::Seconds(10);
  };
  // Where a handshake's connection goes. Called on this object's thread.
  class Outcome {
   public:
    virtual ~Outcome() = default;
    // `identity`: of the client's certificate, see IdentityOf; empty: it has none.
    virtual void OnDone(std::unique_ptr<Transport> transport, const std::string& identity) = 0;
    // The connection is closed. `why`, as "its certificate has expired"; empty if the client has only gone away.
    virtual void OnFailed(const std::string& why) = 0;
  };

  explicit Handshakes(const Limits& limits);
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;
  ~Handshakes();

  absl::Status Start();
  // Ends the thread and closes the connections whose handshake is not done, without a call of their outcomes.
  void Stop();

  // `fd` is a connected, non-blocking socket. `host`: what most_per_host counts.
  void Begin(std::shared_ptr<const TlsContext> context, net::OwnedFd fd, std::string host,
             std::unique_ptr<Outcome> outcome);

  const net::Duty& duty() const { return loop_->duty(); }

 private:
  class Pending;
  using List = std::list<std::unique_ptr<Pending>>;

  void Run();
  void Add(std::unique_ptr<Pending> pending);
  void Remove(Pending* pending);
  // Until the first of those that wait has had its time.
  absl::Duration TimeLeft() const;
  void EndOverdue();

  const Limits limits_;
  std::thread thread_;
  // Of the thread.
  List pending_;  // The oldest first.
  List over_;     // To be destroyed, but not while it runs.
  std::unordered_map<std::string, size_t> of_host_;
  bool stopping_ = false;
  std::unique_ptr<net::EventLoop> loop_;  // Last: it runs what is still posted when it goes.
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_HANDSHAKES_H_
