// TLS: whom a handshake lets in, and as whom; what the transport carries; files that change.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/http2/handshakes.h"
#include "server/http2/tls_context.h"
#include "server/http2/tls_source.h"
#include "server/http2/tls_transport.h"
#include "tests/http2/certificates.h"

namespace mcgw::http2 {
namespace {

using ::testing::HasSubstr;

constexpr unsigned char kHttp2[] = {2, 'h', '2'};

// The client's side.
class Client {
 public:
  struct Options {
    const Issued* certificate = nullptr;
    int version = TLS1_3_VERSION;
    bool offers_http2 = true;
    SSL_SESSION* session = nullptr;
  };

  Client(net::OwnedFd fd, const Options& options) : fd_(std::move(fd)), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_, options.version);
    SSL_CTX_set_max_proto_version(context_, options.version);
    SSL_CTX_set_security_level(context_, 0);  // For versions that are refused.
    if (options.certificate != nullptr) {
      SSL_CTX_use_certificate(context_, options.certificate->certificate.get());
      SSL_CTX_use_PrivateKey(context_, options.certificate->key.get());
    }
    ssl_ = SSL_new(context_);
    if (options.offers_http2) SSL_set_alpn_protos(ssl_, kHttp2, sizeof(kHttp2));
    if (options.session != nullptr) SSL_set_session(ssl_, options.session);
    SSL_set_fd(ssl_, fd_.get());
    SSL_set_connect_state(ssl_);
  }
  ~Client() {
    SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // Its session can be resumed.
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }

  bool Continue() { return SSL_do_handshake(ssl_) == 1; }
  SSL* ssl() const { return ssl_; }
  // Reads what there is.
  std::string Read() {
    std::string all;
    char buffer[32 << 10];
    size_t got = 0;
    while (SSL_read_ex(ssl_, buffer, sizeof(buffer), &got) == 1) all.append(buffer, got);
    return all;
  }

 private:
  const net::OwnedFd fd_;
  SSL_CTX* const context_;
  SSL* ssl_ = nullptr;
};

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/mcgw-tls-XXXXXX";
    directory_ = mkdtemp(name);
    files_ = {.certificate = directory_ + "/server.crt",
              .key = directory_ + "/server.key",
              .client_ca = directory_ + "/ca.crt",
              .crl = {}};
    WriteFile(files_.client_ca, authority_.CertificatePem());
    WriteServer(authority_.Issue({.subject = "server", .alternative_names = "DNS:localhost"}));
  }
  ~TlsTest() override { std::filesystem::remove_all(directory_); }

  void WriteServer(const Issued& server) const {
    WriteFile(files_.certificate, server.CertificatePem());
    WriteFile(files_.key, server.KeyPem());
  }

  // Connects a client to a handshake.
  void Connect(const TlsContext& context, const Client::Options& options) {
    int fds[2] = {-1, -1};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    handshake_.emplace(context, net::OwnedFd(fds[0]));
    client_.emplace(net::OwnedFd(fds[1]), options);
  }
  // Both sides in turn until the server's is over.
  TlsHandshake::Step Shake() {
    while (true) {
      client_->Continue();
      const TlsHandshake::Step step = handshake_->Continue();
      if (step == TlsHandshake::Step::kDone || step == TlsHandshake::Step::kFailed) {
        client_->Continue();
        return step;
      }
    }
  }
  // What a client is told that connects so: its identity, or why it is refused.
  std::string Outcome(const Client::Options& options) {
    const auto context = TlsContext::Load(files_);
    if (!context.ok()) return std::string(context.status().message());
    Connect(**context, options);
    return Shake() == TlsHandshake::Step::kDone ? handshake_->identity() : handshake_->failure();
  }

  Authority authority_{"the CA"};
  std::string directory_;
  TlsFiles files_;
  std::optional<TlsHandshake> handshake_;
  std::optional<Client> client_;
};

TEST_F(TlsTest, TheNameInTheCertificateIsTheIdentity) {
  const struct {
    Authority::Wanted wanted;
    std::string identity;
  } rows[] = {
      {{.subject = "reader", .alternative_names = "DNS:a.example,URI:spiffe://example/reader,URI:urn:second"},
       "uri:spiffe://example/reader"},
      {{.subject = "reader", .alternative_names = "IP:192.0.2.1,DNS:a.example,DNS:b.example"}, "dns:a.example"},
      {{.subject = "reader", .alternative_names = ""}, "subject:CN=reader"},
      {{.subject = "r\xc3\xa9"
                   "ader",
        .alternative_names = ""},
       "subject:CN=r\\C3\\A9ader"},
  };
  for (const auto& row : rows) {
    const Issued certificate = authority_.Issue(row.wanted);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      EXPECT_EQ(Outcome({.certificate = &certificate, .version = version}), row.identity);
    }
  }
}

TEST_F(TlsTest, ANameThatIsTooLongOrNotPrintableIsRefused) {
  for (const std::string& name : {"URI:urn:" + std::string(300, 'a'), std::string("DNS:\xff\x01"
                                                                                  "a")}) {
    const Issued certificate = authority_.Issue({.alternative_names = name});
    EXPECT_THAT(Outcome({.certificate = &certificate}), HasSubstr("longer than 256 bytes or not printable"));
  }
}

TEST_F(TlsTest, WhoIsRefusedAndWhy) {
  Authority foreign("the CA");  // Of the same name.
  const Issued good = authority_.Issue({});
  const Issued of_foreign = foreign.Issue({});
  const Issued expired = authority_.Issue({.from_seconds = -3600, .until_seconds = -1});
  const Issued early = authority_.Issue({.from_seconds = 3600, .until_seconds = 7200});
  const Issued revoked = authority_.Issue({.subject = "thief"});
  files_.crl = directory_ + "/ca.crl";
  WriteFile(files_.crl, authority_.RevocationListPem({revoked.certificate.get()}));
  EXPECT_EQ(Outcome({.certificate = &good}), "subject:CN=client");
  EXPECT_EQ(Outcome({}), "it has no certificate");
  EXPECT_THAT(Outcome({.certificate = &of_foreign}), HasSubstr("certificate signature failure"));
  EXPECT_EQ(Outcome({.certificate = &expired}), "its certificate CN=client is refused: certificate has expired");
  EXPECT_THAT(Outcome({.certificate = &early}), HasSubstr("certificate is not yet valid"));
  EXPECT_EQ(Outcome({.certificate = &revoked}), "its certificate CN=thief is refused: certificate revoked");
  EXPECT_EQ(Outcome({.certificate = &good, .version = TLS1_1_VERSION}), "it does not speak TLS 1.2 or later");
  EXPECT_EQ(Outcome({.certificate = &good, .offers_http2 = false}), "it does not offer HTTP/2 (ALPN h2)");
}

TEST_F(TlsTest, AskedClientsMayHaveNoCertificateButNoBadOne) {
  Authority foreign("another CA");
  const Issued good = authority_.Issue({});
  const Issued bad = foreign.Issue({});
  files_.clients = ClientCertificates::kRequested;
  EXPECT_EQ(Outcome({}), "");
  EXPECT_EQ(Outcome({.certificate = &good}), "subject:CN=client");
  EXPECT_THAT(Outcome({.certificate = &bad}), HasSubstr("unable to get local issuer certificate"));
  files_.clients = ClientCertificates::kNone;
  EXPECT_EQ(Outcome({.certificate = &bad}), "") << "nobody looks at it";
}

TEST_F(TlsTest, OtherBytesAreNoTls) {
  const auto context = TlsContext::Load(files_);
  ASSERT_TRUE(context.ok());
  for (const auto& [bytes, why] : {std::pair{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "it does not speak TLS"},
                                   std::pair{"GET / HTTP/1.1\r\n\r\n", "it does not speak TLS"}}) {
    int fds[2] = {-1, -1};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    const net::OwnedFd peer(fds[1]);
    TlsHandshake handshake(**context, net::OwnedFd(fds[0]));
    ASSERT_GT(send(peer.get(), bytes, strlen(bytes), 0), 0);
    EXPECT_EQ(handshake.Continue(), TlsHandshake::Step::kFailed);
    EXPECT_EQ(handshake.failure(), why);
  }
}

TEST_F(TlsTest, APeerThatGoesAwayIsNoFailure) {
  const auto context = TlsContext::Load(files_);
  ASSERT_TRUE(context.ok());
  Connect(**context, {});
  client_->Continue();
  ASSERT_EQ(handshake_->Continue(), TlsHandshake::Step::kWantsRead);
  client_.reset();
  ASSERT_EQ(handshake_->Continue(), TlsHandshake::Step::kFailed);
  EXPECT_EQ(handshake_->failure(), "");
}

TEST_F(TlsTest, WhatIsWrittenArrivesHoweverTheSocketTakesIt) {
  const auto context = TlsContext::Load(files_);
  const Issued certificate = authority_.Issue({});
  ASSERT_TRUE(context.ok());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Connect(**context, {.certificate = &certificate, .version = version});
    const int buffer_bytes = 4096;
    setsockopt(handshake_->fd(), SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    ASSERT_EQ(Shake(), TlsHandshake::Step::kDone);
    const std::unique_ptr<Transport> transport = handshake_->TakeTransport();
    // Pieces of many sizes, in a queue that grows while its first bytes wait for room, as a connection's does.
    std::string sent;
    for (int i = 0; sent.size() < 2'000'000; ++i) sent.append(static_cast<size_t>(1 + i * 7919 % 40'000), 'a' + i % 26);
    std::string received;
    size_t written = 0;
    size_t known = 1;
    while (received.size() < sent.size()) {
      std::vector<iovec> buffers;
      size_t at = written;
      for (size_t i = 0; at < known && buffers.size() < 64; ++i) {
        const size_t size = std::min(known - at, 1 + i * 613 % 20'000);
        buffers.push_back({.iov_base = sent.data() + at, .iov_len = size});
        at += size;
      }
      if (!buffers.empty()) {
        const ssize_t taken = transport->Write(buffers.data(), static_cast<int>(buffers.size()));
        ASSERT_TRUE(taken > 0 || taken == Transport::kWouldBlock) << taken;
        if (taken > 0) written += static_cast<size_t>(taken);
        if (taken == Transport::kWouldBlock) received += client_->Read();
      } else {
        received += client_->Read();
      }
      known = std::min(sent.size(), known + 5000);
    }
    EXPECT_TRUE(received == sent);
  }
}

TEST_F(TlsTest, WhatARecordHasMoreThanWasReadIsPending) {
  const auto context = TlsContext::Load(files_);
  const Issued certificate = authority_.Issue({});
  ASSERT_TRUE(context.ok());
  Connect(**context, {.certificate = &certificate});
  ASSERT_EQ(Shake(), TlsHandshake::Step::kDone);
  const std::unique_ptr<Transport> transport = handshake_->TakeTransport();
  char buffer[16];
  EXPECT_EQ(transport->Read(buffer, sizeof(buffer)), Transport::kWouldBlock);
  EXPECT_FALSE(transport->has_pending());
  ASSERT_EQ(SSL_write(client_->ssl(), "0123456789", 10), 10);
  EXPECT_EQ(transport->Read(buffer, 4), 4);
  EXPECT_TRUE(transport->has_pending());
  EXPECT_EQ(transport->Read(buffer, sizeof(buffer)), 6);
  EXPECT_FALSE(transport->has_pending());
  SSL_shutdown(client_->ssl());
  EXPECT_EQ(transport->Read(buffer, sizeof(buffer)), 0);
}

// Each changes the keys, and has no data for the reader.
TEST_F(TlsTest, RecordsWithoutDataAreTakenOneByOne) {
  const auto context = TlsContext::Load(files_);
  const Issued certificate = authority_.Issue({});
  ASSERT_TRUE(context.ok());
  Connect(**context, {.certificate = &certificate});
  ASSERT_EQ(Shake(), TlsHandshake::Step::kDone);
  const std::unique_ptr<Transport> transport = handshake_->TakeTransport();
  constexpr int kUpdates = 20;
  for (int i = 0; i < kUpdates; ++i) {
    ASSERT_EQ(SSL_key_update(client_->ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client_->ssl()), 1);
  }
  ASSERT_EQ(SSL_write(client_->ssl(), "x", 1), 1);
  char byte = 0;
  int reads = 0;
  while (transport->Read(&byte, 1) == Transport::kWouldBlock) ++reads;
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(reads, kUpdates);
}

// A ticket stands for the certificate that was shown, so it ends with the files by which that was judged.
TEST_F(TlsTest, ATicketIsGoodUntilTheFilesChangeOrTheCertificateExpires) {
  const auto resumes = [this](const TlsContext& context, const Issued& certificate, SSL_SESSION* session) {
    Connect(context, {.certificate = &certificate, .session = session});
    const bool done = Shake() == TlsHandshake::Step::kDone;
    return done && SSL_session_reused(client_->ssl()) == 1;
  };
  const auto first_session = [this](const TlsContext& context, const Issued& certificate) {
    Connect(context, {.certificate = &certificate});
    EXPECT_EQ(Shake(), TlsHandshake::Step::kDone);
    client_->Read();  // The ticket comes after the handshake.
    return SSL_get1_session(client_->ssl());
  };
  auto source = TlsSource::Load(files_);
  ASSERT_TRUE(source.ok());
  const Issued lasting = authority_.Issue({.alternative_names = "URI:urn:lasting"});
  SSL_SESSION* session = first_session(*(*source)->context(), lasting);
  EXPECT_TRUE(resumes(*(*source)->context(), lasting, session));
  EXPECT_EQ(handshake_->identity(), "uri:urn:lasting");
  WriteServer(authority_.Issue({.subject = "its successor"}));
  ASSERT_TRUE((*source)->Refresh().value().ok());
  EXPECT_FALSE(resumes(*(*source)->context(), lasting, session));
  SSL_SESSION_free(session);

  const Issued brief = authority_.Issue({.until_seconds = 2});
  session = first_session(*(*source)->context(), brief);
  while (X509_cmp_current_time(X509_get0_notAfter(brief.certificate.get())) > 0) poll(nullptr, 0, 10);
  Connect(*(*source)->context(), {.certificate = &brief, .session = session});
  EXPECT_EQ(Shake(), TlsHandshake::Step::kFailed);
  EXPECT_THAT(handshake_->failure(), HasSubstr("expired"));
  SSL_SESSION_free(session);
}

TEST_F(TlsTest, BadFilesAreNamed) {
  const auto problem = [](const TlsFiles& files) {
    const auto context = TlsContext::Load(files);
    return context.ok() ? std::string() : std::string(context.status().message());
  };
  const auto with = [this](std::string TlsFiles::*file, const std::string& text) {
    TlsFiles files = files_;
    files.*file = directory_ + "/bad";
    WriteFile(files.*file, text);
    return files;
  };
  EXPECT_EQ(problem(files_), "");
  const Issued other = authority_.Issue({});
  EXPECT_THAT(problem(with(&TlsFiles::certificate, "")), HasSubstr("certificate: '" + directory_ + "/bad'"));
  EXPECT_THAT(problem(with(&TlsFiles::certificate, other.KeyPem())), HasSubstr("there is no certificate in PEM"));
  const std::string pem = other.CertificatePem();
  EXPECT_THAT(problem(with(&TlsFiles::certificate, pem.substr(0, pem.size() / 2))), HasSubstr("not a valid"));
  EXPECT_THAT(problem(with(&TlsFiles::key, pem)), HasSubstr("not a private key"));
  EXPECT_THAT(problem(with(&TlsFiles::key, other.KeyPem())), HasSubstr("not the key of the certificate"));
  EXPECT_THAT(problem(with(&TlsFiles::client_ca, "x")), HasSubstr("client_ca"));
  EXPECT_THAT(problem(with(&TlsFiles::crl, pem)), HasSubstr("certificate revocation list"));
  TlsFiles missing = files_;
  missing.key = directory_ + "/missing";
  EXPECT_THAT(problem(missing), HasSubstr("key: cannot read '" + missing.key + "': No such file"));
  missing.key = directory_;
  EXPECT_THAT(problem(missing), HasSubstr("not a regular file"));
}

TEST_F(TlsTest, ChangedFilesAreTakenAndBadOnesReportedOnce) {
  auto source = TlsSource::Load(files_);
  ASSERT_TRUE(source.ok());
  const std::string first = (*source)->context()->summary();
  EXPECT_THAT(first, HasSubstr("CN=server, valid until "));
  EXPECT_FALSE((*source)->Refresh().has_value());

  // Between the two files of a pair nothing is said, and the old pair stays.
  const Issued second = authority_.Issue({.subject = "second"});
  WriteFile(files_.certificate, second.CertificatePem());
  EXPECT_FALSE((*source)->Refresh().has_value());
  EXPECT_EQ((*source)->context()->summary(), first);
  WriteFile(files_.key, second.KeyPem());
  ASSERT_TRUE((*source)->Refresh().has_value());
  EXPECT_THAT((*source)->context()->summary(), HasSubstr("CN=second"));

  WriteFile(files_.key, "garbage");
  EXPECT_FALSE((*source)->Refresh().has_value()) << "it may be on its way";
  const std::optional<absl::Status> news = (*source)->Refresh();
  ASSERT_TRUE(news.has_value());
  EXPECT_THAT(std::string(news->message()), HasSubstr("not a private key"));
  EXPECT_FALSE((*source)->Refresh().has_value()) << "said once";
  EXPECT_THAT((*source)->context()->summary(), HasSubstr("CN=second"));
  WriteFile(files_.key, second.KeyPem());
  EXPECT_TRUE((*source)->Refresh().value().ok());
}

TEST_F(TlsTest, AnExpiredCertificateOfTheServerIsToldOf) {
  EXPECT_EQ((*TlsContext::Load(files_))->InvalidNow(), "");
  WriteServer(authority_.Issue({.from_seconds = -60, .until_seconds = -1}));
  EXPECT_THAT((*TlsContext::Load(files_))->InvalidNow(), HasSubstr("it expired at "));
  WriteServer(authority_.Issue({.from_seconds = 60}));
  EXPECT_THAT((*TlsContext::Load(files_))->InvalidNow(), HasSubstr("it is not valid before "));
}

// ---- Handshakes ----

// What has become of connections.
class Outcomes {
 public:
  std::unique_ptr<Handshakes::Outcome> New() { return std::make_unique<One>(this); }
  std::string Next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return next_ < all_.size(); });
    return all_[next_++];
  }
  std::vector<std::unique_ptr<Transport>> transports;

 private:
  class One final : public Handshakes::Outcome {
   public:
    explicit One(Outcomes* all) : all_(all) {}
    void OnDone(std::unique_ptr<Transport> transport, const std::string& identity) override {
      all_->Add("done: " + identity, std::move(transport));
    }
    void OnFailed(const std::string& why) override { all_->Add("failed: " + why, nullptr); }

   private:
    Outcomes* const all_;
  };
  void Add(const std::string& text, std::unique_ptr<Transport> transport) {
    const std::lock_guard lock(mutex_);
    all_.push_back(text);
    transports.push_back(std::move(transport));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> all_;
  size_t next_ = 0;
};

class HandshakesTest : public TlsTest {
 protected:
  HandshakesTest() : context_(*TlsContext::Load(files_)) {}

  // The client's end.
  net::OwnedFd Begin(Handshakes* handshakes, const std::string& host) {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    handshakes->Begin(context_, net::OwnedFd(fds[0]), host, outcomes_.New());
    return net::OwnedFd(fds[1]);
  }
  static void WaitUntilEnded(const net::OwnedFd& fd) {
    pollfd ended{fd.get(), POLLIN, 0};
    char byte = 0;
    while (recv(fd.get(), &byte, 1, 0) != 0) poll(&ended, 1, -1);
  }

  const std::shared_ptr<const TlsContext> context_;
  Outcomes outcomes_;
};

TEST_F(HandshakesTest, AClientIsLetInWhileOthersWait) {
  Handshakes handshakes({});
  ASSERT_TRUE(handshakes.Start().ok());
  const net::OwnedFd silent = Begin(&handshakes, "a");
  const Issued certificate = authority_.Issue({});
  Client client(Begin(&handshakes, "a"), {.certificate = &certificate});
  while (!client.Continue()) poll(nullptr, 0, 1);
  EXPECT_EQ(outcomes_.Next(), "done: subject:CN=client");
  handshakes.Stop();
  WaitUntilEnded(silent);
}

TEST_F(HandshakesTest, TheirNumberAndTheirTimeAreBounded) {
  Handshakes handshakes({.most = 3, .most_per_host = 2, .patience = absl::Milliseconds(200)});
  ASSERT_TRUE(handshakes.Start().ok());
  std::vector<net::OwnedFd> clients;
  for (const char* host : {"a", "a", "a", "b", "b"}) clients.push_back(Begin(&handshakes, host));
  EXPECT_EQ(outcomes_.Next(), "failed: there are 2 other handshakes of its host");
  EXPECT_EQ(outcomes_.Next(), "failed: there are 3 other handshakes");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcomes_.Next(), "failed: its handshake took more than 200ms");
  for (const net::OwnedFd& client : clients) WaitUntilEnded(client);
  // All of it is free again.
  clients.clear();
  for (const char* host : {"a", "a", "b"}) clients.push_back(Begin(&handshakes, host));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcomes_.Next(), "failed: its handshake took more than 200ms");
}

TEST_F(HandshakesTest, ABrokenHandshakeTellsWhy) {
  Handshakes handshakes({});
  ASSERT_TRUE(handshakes.Start().ok());
  const net::OwnedFd plain = Begin(&handshakes, "a");
  ASSERT_EQ(send(plain.get(), "PRI * HTTP/2.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
  EXPECT_EQ(outcomes_.Next(), "failed: it does not speak TLS");
  WaitUntilEnded(plain);
  Begin(&handshakes, "a");
  EXPECT_EQ(outcomes_.Next(), "failed: ") << "gone at once";
}

}  // namespace
}  // namespace mcgw::http2
