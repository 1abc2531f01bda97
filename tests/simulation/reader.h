// A client of a simulation that reads one stream, and holds the gateway to what it promises of every number:
// it comes once and in order, as a datagram that all who read the channel see alike; or a gap announces it; or the
// stream's filter holds it back. And two numbers of a channel are as far apart as their datagrams were when its socket
// took them, unless a gap between them says that nobody knows how far.

#ifndef MCGW_TESTS_SIMULATION_READER_H_
#define MCGW_TESTS_SIMULATION_READER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "server/gateway/gateway.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::simulation {

// A promise that was not kept.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a datagram of a simulation tells of itself: its payload begins with it.
struct Label {
  std::string channel;  // "2/239.1.1.1:5000": the interface that it came to, the group and the port.
  uint64_t number = 0;  // Among all that the channel's socket took, or had no room for.
  uint64_t step = 0;    // When it came.
  bool own = false;     // The gateway sent it.

  std::string Text() const;
  static Label Of(const std::string& payload);  // Broken if it has none.
};

// What a stream is not given.
struct Sieve {
  fanout::SourceFilter filter;
  bool exclude_own = false;
};

// What all readers have seen of the channels together.
class Witness {
 public:
  // A reader got this datagram.
  void Saw(const fanout::DecodedRecord& record, uint64_t epoch);
  // A reader with this sieve was not given the number, and was told of no loss.
  void HeldBack(uint64_t channel_id, uint64_t epoch, uint64_t sequence, const Sieve& sieve);
  uint64_t datagrams() const { return datagrams_; }
  // The step of now.
  uint64_t step() const { return step_; }
  void SetStep(uint64_t step) { step_ = step; }

 private:
  struct Number {
    std::string source;
    std::string payload;
    std::vector<Sieve> held_back_by;  // Until it is known from whom it is.
  };
  static bool Explains(const Sieve& sieve, const Number& number);

  std::map<std::pair<uint64_t, uint64_t>, std::map<uint64_t, Number>> channels_;  // By id and epoch.
  uint64_t datagrams_ = 0;
  uint64_t step_ = 0;
};

class Reader {
 public:
  // A group of the request has one filter, whatever the selector.
  Reader(std::unique_ptr<gateway::Subscription> stream, const gateway::SubscribeRequest& request, Witness* witness);
  ~Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Takes a message, and leaves it in flight. False if there is none, or the stream has ended.
  bool Take();
  // The transport has taken the message in flight, if there is one.
  void Written();
  bool in_flight() const { return in_flight_; }
  // The status of a stream that the gateway has told to end, once everything before it was taken.
  const std::optional<absl::Status>& ended() const { return ended_; }
  gateway::Subscription& stream() { return *stream_; }
  // Whether it has been told that the gateway stops.
  bool draining() const { return draining_; }
  // The client is gone: with the message in flight, if there is one.
  void Die();
  // Where a stream that follows this one goes on.
  std::vector<gateway::ResumePoint> ResumePoints() const;
  // That it has been told of every number up to the channel's head, where it reads the channel.
  void CheckComplete(const fanout::ChannelStatus& channel) const;
  // That the accounts explain every number, and count what the client has got and heard.
  void CheckLedger() const;

 private:
  struct Place {
    fanout::ChannelStatus channel;
    uint64_t epoch = 0;
    uint64_t next = 0;  // The first number that it has not been told of.
    bool reads = true;
    bool epoch_has_changed = false;              // Since the point where it resumes, and it has not been told yet.
    std::optional<fanout::SourceFilter> filter;  // Unknown: a session has a say, and nothing has been heard yet.
    // Of the last datagram; nothing if it is not known how many the socket has taken since.
    std::optional<Label> last;
    uint64_t last_sequence = 0;
    // If it starts live: the step when it is first heard of. It is told of no loss before.
    uint64_t live_since = 0;
  };

  void Hear(const fanout::Event& event);
  void Get(const fanout::DecodedRecord& record);
  // The numbers up to `sequence` were passed in silence.
  void Pass(Place* place, uint64_t sequence, const char* why);
  Place& At(uint64_t channel_id, const char* what);
  [[noreturn]] void Fail(const std::string& what) const;

  std::unique_ptr<gateway::Subscription> stream_;
  Witness* const witness_;
  const bool exclude_own_;
  std::map<uint64_t, Place> places_;
  fanout::LedgerEntry heard_;  // By the client's own count.
  bool draining_ = false;
  fanout::Message message_;
  bool in_flight_ = false;
  bool farewell_ = false;
  std::optional<absl::Status> ended_;
};

}  // namespace mcgw::simulation

#endif  // MCGW_TESTS_SIMULATION_READER_H_
