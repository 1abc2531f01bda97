// Certificates for tests of TLS, made when they are needed.

#ifndef MCGW_TESTS_HTTP2_CERTIFICATES_H_
#define MCGW_TESTS_HTTP2_CERTIFICATES_H_

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

namespace mcgw::http2 {

struct FreeOpenSsl {
  void operator()(EVP_PKEY* key) const;
  void operator()(X509* certificate) const;
};
using OwnedKey = std::unique_ptr<EVP_PKEY, FreeOpenSsl>;
using OwnedCertificate = std::unique_ptr<X509, FreeOpenSsl>;

struct Issued {
  OwnedKey key;
  OwnedCertificate certificate;
  std::string KeyPem() const;
  std::string CertificatePem() const;
};

class Authority {
 public:
  explicit Authority(const std::string& name);

  struct Wanted {
    std::string subject = "client";
    std::string alternative_names;  // As OpenSSL's configuration has them: "URI:spiffe://x/y,DNS:z". Empty: none.
    int from_seconds = -60;         // From now.
    int until_seconds = 3600;
  };
  Issued Issue(const Wanted& wanted);
  // A list with these certificates.
  std::string RevocationListPem(const std::vector<const X509*>& revoked) const;
  std::string CertificatePem() const { return self_.CertificatePem(); }

 private:
  Issued self_;
  long next_serial_ = 2;
};

void WriteFile(const std::string& path, const std::string& text);

}  // namespace mcgw::http2

#endif  // MCGW_TESTS_HTTP2_CERTIFICATES_H_
