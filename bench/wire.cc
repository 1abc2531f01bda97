#include "bench/wire.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mcgw::bench {
namespace {

constexpr long kCertificateSeconds = 86'400;

absl::Status TlsError(absl::string_view what) {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return absl::UnavailableError(absl::StrCat(what, ": ", reason != nullptr ? reason : "failed"));
}

SSL_CTX* Context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    constexpr unsigned char kHttp2[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(made, kHttp2, sizeof(kHttp2));
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(made, 1);  // One system call for many records: the reader is not what is measured.
    return made;
  }();
  return context;
}

}  // namespace

void Wire::FreeSsl::operator()(SSL* ssl) const { SSL_free(ssl); }

absl::StatusOr<Wire> Wire::Open(const std::string& target) {
  absl::string_view rest = target;
  const bool secure = absl::ConsumePrefix(&rest, "tls:");
  auto fd = secure ? ConnectBlocking(std::string(rest)) : Connect(std::string(rest));
  if (!fd.ok()) return fd.status();
  Wire wire(*std::move(fd));
  if (!secure) return wire;
  wire.ssl_.reset(SSL_new(Context()));
  SSL_set_fd(wire.ssl_.get(), wire.fd());
  ERR_clear_error();
  if (SSL_connect(wire.ssl_.get()) != 1) return TlsError("TLS to the server");
  if (fcntl(wire.fd(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("O_NONBLOCK");
  return wire;
}

ssize_t Wire::Send(const char* bytes, size_t size) {
  if (ssl_ == nullptr) return send(fd(), bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  ERR_clear_error();
  const int result = SSL_write(ssl_.get(), bytes, static_cast<int>(size));
  if (result > 0) return result;
  const int error = SSL_get_error(ssl_.get(), result);
  errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
  return -1;
}

ssize_t Wire::Receive(char* buffer, size_t size) {
  if (ssl_ == nullptr) return recv(fd(), buffer, size, MSG_DONTWAIT);
  size_t filled = 0;
  while (filled < size) {
    ERR_clear_error();
    const int result = SSL_read(ssl_.get(), buffer + filled, static_cast<int>(size - filled));
    if (result > 0) {
      filled += static_cast<size_t>(result);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), result);
    if (filled > 0) break;
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
  }
  return static_cast<ssize_t>(filled);
}

ssize_t Wire::Discard(size_t most) {
  if (ssl_ == nullptr) return recv(fd(), nullptr, most, MSG_DONTWAIT | MSG_TRUNC);
  static thread_local std::vector<char> room(256 << 10);
  return Receive(room.data(), std::min(room.size(), most));
}

bool Wire::has_pending() const { return ssl_ != nullptr && SSL_has_pending(ssl_.get()) == 1; }

absl::Status MakeCertificate(const std::string& directory) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
  if (key == nullptr || certificate == nullptr) return TlsError("make a key");
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kCertificateSeconds);
  X509_set_pubkey(certificate.get(), key.get());
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return TlsError("sign a certificate");
  const auto write = [&](const std::string& name, const auto& put) -> absl::Status {
    const std::string path = absl::StrCat(directory, "/", name);
    FILE* const file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return ErrnoError(path.c_str());
    const bool done = put(file) == 1;
    return std::fclose(file) == 0 && done ? absl::OkStatus() : TlsError(path);
  };
  if (auto status = write("server.crt", [&](FILE* file) { return PEM_write_X509(file, certificate.get()); });
      !status.ok()) {
    return status;
  }
  return write("server.key", [&](FILE* file) {
    return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

}  // namespace mcgw::bench
