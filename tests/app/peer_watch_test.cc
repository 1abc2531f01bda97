#include "server/app/peer_watch.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "server/net/owned_fd.h"

namespace mcgw::app {
namespace {

using Finding = PeerWatch::Finding;
using Sample = PeerWatch::Sample;

constexpr PeerChecks kChecks = {.mean = absl::Seconds(1), .stalled = 5, .vanished = 3};

TEST(PeerChecksTest, AreSpreadOverTheTime) {
  const PeerChecks usual = PeerChecks::For(absl::Seconds(60));
  EXPECT_EQ(usual.stalled, 64);
  EXPECT_NEAR(absl::ToDoubleSeconds(usual.mean * usual.vanished), 8, 1);
  const PeerChecks patient = PeerChecks::For(absl::Hours(1));
  EXPECT_EQ(patient.stalled, 3600);
  EXPECT_EQ(patient.vanished, 8);
  EXPECT_EQ(PeerChecks::For(absl::Seconds(1)).stalled, 64);
}

TEST(PeerWatchTest, OnlyChecksInARowCount) {
  PeerWatch watch(/*unix_socket=*/true);
  const Sample stalled = {.waiting = true};
  for (int round = 0; round < 3; ++round) {
    for (int i = 1; i < kChecks.stalled; ++i) EXPECT_EQ(watch.Judge(stalled, kChecks), Finding::kAlive);
    EXPECT_EQ(watch.Judge({.waiting = true, .progress = true}, kChecks), Finding::kAlive);
  }
  for (int i = 1; i < kChecks.stalled; ++i) EXPECT_EQ(watch.Judge(stalled, kChecks), Finding::kAlive);
  EXPECT_EQ(watch.Judge(stalled, kChecks), Finding::kStalled);
}

TEST(PeerWatchTest, OfTcpTwiceAsManyChecksCount) {
  PeerWatch watch(/*unix_socket=*/false);
  const Sample stalled = {.waiting = true};
  for (int i = 1; i < 2 * kChecks.stalled; ++i) EXPECT_EQ(watch.Judge(stalled, kChecks), Finding::kAlive);
  EXPECT_EQ(watch.Judge(stalled, kChecks), Finding::kStalled);
}

TEST(PeerWatchTest, AHostThatAnswersNothingHasVanishedBeforeItCountsAsStalled) {
  PeerWatch watch(/*unix_socket=*/false);
  const Sample silent = {.waiting = true, .unanswered = true, .silent = absl::Seconds(18)};
  for (int i = 1; i < kChecks.vanished; ++i) EXPECT_EQ(watch.Judge(silent, kChecks), Finding::kAlive);
  EXPECT_EQ(watch.Judge({.waiting = true}, kChecks), Finding::kAlive) << "it has answered";
  for (int i = 1; i < kChecks.vanished; ++i) EXPECT_NE(watch.Judge(silent, kChecks), Finding::kVanished);
  EXPECT_EQ(watch.Judge(silent, kChecks), Finding::kVanished);
}

TEST(PeerWatchTest, AShortSilenceIsNoEnd) {
  PeerWatch watch(/*unix_socket=*/false);
  for (int i = 0; i < 10 * kChecks.vanished; ++i) {
    EXPECT_EQ(watch.Judge({.unanswered = true, .silent = absl::Seconds(10)}, kChecks), Finding::kAlive);
  }
}

TEST(PeerWatchTest, ALongSilenceIsNoEndUntilThePeerWasAsked) {
  PeerWatch watch(/*unix_socket=*/false);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(watch.Judge({.silent = absl::Hours(1)}, kChecks), Finding::kAlive);
  const Sample asked = {.unanswered = true, .silent = absl::Hours(1)};
  for (int i = 1; i < kChecks.vanished; ++i) EXPECT_EQ(watch.Judge(asked, kChecks), Finding::kAlive);
  EXPECT_EQ(watch.Judge(asked, kChecks), Finding::kVanished);
}

TEST(PeerWatchTest, NothingToTakeIsNoStall) {
  PeerWatch watch(/*unix_socket=*/false);
  for (int i = 0; i < 10 * kChecks.stalled; ++i) EXPECT_EQ(watch.Judge({}, kChecks), Finding::kAlive);
}

// A connection to this program itself.
struct Pair {
  net::OwnedFd near, far;

  static Pair OfTcp() {
    const net::OwnedFd listener(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    Pair pair;
    pair.far = net::OwnedFd(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(connect(pair.far.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    pair.near = net::OwnedFd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
    return pair;
  }
  static Pair OfUnix() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    return {net::OwnedFd(fds[0]), net::OwnedFd(fds[1])};
  }

  // Writes until the peer's buffer and one's own are full.
  void Fill() const {
    const std::array<char, 65536> zeros{};
    while (send(near.get(), zeros.data(), zeros.size(), MSG_NOSIGNAL) > 0) {
    }
  }
  // What the peer reads. Returns whether there was any.
  bool Drain() const {
    std::array<char, 65536> buffer;
    bool any = false;
    while (recv(far.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) any = true;
    return any;
  }
};

class PeerWatchSocketTest : public testing::TestWithParam<bool> {};

TEST_P(PeerWatchSocketTest, AFullConnectionWaitsUntilItsPeerReads) {
  const bool unix_socket = GetParam();
  const Pair pair = unix_socket ? Pair::OfUnix() : Pair::OfTcp();
  PeerWatch watch(unix_socket);
  EXPECT_FALSE(watch.Look(pair.near.get(), absl::Seconds(1), true).waiting);
  pair.Fill();
  // The first look after the last acknowledgement may still see progress.
  for (int i = 0; i < 100 && watch.Look(pair.near.get(), absl::Seconds(1), false).progress; ++i) usleep(10'000);
  const Sample full = watch.Look(pair.near.get(), absl::Seconds(1), false);
  EXPECT_TRUE(full.waiting && !full.progress && !full.unanswered);
  bool progress = false;
  for (int i = 0; i < 500 && !progress; ++i) {
    pair.Drain();
    usleep(10'000);
    progress = watch.Look(pair.near.get(), absl::Seconds(1), false).progress;
  }
  EXPECT_TRUE(progress);
}

INSTANTIATE_TEST_SUITE_P(Families, PeerWatchSocketTest, testing::Bool());

}  // namespace
}  // namespace mcgw::app
