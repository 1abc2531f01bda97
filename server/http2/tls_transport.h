// TLS over a socket: the handshake, and then the transport.

#ifndef MCGW_HTTP2_TLS_TRANSPORT_H_
#define MCGW_HTTP2_TLS_TRANSPORT_H_

#include <openssl/types.h>

#include <memory>
#include <string>

#include "server/http2/tls_context.h"
#include "server/http2/transport.h"
#include "server/net/owned_fd.h"

namespace mcgw::http2 {

struct FreeSsl {
  void operator()(SSL* ssl) const;
};
using OwnedSsl = std::unique_ptr<SSL, FreeSsl>;

// The server's side of one handshake. Not thread-safe, and never blocks. The process must ignore SIGPIPE.
class TlsHandshake {
 public:
  enum class Step { kDone, kWantsRead, kWantsWrite, kFailed };

  // `fd` is a connected, non-blocking socket.
  TlsHandshake(const TlsContext& context, net::OwnedFd fd);
  TlsHandshake(const TlsHandshake&) = delete;
  TlsHandshake& operator=(const TlsHandshake&) = delete;
  // Closes the connection if TakeTransport was not called.
  ~TlsHandshake();

  int fd() const { return fd_.get(); }
  // Goes as far as it can.
  Step Continue();
  // After kFailed: why, as "its certificate has expired". Empty if the client has only gone away.
  const std::string& failure() const { return failure_; }
  // After kDone: whose certificate the client has, see IdentityOf; empty: it has none.
  const std::string& identity() const { return identity_; }
  // After kDone, once.
  std::unique_ptr<Transport> TakeTransport();

 private:
  // OpenSSL's callback for each certificate of a client's chain.
  static int OnVerify(int is_good, X509_STORE_CTX* store);
  Step Fail(std::string why);
  // Looks at who the client is.
  Step Accept();

  net::OwnedFd fd_;
  OwnedSsl ssl_;
  std::string refused_certificate_;  // Why.
  std::string failure_;
  std::string identity_;
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_TLS_TRANSPORT_H_
