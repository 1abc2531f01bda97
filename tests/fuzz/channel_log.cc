// A channel's log and its cursors: the input chooses what is appended, dropped, evicted and read.

#include "tests/fanout/log_story.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(channel_log) {
  fuzz::Input choices(input);
  fanout::LogStory story([&](size_t n) { return choices.Below(n); });
  while (!choices.empty()) story.Step();
  story.Finish();
}

}  // namespace mcgw
