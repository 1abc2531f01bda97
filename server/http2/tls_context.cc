#include "server/http2/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/net/file.h"
#include "server/net/text.h"

namespace mcgw::http2 {
namespace {

constexpr size_t kMostFileBytes = 1 << 20;
constexpr size_t kMostIdentityBytes = 256;

// How long a client may resume without showing its certificate again.
constexpr long kTicketSeconds = 3600;

// For TLS 1.2, what RFC 9113, section 9.2.2, leaves.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

// OpenSSL's objects, freed at the end.
struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_CRL* crl) const { X509_CRL_free(crl); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

absl::Status Bad(std::string_view what, const std::string& path, std::string_view why) {
  return absl::InvalidArgumentError(net::StrCat(what, ": '", path, "': ", why));
}

// The reason of OpenSSL's last error.
std::string LastReason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != nullptr ? reason : "unknown";
}

absl::StatusOr<Owned<BIO>> Open(std::string_view what, const std::string& path, std::string* bytes) {
  absl::StatusOr<std::string> read = net::ReadSmallFile(path, kMostFileBytes);
  if (!read.ok()) return absl::InvalidArgumentError(net::StrCat(what, ": ", read.status().message()));
  *bytes = *std::move(read);
  return Owned<BIO>(BIO_new_mem_buf(bytes->data(), static_cast<int>(bytes->size())));
}

// Keys with a password are refused; by default OpenSSL would ask the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

// All objects of a kind in a file, at least one.
template <typename T, typename Read>
absl::StatusOr<std::vector<Owned<T>>> ReadAll(std::string_view what, const std::string& path, std::string_view kind,
                                              Read read) {
  std::string bytes;
  const absl::StatusOr<Owned<BIO>> bio = Open(what, path, &bytes);
  if (!bio.ok()) return bio.status();
  std::vector<Owned<T>> all;
  ERR_clear_error();
  while (Owned<T> one{read(bio->get(), nullptr, NoPassword, nullptr)}) all.push_back(std::move(one));
  const unsigned long last = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (!at_end) return Bad(what, path, net::StrCat("not a valid ", kind, " in PEM: ", LastReason()));
  if (all.empty()) return Bad(what, path, net::StrCat("there is no ", kind, " in PEM in it"));
  return all;
}

absl::StatusOr<std::vector<Owned<X509>>> ReadCertificates(std::string_view what, const std::string& path) {
  return ReadAll<X509>(what, path, "certificate", PEM_read_bio_X509);
}

std::string TimeText(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unknown time";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromTM(parts, absl::UTCTimeZone()), absl::UTCTimeZone());
}

absl::Status UseCertificate(SSL_CTX* context, const TlsFiles& files) {
  const absl::StatusOr<std::vector<Owned<X509>>> chain = ReadCertificates("certificate", files.certificate);
  if (!chain.ok()) return chain.status();
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) {
    return Bad("certificate", files.certificate, LastReason());
  }
  for (size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1) {
      return Bad("certificate", files.certificate, LastReason());
    }
  }
  std::string bytes;
  const absl::StatusOr<Owned<BIO>> bio = Open("key", files.key, &bytes);
  if (!bio.ok()) return bio.status();
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio->get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return Bad("key", files.key, "not a private key in PEM without a password");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return Bad("key", files.key, net::StrCat("not the key of the certificate '", files.certificate, "'"));
  }
  return absl::OkStatus();
}

absl::Status UseClientRules(SSL_CTX* context, const TlsFiles& files) {
  if (files.clients == ClientCertificates::kNone) return absl::OkStatus();
  const absl::StatusOr<std::vector<Owned<X509>>> authorities = ReadCertificates("client_ca", files.client_ca);
  if (!authorities.ok()) return authorities.status();
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const Owned<X509>& authority : *authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1 || SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return Bad("client_ca", files.client_ca, LastReason());
    }
  }
  if (!files.crl.empty()) {
    const auto crls = ReadAll<X509_CRL>("crl", files.crl, "certificate revocation list", PEM_read_bio_X509_CRL);
    if (!crls.ok()) return crls.status();
    for (const Owned<X509_CRL>& crl : *crls) {
      if (X509_STORE_add_crl(store, crl.get()) != 1) return Bad("crl", files.crl, LastReason());
    }
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  }
  const int required = files.clients == ClientCertificates::kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | required, nullptr);
  return absl::OkStatus();
}

int SelectHttp2(SSL*, const unsigned char** selected, unsigned char* selected_size, const unsigned char* offered,
                unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  unsigned char* at = nullptr;
  if (SSL_select_next_proto(&at, selected_size, kHttp2, sizeof(kHttp2), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *selected = at;
  return SSL_TLSEXT_ERR_OK;
}

std::string_view View(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text))};
}

// The first of the certificate's alternative names that is of this type. IA5String: ASCII, without a length of its own
// to trust.
std::string FirstName(const GENERAL_NAMES* names, int type) {
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type == type) return std::string(View(name->d.ia5));
  }
  return {};
}

}  // namespace

std::string SubjectOf(const X509* certificate) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  // Escapes all that is not printable ASCII.
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

absl::StatusOr<std::string> IdentityOf(const X509* certificate) {
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string identity;
  if (std::string uri = FirstName(names.get(), GEN_URI); !uri.empty()) {
    identity = net::StrCat("uri:", uri);
  } else if (std::string dns = FirstName(names.get(), GEN_DNS); !dns.empty()) {
    identity = net::StrCat("dns:", dns);
  } else {
    identity = net::StrCat("subject:", SubjectOf(certificate));
  }
  if (identity.size() <= kMostIdentityBytes && std::all_of(identity.begin(), identity.end(), net::IsPrintable)) {
    return identity;
  }
  return absl::InvalidArgumentError(net::StrCat("the name in its certificate, ",
                                                net::Printable(net::Shortened(identity)), ", is longer than ",
                                                kMostIdentityBytes, " bytes or not printable ASCII"));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Load(const TlsFiles& files) {
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return absl::ResourceExhaustedError("OpenSSL cannot make a context");
  const std::shared_ptr<TlsContext> made(new TlsContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kCiphers);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_ENABLE_KTLS);
  // An idle connection keeps no buffers, and what was not written comes again from another place.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A read ends after each record that has no data: a client could send those without end (RFC 8446, section 4.6.3).
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_alpn_select_cb(context, SelectHttp2, nullptr);
  // Tickets: nothing is kept here. Their key is the context's, so one that was given out before the files changed does
  // not resume: a client that has been revoked since must show its certificate.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  SSL_CTX_set_num_tickets(context, 1);
  constexpr unsigned char kSessions[] = "mcgw";
  SSL_CTX_set_session_id_context(context, kSessions, sizeof(kSessions) - 1);
  if (absl::Status status = UseCertificate(context, files); !status.ok()) return status;
  if (absl::Status status = UseClientRules(context, files); !status.ok()) return status;
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  made->summary_ = net::StrCat(SubjectOf(certificate), ", valid until ", TimeText(X509_get0_notAfter(certificate)));
  return made;
}

std::string TlsContext::InvalidNow() const {
  const X509* const certificate = SSL_CTX_get0_certificate(context_);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return net::StrCat("it expired at ", TimeText(X509_get0_notAfter(certificate)));
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return net::StrCat("it is not valid before ", TimeText(X509_get0_notBefore(certificate)));
  }
  return {};
}

}  // namespace mcgw::http2
