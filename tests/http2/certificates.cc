#include "tests/http2/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <fstream>

namespace mcgw::http2 {
namespace {

constexpr long kVersion3 = 2;

void Require(bool made) {
  if (!made) std::abort();
}

void AddExtension(X509* certificate, int type, const std::string& value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, type, value.c_str());
  Require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Issued NewCertificate(const std::string& subject, long serial, int from_seconds, int until_seconds) {
  Issued issued{.key = OwnedKey(EVP_EC_gen("P-256")), .certificate = OwnedCertificate(X509_new())};
  X509* const certificate = issued.certificate.get();
  Require(issued.key != nullptr && certificate != nullptr);
  X509_set_version(certificate, kVersion3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), from_seconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), until_seconds);
  X509_set_pubkey(certificate, issued.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(subject.data()), static_cast<int>(subject.size()),
                             -1, 0);
  return issued;
}

template <typename Write>
std::string Pem(Write write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  Require(write(bio) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

}  // namespace

void FreeOpenSsl::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
void FreeOpenSsl::operator()(X509* certificate) const { X509_free(certificate); }

std::string Issued::KeyPem() const {
  return Pem([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

std::string Issued::CertificatePem() const {
  return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

Authority::Authority(const std::string& name) : self_(NewCertificate(name, 1, -3600, 86'400)) {
  X509* const certificate = self_.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  Require(X509_sign(certificate, self_.key.get(), EVP_sha256()) > 0);
}

Issued Authority::Issue(const Wanted& wanted) {
  Issued issued = NewCertificate(wanted.subject, next_serial_++, wanted.from_seconds, wanted.until_seconds);
  X509_set_issuer_name(issued.certificate.get(), X509_get_subject_name(self_.certificate.get()));
  if (!wanted.alternative_names.empty()) {
    AddExtension(issued.certificate.get(), NID_subject_alt_name, wanted.alternative_names);
  }
  Require(X509_sign(issued.certificate.get(), self_.key.get(), EVP_sha256()) > 0);
  return issued;
}

std::string Authority::RevocationListPem(const std::vector<const X509*>& revoked) const {
  X509_CRL* const list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(self_.certificate.get()));
  ASN1_TIME* const time = ASN1_TIME_new();
  X509_CRL_set1_lastUpdate(list, X509_gmtime_adj(time, -60));
  X509_CRL_set1_nextUpdate(list, X509_gmtime_adj(time, 3600));
  X509_gmtime_adj(time, -30);
  for (const X509* const certificate : revoked) {
    X509_REVOKED* const entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, const_cast<ASN1_INTEGER*>(X509_get0_serialNumber(certificate)));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(list, entry);
  }
  Require(X509_CRL_sign(list, self_.key.get(), EVP_sha256()) > 0);
  std::string pem = Pem([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list); });
  ASN1_TIME_free(time);
  X509_CRL_free(list);
  return pem;
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  Require(file.flush().good());
}

}  // namespace mcgw::http2
