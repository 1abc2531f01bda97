#include "server/app/acceptor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <future>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "server/net/owned_fd.h"

namespace mcgw::app {
namespace {

using testing::HasSubstr;

class UnixSocketTest : public testing::Test {
 protected:
  UnixSocketTest() {
    char name[] = "/tmp/mcgw-listener-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/s";
  }
  ~UnixSocketTest() override { std::filesystem::remove_all(directory_); }

  absl::StatusOr<std::unique_ptr<ListenSocket>> Open(const std::string& options = "") const {
    const absl::StatusOr<ListenerOptions> parsed = ListenerOptions::Parse("unix:" + path_ + options);
    if (!parsed.ok()) return parsed.status();
    return ListenSocket::Open(*parsed);
  }

  // A socket of another program, bound to the path.
  net::OwnedFd Bind(int type) const {
    net::OwnedFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  ino_t Inode() const {
    struct stat status {};
    return lstat(path_.c_str(), &status) == 0 ? status.st_ino : 0;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(UnixSocketTest, WhatAnotherProgramUsesStays) {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM}) {
    const net::OwnedFd other = Bind(type);
    if (type != SOCK_DGRAM) {
      ASSERT_EQ(listen(other.get(), 1), 0);
    }
    const ino_t inode = Inode();
    const auto opened = Open();
    ASSERT_FALSE(opened.ok()) << type;
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr(path_));
    EXPECT_EQ(Inode(), inode) << type;
    unlink(path_.c_str());
  }
}

TEST_F(UnixSocketTest, WhatIsAbandonedIsTakenOver) {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM}) {
    Bind(type).Reset();
    ASSERT_NE(Inode(), 0u);
    EXPECT_TRUE(Open().ok()) << type;
    EXPECT_EQ(Inode(), 0u) << "closed and removed";
  }
}

TEST_F(UnixSocketTest, AFileThatIsNoSocketStays) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  EXPECT_FALSE(Open().ok());
  EXPECT_NE(Inode(), 0u);
}

TEST_F(UnixSocketTest, TheFileHasTheModeAndGroupThatAreAskedFor) {
  constexpr gid_t kNogroup = 65534;
  const struct {
    std::string options;
    mode_t mode;
    gid_t group;
  } rows[] = {{"", 0660, getegid()},
              {" mode=0606", 0606, getegid()},
              {" group=65534", 0660, kNogroup},
              {" group=nogroup mode=0640", 0640, kNogroup}};
  for (const auto& row : rows) {
    const auto opened = Open(row.options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    struct stat status {};
    ASSERT_EQ(lstat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, row.mode) << row.options;
    EXPECT_EQ(status.st_gid, row.group) << row.options;
  }
}

TEST_F(UnixSocketTest, OnlyAllowedUsersAreServed) {
  for (const bool allowed : {false, true}) {
    std::vector<std::unique_ptr<ListenSocket>> sockets;
    // This process's own ids, and others.
    sockets.push_back(*Open(allowed ? " allow_uid=4000000000 allow_gid=" + std::to_string(getegid())
                                    : " allow_uid=4000000000-4000000009 allow_gid=4000000000"));
    std::promise<Acceptor::Accepted> accepted;
    std::future<Acceptor::Accepted> taken = accepted.get_future();
    Acceptor acceptor(std::move(sockets), ConnectionShares(10, 10), absl::Seconds(60),
                      [&](Acceptor::Accepted connection) { accepted.set_value(std::move(connection)); });
    ASSERT_TRUE(acceptor.Start().ok());
    const net::OwnedFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    if (allowed) {
      const Acceptor::Accepted connection = taken.get();
      EXPECT_EQ(connection.peer.uid, getuid());
      EXPECT_EQ(connection.peer.address, "unix:pid=" + std::to_string(getpid()) + ",uid=" + std::to_string(getuid()));
    } else {
      char byte = 0;
      EXPECT_EQ(recv(client.get(), &byte, 1, 0), 0) << "closed";
    }
    acceptor.Stop();
  }
}

TEST_F(UnixSocketTest, OnlyTheOwnFileIsRemovedAtTheEnd) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  // Somebody removed it, and another gateway serves there.
  unlink(path_.c_str());
  auto second = Open();
  ASSERT_TRUE(second.ok());
  const ino_t inode = Inode();
  first->reset();
  EXPECT_EQ(Inode(), inode);
  second->reset();
  EXPECT_EQ(Inode(), 0u);
}

// Lets this process open only so many descriptors more.
class ScarceDescriptors {
 public:
  explicit ScarceDescriptors(int more) {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit scarce = before_;
    for (scarce.rlim_cur = 0; more >= 0; ++scarce.rlim_cur) {
      if (fcntl(static_cast<int>(scarce.rlim_cur), F_GETFD) < 0) --more;
    }
    --scarce.rlim_cur;
    setrlimit(RLIMIT_NOFILE, &scarce);
  }
  ~ScarceDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(UnixSocketTest, AClientWaitsUntilThereAreDescriptorsForIt) {
  for (const int more : {0, 1}) {
    std::vector<std::unique_ptr<ListenSocket>> sockets;
    sockets.push_back(*Open());
    std::promise<net::OwnedFd> accepted;
    std::future<net::OwnedFd> taken = accepted.get_future();
    Acceptor acceptor(std::move(sockets), ConnectionShares(10, 10), absl::Seconds(60),
                      [&](Acceptor::Accepted connection) { accepted.set_value(std::move(connection.fd)); });
    ASSERT_TRUE(acceptor.Start().ok());
    const net::OwnedFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    {
      const ScarceDescriptors scarce(more);
      ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
      pollfd ended{client.get(), POLLIN, 0};
      EXPECT_EQ(poll(&ended, 1, 100), 0) << "cut, with " << more << " descriptors left";
    }
    EXPECT_EQ(taken.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    acceptor.Stop();
  }
}

// gRPC may keep a connection open after both of its directions have ended, and the connection may have events then. The
// number of the descriptor by which it was watched is already another connection's.
TEST_F(UnixSocketTest, WhatAnEndedConnectionStillTellsIsOfNoOther) {
  const auto count_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  // Made before, so that none of them takes the number that becomes free.
  std::vector<net::OwnedFd> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto connect_client = [&](size_t i) {
    ASSERT_EQ(connect(clients[i].get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  };
  std::vector<std::unique_ptr<ListenSocket>> sockets;
  sockets.push_back(*Open());
  std::array<std::promise<net::OwnedFd>, 3> accepted;
  size_t next = 0;
  Acceptor acceptor(std::move(sockets), ConnectionShares(1, 1), absl::Seconds(60),
                    [&](Acceptor::Accepted connection) { accepted.at(next++).set_value(std::move(connection.fd)); });
  ASSERT_TRUE(acceptor.Start().ok());
  connect_client(0);
  const net::OwnedFd ended = accepted[0].get_future().get();
  const auto before = count_descriptors();
  shutdown(clients[0].get(), SHUT_RDWR);
  while (count_descriptors() == before) std::this_thread::yield();
  connect_client(1);
  const net::OwnedFd open = accepted[1].get_future().get();

  shutdown(ended.get(), SHUT_RDWR);
  connect_client(2);
  pollfd refused{clients[2].get(), POLLIN, 0};
  EXPECT_EQ(poll(&refused, 1, 2000), 1) << "a third connection was let in beside the second";
  acceptor.Stop();
}

}  // namespace
}  // namespace mcgw::app
