// What tests of the data path share: datagrams to write, and a reader that takes runs apart again.

#ifndef MCGW_TESTS_FANOUT_LOG_READER_H_
#define MCGW_TESTS_FANOUT_LOG_READER_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/fanout/channel_log.h"
#include "server/fanout/waiter.h"
#include "server/net/datagram.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// A record, taken apart by a decoder of its own.
struct DecodedRecord {
  uint64_t channel_id = 0;
  uint64_t sequence = 0;
  std::string source_address;
  uint16_t source_port = 0;
  int64_t receive_time_unix_ns = 0;
  uint32_t hop_limit = 0;
  uint32_t traffic_class = 0;
  std::string payload;
};

// The records of a run of stream bytes; ends the test program if they are malformed.
std::vector<DecodedRecord> DecodeRecords(std::string_view bytes);

// Their sequences.
std::vector<uint64_t> Sequences(std::string_view bytes);
inline std::vector<uint64_t> Sequences(const Run& run) { return Sequences(std::string_view(run.data, run.size_bytes)); }

// A datagram from 10.0.0.2:4000. The payload is borrowed.
net::ReceivedDatagram TestDatagram(std::string_view payload, std::string_view source = "10.0.0.2");

// Appends and commits `count` datagrams of `size` bytes.
void Fill(ChannelLog* log, int count, size_t size, int64_t now_ns = 0);

inline constexpr uint64_t kToTheEnd = std::numeric_limits<uint64_t>::max();

// One thing that a cursor meets: datagrams first to last, or a gap (with count 0, unknown).
struct Step {
  enum class Kind { kDatagrams, kGap, kUnknown, kOvertaken } kind = Kind::kDatagrams;
  uint64_t first = 0;
  uint64_t count = 0;
  friend bool operator==(const Step&, const Step&) = default;
};
std::ostream& operator<<(std::ostream& out, const Step& step);
inline Step Datagrams(uint64_t first, uint64_t last) { return {Step::Kind::kDatagrams, first, last - first + 1}; }
inline Step Lost(uint64_t first, uint64_t last) { return {Step::Kind::kGap, first, last - first + 1}; }
inline Step Unknown() { return {Step::Kind::kUnknown, 0, 0}; }
inline Step Overtaken() { return {Step::Kind::kOvertaken, 0, 0}; }

// Reads on from *cursor until there is nothing more, or until it is overtaken. Fails the test where a run is not a
// gapless sequence that begins where the cursor stood.
std::vector<Step> ReadAll(const ChannelLog& log, Cursor* cursor, size_t max_bytes = 64 << 10);

// Counts its rings, and has a thread wait for one.
class CountingDoorbell : public Doorbell {
 public:
  void Ring() override;
  int rings() const { return rings_.load(); }
  // Waits for a ring that WaitForRing has not seen.
  void WaitForRing();

 private:
  std::atomic<int> rings_{0};
  net::Mutex mutex_;
  net::CondVar rung_;
  bool pending_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mcgw::fanout

#endif  // MCGW_TESTS_FANOUT_LOG_READER_H_
