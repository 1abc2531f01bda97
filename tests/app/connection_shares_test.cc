// Who may connect when connections run short.

#include "server/app/connection_shares.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "server/net/address.h"
#include "server/net/owned_fd.h"

namespace mcgw::app {
namespace {

ConnectionPeer Address(const std::string& name) { return {.name = name}; }
ConnectionPeer User(const std::string& name) { return {.name = name, .unix_socket = true}; }
const ConnectionPeer kOperator = {.name = "user 0", .unix_socket = true, .is_operator = true};

size_t TakeAll(ConnectionShares* shares, const ConnectionPeer& peer) {
  size_t taken = 0;
  while (!shares->Take(peer).has_value()) ++taken;
  return taken;
}

TEST(ConnectionShares, APeerHasThreeQuartersOrWhatIsSet) {
  ConnectionShares shares(100, 0);
  EXPECT_EQ(TakeAll(&shares, Address("a")), 75u);
  EXPECT_EQ(TakeAll(&shares, Address("b")), 15u) << "the rest is kept for Unix sockets";
  ConnectionShares set(100, 10);
  EXPECT_EQ(TakeAll(&set, Address("a")), 10u);
  EXPECT_EQ(TakeAll(&set, User("a user")), 10u);
}

TEST(ConnectionShares, SomeAreKeptForUnixSocketsAndOfThemForOperators) {
  ConnectionShares shares(100, 100);
  EXPECT_EQ(TakeAll(&shares, Address("a")), 90u);
  EXPECT_EQ(TakeAll(&shares, User("a user")), 5u);
  EXPECT_EQ(TakeAll(&shares, kOperator), 5u);
}

TEST(ConnectionShares, AnOperatorHasNoShareToKeepTo) {
  ConnectionShares shares(100, 10);
  EXPECT_EQ(TakeAll(&shares, kOperator), 100u);
}

TEST(ConnectionShares, WhatIsGivenBackIsFree) {
  ConnectionShares shares(4, 1);
  EXPECT_FALSE(shares.Take(Address("a")).has_value());
  const std::optional<std::string> why = shares.Take(Address("a"));
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("max_connections_per_peer"), std::string::npos) << *why;
  shares.GiveBack(Address("a"));
  EXPECT_FALSE(shares.Take(Address("a")).has_value());
}

TEST(ConnectionShares, FewConnectionsAreAllUsed) {
  ConnectionShares shares(1, 0);
  EXPECT_EQ(TakeAll(&shares, Address("a")), 1u);
  ConnectionShares none(0, 0);
  EXPECT_EQ(TakeAll(&none, Address("a")), 0u);
}

TEST(ConnectionPeer, IsAnAddressOrAUser) {
  sockaddr_storage storage;
  net::ToSockaddr(net::IpAddress::Parse("192.0.2.1").value(), 1, 0, &storage);
  EXPECT_EQ(ConnectionPeer::Of(-1, storage).name, "address 192.0.2.1");
  net::ToSockaddr(net::IpAddress::Parse("127.1.2.3").value(), 1, 0, &storage);
  const std::string loopback = ConnectionPeer::Of(-1, storage).name;
  net::ToSockaddr(net::IpAddress::Parse("::1").value(), 1, 0, &storage);
  EXPECT_EQ(ConnectionPeer::Of(-1, storage).name, loopback) << "a program of this host has all of them";

  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const net::OwnedFd one(ends[0]);
  const net::OwnedFd other(ends[1]);
  storage.ss_family = AF_UNIX;
  const ConnectionPeer user = ConnectionPeer::Of(one.get(), storage);
  EXPECT_EQ(user.name, "user " + std::to_string(getuid()));
  EXPECT_TRUE(user.unix_socket && user.is_operator);
}

}  // namespace
}  // namespace mcgw::app
