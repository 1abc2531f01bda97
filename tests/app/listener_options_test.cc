// What an entry of `listen` may say.

#include "server/app/listener_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/app/config.h"

namespace mcgw::app {
namespace {

using http2::ClientCertificates;
using testing::HasSubstr;

std::string Complaint(const std::string& text) {
  const absl::StatusOr<ListenerOptions> options = ListenerOptions::Parse(text);
  EXPECT_FALSE(options.ok()) << text;
  return options.ok() ? "" : std::string(options.status().message());
}

std::string PlaceOf(const std::string& text) { return ListenAddress::Parse(text)->Text(); }

TEST(ListenAddressTest, ItsSpellingsAreOnePlace) {
  EXPECT_EQ(PlaceOf("localhost:50051"), PlaceOf("127.0.0.1:50051"));
  EXPECT_EQ(PlaceOf("[0:0::1]:1"), PlaceOf("[::1]:1"));
  EXPECT_EQ(PlaceOf("unix:/run//a/../s"), PlaceOf("unix:/run/s"));
  EXPECT_NE(PlaceOf("127.0.0.1:1"), PlaceOf("127.0.0.1:2"));
  EXPECT_FALSE(ListenAddress::Parse("239.1.1.1:1").ok());
}

TEST(ListenAddressTest, WhatOnlyThisHostReachesIsLocal) {
  for (const char* local : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/run/s"}) {
    EXPECT_TRUE(ListenAddress::Parse(local)->IsLocal()) << local;
  }
  for (const char* open : {"0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"}) {
    EXPECT_FALSE(ListenAddress::Parse(open)->IsLocal()) << open;
  }
}

TEST(ListenerOptionsTest, WithoutKeysItIsPlaintextForAll) {
  const auto options = ListenerOptions::Parse("127.0.0.1:50051");
  ASSERT_TRUE(options.ok());
  EXPECT_FALSE(options->tls.has_value());
  EXPECT_EQ(options->name, "127.0.0.1:50051");
  EXPECT_EQ(options->mode, 0660u);
  EXPECT_TRUE(options->Allows(std::nullopt, {}));
}

TEST(ListenerOptionsTest, WithACaClientsMustHaveACertificate) {
  const std::string tls = "0.0.0.0:1 certificate=/c key=/k";
  EXPECT_EQ(ListenerOptions::Parse(tls)->tls->clients, ClientCertificates::kNone);
  const auto required = ListenerOptions::Parse(tls + " client_ca=/a crl=/r name=out");
  ASSERT_TRUE(required.ok());
  EXPECT_EQ(required->tls->clients, ClientCertificates::kRequired);
  EXPECT_EQ(required->tls->certificate, "/c");
  EXPECT_EQ(required->tls->key, "/k");
  EXPECT_EQ(required->tls->client_ca, "/a");
  EXPECT_EQ(required->tls->crl, "/r");
  EXPECT_EQ(required->name, "out");
  EXPECT_EQ(ListenerOptions::Parse(tls + " client_ca=/a client_certificates=requested")->tls->clients,
            ClientCertificates::kRequested);
}

TEST(ListenerOptionsTest, OffTheLoopbackOnlyRequiredCertificatesGuard) {
  const std::string tls = " certificate=/c key=/k";
  EXPECT_TRUE(ListenerOptions::Parse("127.0.0.1:1")->IsGuarded());
  EXPECT_TRUE(ListenerOptions::Parse("unix:/s")->IsGuarded());
  EXPECT_FALSE(ListenerOptions::Parse("0.0.0.0:1")->IsGuarded());
  EXPECT_FALSE(ListenerOptions::Parse("0.0.0.0:1" + tls)->IsGuarded());
  EXPECT_FALSE(ListenerOptions::Parse("0.0.0.0:1" + tls + " client_ca=/a client_certificates=requested")->IsGuarded());
  EXPECT_TRUE(ListenerOptions::Parse("0.0.0.0:1" + tls + " client_ca=/a")->IsGuarded());
}

TEST(ListenerOptionsTest, UsersAndGroupsAreAllowedByNumber) {
  const auto options = ListenerOptions::Parse("unix:/s allow_uid=7 allow_uid=1000-1999 allow_gid=50");
  ASSERT_TRUE(options.ok());
  for (const uint32_t uid : {7u, 1000u, 1999u}) EXPECT_TRUE(options->Allows(uid, {1})) << uid;
  for (const uint32_t uid : {0u, 6u, 8u, 999u, 2000u}) EXPECT_FALSE(options->Allows(uid, {1})) << uid;
  EXPECT_TRUE(options->Allows(0, {1, 50}));
  EXPECT_FALSE(options->Allows(std::nullopt, {}));
}

TEST(ListenerOptionsTest, WhatIsWrongIsNamed) {
  const struct {
    const char* text;
    const char* why;
  } rows[] = {
      {"", "the address is missing"},
      {"  ", "the address is missing"},
      {"127.0.0.1", "give an address and a port"},
      {"127.0.0.1:1 cert=/c", "'cert=/c' is not KEY=VALUE with one of the keys name, certificate, key"},
      {"127.0.0.1:1 certificate", "is not KEY=VALUE"},
      {"127.0.0.1:1 name=", "name has no value"},
      {"127.0.0.1:1 name=a name=b", "name is given twice"},
      {"127.0.0.1:1 name=\xff", "not printable ASCII"},
      {"127.0.0.1:1 certificate=/c", "certificate and key go together"},
      {"127.0.0.1:1 key=/k", "certificate and key go together"},
      {"127.0.0.1:1 certificate=c key=/k", "certificate: 'c' is not an absolute path"},
      {"127.0.0.1:1 client_ca=/a", "need a certificate and a key"},
      {"127.0.0.1:1 certificate=/c key=/k crl=/r", "crl needs client_ca"},
      {"127.0.0.1:1 certificate=/c key=/k client_certificates=required", "needs client_ca"},
      {"127.0.0.1:1 certificate=/c key=/k client_ca=/a client_certificates=none", "has no use"},
      {"127.0.0.1:1 certificate=/c key=/k client_ca=/a client_certificates=yes", "not one of: none, requested"},
      {"127.0.0.1:1 mode=0660", "for Unix sockets only"},
      {"127.0.0.1:1 allow_uid=1", "for Unix sockets only"},
      {"unix:/s certificate=/c key=/k", "has no TLS"},
      {"unix:/s mode=0500", "is not an octal mode"},
      {"unix:/s mode=0888", "is not an octal mode"},
      {"unix:/s mode=01777", "is not an octal mode"},
      {"unix:/s group=no-such-group", "is not a group of this host"},
      {"unix:/s allow_uid=5-3", "is not a number or a range"},
      {"unix:/s allow_uid=me", "is not a number or a range"},
      {"unix:/s allow_uid=4294967296", "is not a number or a range"},
  };
  for (const auto& row : rows) EXPECT_THAT(Complaint(row.text), HasSubstr(row.why)) << row.text;
}

TEST(ListenerConfigTest, AMapInTheFileIsTheTextForm) {
  const auto config = ReadConfigText("f", R"(
listen:
  - unix:/run/a
  - address: 0.0.0.0:1
    certificate: /c
    key: /k
    client_ca: /a
  - {address: "unix:/run/b", mode: 0666, allow_uid: [1, 5-9]}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->listen(), testing::ElementsAre("unix:/run/a", "0.0.0.0:1 certificate=/c key=/k client_ca=/a",
                                                     "unix:/run/b mode=0666 allow_uid=1 allow_uid=5-9"));
  EXPECT_EQ(ListenersOf(*config).size(), 3u);
}

TEST(ListenerConfigTest, AnOpenListenerMustBeAllowedByItsName) {
  const std::string open = "listen: ['0.0.0.0:1', '[::1]:1']\n";
  const auto refused = ReadConfigText("f", open);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--insecure-allow-plaintext 0.0.0.0:1"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("certificate=FILE key=FILE client_ca=FILE"));
  EXPECT_TRUE(ReadConfigText("f", open + "insecure_allow_plaintext: ['0.0.0.0:1']\n").ok());
  EXPECT_FALSE(ReadConfigText("f", open + "insecure_allow_plaintext: ['0.0.0.0:2']\n").ok());
  EXPECT_FALSE(ReadConfigText("f", open + "insecure_allow_plaintext: ['[::1]:1']\n").ok());
}

}  // namespace
}  // namespace mcgw::app
