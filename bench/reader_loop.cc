#include "bench/reader_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace mcgw::bench {

constexpr int kTurnMs = 10;

absl::StatusOr<std::unique_ptr<ReaderLoop>> ReaderLoop::Create(std::vector<std::unique_ptr<Reader>> readers) {
  OwnedFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoError("epoll_create1");
  for (const auto& reader : readers) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = reader.get();
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, reader->fd(), &event) != 0) return ErrnoError("epoll_ctl");
  }
  return std::unique_ptr<ReaderLoop>(new ReaderLoop(std::move(readers), std::move(epoll)));
}

ReaderLoop::ReaderLoop(std::vector<std::unique_ptr<Reader>> readers, OwnedFd epoll)
    : readers_(std::move(readers)), epoll_(std::move(epoll)) {}

absl::StatusOr<bool> ReaderLoop::RunUntil(const std::function<bool()>& done, int64_t deadline_ns) {
  while (!done()) {
    if (NowNs() >= deadline_ns) return false;
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), kTurnMs);
    if (count < 0 && errno != EINTR) return ErrnoError("epoll_wait");
    for (int i = 0; i < count; ++i) {
      if (auto status = static_cast<Reader*>(events[i].data.ptr)->Receive(); !status.ok()) return status;
    }
    if (pause_us_ > 0) usleep(pause_us_);
  }
  return true;
}

BackgroundReaders::BackgroundReaders(std::unique_ptr<ReaderLoop> loop) : loop_(std::move(loop)) {
  // A reader that fails shows in what is measured.
  thread_ = std::thread([this] { (void)loop_->RunUntil([this] { return stopped_.load(); }, INT64_MAX); });
}

BackgroundReaders::~BackgroundReaders() { Stop(); }

const std::vector<std::unique_ptr<Reader>>& BackgroundReaders::Stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
  return loop_->readers();
}

}  // namespace mcgw::bench
