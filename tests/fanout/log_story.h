// A log and cursors against a plain list: whatever is appended, dropped, interrupted and evicted, every cursor hears of
// each number exactly once, in order, as a datagram or inside one gap with its true cause; and what the log counts
// ahead of a cursor is what is there.
//
// What happens is chosen from outside: by the input of a fuzz target, or by dice (channel_log_property_test.cc).

#ifndef MCGW_TESTS_FANOUT_LOG_STORY_H_
#define MCGW_TESTS_FANOUT_LOG_STORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/fanout/channel_log.h"

namespace mcgw::fanout {

// A promise of the log that was not kept.
class LogBroken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class LogStory {
 public:
  // A number from 0 to n - 1.
  using Choose = std::function<size_t(size_t n)>;

  explicit LogStory(Choose choose) : choose_(std::move(choose)), listeners_(1) {}

  // The log is written, and listeners read. Throws LogBroken.
  void Step();
  // All listeners read to the end. Throws LogBroken.
  void Finish();

 private:
  // What a number was: the payload of a datagram, or nothing where it was dropped. Index 0 is number 1.
  struct Model {
    std::vector<std::optional<std::string>> numbers;
    std::set<uint64_t> interruptions;  // The numbers that came next.
  };
  // A cursor, and where a perfect listener would be.
  struct Listener {
    Cursor cursor;
    uint64_t expected = 1;
  };

  void Write();
  Listener NewListener();
  // One step of a listener. False if it is at the head.
  bool Listen(Listener* listener);
  // A gap covers numbers of its own cause only.
  void Pass(const Gap& gap, Listener* listener);

  const Choose choose_;
  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(64 << 20);
  ChannelLog log_{{.channel_id = 7, .budget_bytes = 30 << 10, .age_limit_ns = 2'000'000'000}, budget_};
  Model model_;
  std::vector<Listener> listeners_;
  int64_t now_ns_ = 0;
  // The log may have given up marks: it tells of the interruptions that they marked as one, and of the drops among the
  // numbers that a listener was too slow for.
  bool forgot_ = false;
};

}  // namespace mcgw::fanout

#endif  // MCGW_TESTS_FANOUT_LOG_STORY_H_
