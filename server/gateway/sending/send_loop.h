// The thread that finishes jobs that could not be sent at once.
//
// Jobs that wait for room in one socket's buffer take turns of one system call, so publishers share a slow link fairly
// and do not wait for other links. Long jobs that need not wait are cut into turns as well. Nothing here blocks: a
// net::WorkPool runs the steps that may.

#ifndef MCGW_GATEWAY_SENDING_SEND_LOOP_H_
#define MCGW_GATEWAY_SENDING_SEND_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/gateway/sending/send_job.h"
#include "server/net/duty.h"
#include "server/net/mutex.h"
#include "server/net/owned_fd.h"
#include "server/net/work_pool.h"

namespace mcgw::gateway {

// Thread-safe, except Start and Stop.
class SendLoop {
 public:
  // `blocking` outlives it.
  explicit SendLoop(net::WorkPool* blocking) : blocking_(blocking) {}
  SendLoop(const SendLoop&) = delete;
  SendLoop& operator=(const SendLoop&) = delete;
  ~SendLoop() { Stop(); }

  absl::Status Start();
  // Drops its jobs. The pool must have none of them left to run.
  void Stop();

  // Finishes a job whose last step said `next`, on behalf of `client`. `done` is called once, on a thread of this loop
  // or the pool: when all is sent, or when the job was cancelled and dropped.
  void Take(std::shared_ptr<SendJob> job, SendJob::Next next, std::string client, std::function<void()> done);
  // Drops a job, if it is in this loop.
  void Cancel(SendJob* job);

  const net::Duty& duty() const { return duty_; }

 private:
  struct Entry {
    std::shared_ptr<SendJob> job;
    std::string client;
    std::function<void()> done;
    int64_t progress_ns = 0;  // When it last sent something.
  };
  using EntryPtr = std::unique_ptr<Entry>;
  // Jobs that wait for one socket.
  struct Lane {
    std::shared_ptr<net::SendSocket> socket;
    std::deque<EntryPtr> waiting;
    int64_t progress_ns = 0;  // When something last left the buffer.
    size_t queued_bytes = 0;  // In the buffer, as last seen.
  };
  using Lanes = std::map<net::SendSocket*, Lane>;

  void Run();
  void Wait();
  void TakeArrivals();
  void DropCancelled();
  void ServeLanes();
  // Gives each waiting job a turn, until the buffer is full again.
  void Serve(Lane* lane, bool patient);
  void RunReady();
  void WakePaused();
  // Puts a job where it belongs after a step.
  void Place(EntryPtr entry, SendJob::Next next);
  void Block(EntryPtr entry);
  void Arrive(EntryPtr entry, SendJob::Next next);
  void Wake();

  net::WorkPool* const blocking_;
  net::OwnedFd wake_;
  std::thread thread_;

  net::Mutex mutex_;
  std::vector<std::pair<EntryPtr, SendJob::Next>> arrived_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Used only by the thread.
  bool stopped_ = false;
  net::Duty duty_;
  Lanes lanes_;
  std::deque<EntryPtr> ready_;
  std::deque<std::pair<int64_t, EntryPtr>> paused_;         // Until when; earliest first.
  std::vector<std::pair<net::SendSocket*, short>> polled_;  // Poll's result for each lane's socket.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_SEND_LOOP_H_
