#include "server/http2/tls_transport.h"

#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "server/net/text.h"

namespace mcgw::http2 {
namespace {

// Of a record (RFC 8446, section 5.1).
constexpr size_t kMostRecordBytes = 16 << 10;

class TlsTransport final : public Transport {
 public:
  TlsTransport(net::OwnedFd fd, OwnedSsl ssl) : fd_(std::move(fd)), ssl_(std::move(ssl)) {}
  ~TlsTransport() override {
    ERR_clear_error();
    if (!broken_) SSL_shutdown(ssl_.get());  // Tells the peer, if there is room.
    shutdown(fd_.get(), SHUT_RDWR);
  }

  ssize_t Read(char* buffer, size_t size) override {
    ERR_clear_error();
    size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer, size, &got);
    return result == 1 ? static_cast<ssize_t>(got) : Failed(result);
  }
  ssize_t Write(const iovec* buffers, int count) override {
    // What could not be written must be given again, from the same first byte and at least as much (SSL_write(3)). The
    // caller's bytes stay the same until they are written, so it is.
    const std::string_view bytes = Gather(buffers, count);
    ERR_clear_error();
    size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    return result == 1 ? static_cast<ssize_t>(written) : Failed(result);
  }
  bool has_pending() const override { return SSL_pending(ssl_.get()) > 0; }
  bool drained() const override {
    int queued_bytes = 0;
    return ioctl(fd_.get(), SIOCOUTQ, &queued_bytes) != 0 || queued_bytes == 0;
  }
  int fd() const override { return fd_.get(); }

 private:
  // The first bytes, as many as a record may have.
  static std::string_view Gather(const iovec* buffers, int count) {
    static thread_local std::array<char, kMostRecordBytes> room;
    if (count == 1 || buffers[0].iov_len >= room.size()) {
      return {static_cast<const char*>(buffers[0].iov_base), std::min(buffers[0].iov_len, room.size())};
    }
    size_t size = 0;
    for (int i = 0; i < count && size < room.size(); ++i) {
      const size_t taken = std::min(buffers[i].iov_len, room.size() - size);
      std::memcpy(room.data() + size, buffers[i].iov_base, taken);
      size += taken;
    }
    return {room.data(), size};
  }

  ssize_t Failed(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return kWouldBlock;
      case SSL_ERROR_ZERO_RETURN:
        return 0;
      default:
        broken_ = true;
        return kBroken;
    }
  }

  const net::OwnedFd fd_;
  const OwnedSsl ssl_;
  bool broken_ = false;
};

// Why OpenSSL ended a handshake, in words for the log. Reasons past 1000 are alerts that the client has sent.
std::string ReasonText(unsigned long error) {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "it has no certificate";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return "it does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
      return "it does not speak TLS 1.2 or later";
    case SSL_R_NO_SHARED_CIPHER:
      return "it has no cipher in common with the gateway";
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return "it does not offer HTTP/2 (ALPN h2)";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return "it does not know the CA of the gateway's certificate";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "it does not accept the gateway's certificate";
    default:
      break;
  }
  const char* const reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "TLS failed";
}

}  // namespace

void FreeSsl::operator()(SSL* ssl) const { SSL_free(ssl); }

TlsHandshake::TlsHandshake(const TlsContext& context, net::OwnedFd fd)
    : fd_(std::move(fd)), ssl_(SSL_new(context.get())) {
  if (ssl_ == nullptr) return;
  SSL_set_fd(ssl_.get(), fd_.get());
  SSL_set_accept_state(ssl_.get());
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_verify(ssl_.get(), SSL_get_verify_mode(ssl_.get()), &OnVerify);
}

TlsHandshake::~TlsHandshake() {
  // Others may watch the connection by descriptors of their own, which keep it open.
  if (fd_.valid()) shutdown(fd_.get(), SHUT_RDWR);
}

int TlsHandshake::OnVerify(int is_good, X509_STORE_CTX* store) {
  if (is_good == 1) return 1;
  const auto* const ssl =
      static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const handshake = static_cast<TlsHandshake*>(SSL_get_app_data(ssl));
  const int error = X509_STORE_CTX_get_error(store);
  const X509* const certificate = X509_STORE_CTX_get_current_cert(store);
  const std::string subject = certificate != nullptr ? SubjectOf(certificate) : "";
  handshake->refused_certificate_ =
      net::StrCat("its certificate ", net::Shortened(subject), " is refused: ", X509_verify_cert_error_string(error));
  return 0;
}

TlsHandshake::Step TlsHandshake::Fail(std::string why) {
  failure_ = std::move(why);
  return Step::kFailed;
}

TlsHandshake::Step TlsHandshake::Continue() {
  if (ssl_ == nullptr) return Fail("there is no memory for TLS");
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return Accept();
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Step::kWantsRead;
    case SSL_ERROR_WANT_WRITE:
      return Step::kWantsWrite;
    case SSL_ERROR_SYSCALL:
      return Fail("");
    default:
      break;
  }
  if (!refused_certificate_.empty()) return Fail(refused_certificate_);
  const unsigned long error = ERR_peek_error();
  return Fail(ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? "" : ReasonText(error));
}

TlsHandshake::Step TlsHandshake::Accept() {
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
  if (size == 0) return Fail("it does not offer HTTP/2 (ALPN h2)");
  const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return Step::kDone;
  // A session that is resumed is not verified again.
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return Fail(net::StrCat("its certificate ", net::Shortened(SubjectOf(certificate)),
                            " is refused: certificate has expired"));
  }
  absl::StatusOr<std::string> identity = IdentityOf(certificate);
  if (!identity.ok()) return Fail(std::string(identity.status().message()));
  identity_ = *std::move(identity);
  return Step::kDone;
}

std::unique_ptr<Transport> TlsHandshake::TakeTransport() {
  SSL_set_app_data(ssl_.get(), nullptr);
  return std::make_unique<TlsTransport>(std::move(fd_), std::move(ssl_));
}

}  // namespace mcgw::http2
