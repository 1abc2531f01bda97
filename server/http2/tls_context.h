// The server's side of TLS: certificate, key, and the rule for clients' certificates.

#ifndef MCGW_HTTP2_TLS_CONTEXT_H_
#define MCGW_HTTP2_TLS_CONTEXT_H_

#include <openssl/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace mcgw::http2 {

enum class ClientCertificates { kNone, kRequested, kRequired };

// All files are PEM, of at most 1 MiB.
struct TlsFiles {
  std::string certificate;  // The server's, and then those between it and the CA, if any.
  std::string key;          // Of the certificate, without a password.
  std::string client_ca;    // The CAs of clients' certificates. Needed if clients are asked for one.
  std::string crl;          // Certificates that these CAs have revoked. Empty: none.
  ClientCertificates clients = ClientCertificates::kRequired;
};

// TLS 1.2 and 1.3, with ALPN h2 (RFC 9113, section 9.2). Immutable and thread-safe.
class TlsContext {
 public:
  // An error names the file and what is wrong with it.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Load(const TlsFiles& files);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  SSL_CTX* get() const { return context_; }
  // Of the server's certificate: "CN=gateway.example, valid until 2027-11-28 10:00:00 UTC".
  const std::string& summary() const { return summary_; }
  // Why a client would not accept the server's certificate now: it has expired, or is not yet valid. Empty otherwise.
  std::string InvalidNow() const;

 private:
  explicit TlsContext(SSL_CTX* context) : context_(context) {}

  SSL_CTX* const context_;
  std::string summary_;
};

// Printable ASCII.
std::string SubjectOf(const X509* certificate);

// Who has the certificate: its first URI, else its first DNS name, else its subject, as "uri:spiffe://example/reader",
// "dns:reader.example" or "subject:CN=reader". An error if the name is longer than 256 bytes or not printable ASCII.
absl::StatusOr<std::string> IdentityOf(const X509* certificate);

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_TLS_CONTEXT_H_
