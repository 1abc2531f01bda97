// What the cases share: how long, how often, on which cores, and where the results go.

#ifndef MCGW_BENCH_CONTEXT_H_
#define MCGW_BENCH_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/meter.h"
#include "bench/report.h"
#include "bench/result.h"
#include "bench/subject.h"
#include "bench/trial.h"

namespace mcgw::bench {

struct Options {
  bool quick = false;
  bool raise_priority = true;  // Of this process and the servers, if it may.
  int rounds = 3;
  double patience_seconds = 240;    // For waiting, in all, until the machine is quiet.
  double budget_seconds = 36 * 60;  // After this nothing new is begun.
  std::string json;
  Cores cores;
  std::vector<std::string> cases;     // Empty: all.
  std::vector<std::string> subjects;  // Empty: the case's own.
};

// What is measured in a cell, in turn.
struct Contestant {
  std::string name;
  std::function<absl::StatusOr<Outcome>()> measure;
};

// Not thread-safe.
class Context {
 public:
  Context(const Options& options, Programs programs, Report* report);

  const Options& options() const { return options_; }
  const Programs& programs() const { return programs_; }
  Cores cores() const { return options_.cores; }
  bool quick() const { return options_.quick; }
  // The first of the two in a quick run.
  template <typename Value>
  Value Pick(Value quick, Value full) const {
    return options_.quick ? quick : full;
  }

  // Of the usual subjects those that were asked for, started. One that cannot be had is noted and left out.
  std::vector<std::unique_ptr<Subject>> Start(const std::vector<std::string>& usual, const SubjectOptions& options);
  // Whether that subject is measured in this run.
  bool Wanted(absl::string_view subject) const;

  // Measures each contestant in turn, `rounds` times, prints the table and keeps the cell. A measurement that could not
  // be carried out is an invalid round. Waits for a quiet machine before each, and begins nothing out of time.
  void Measure(Cell cell, const std::vector<Contestant>& contestants, int rounds);
  void Measure(Cell cell, const std::vector<Contestant>& contestants) {
    Measure(std::move(cell), contestants, options_.rounds);
  }
  // The same for cells of one contestant each, which take turns.
  void MeasureInTurn(std::vector<Cell> cells, const std::vector<Contestant>& contestants, int rounds);
  // Prints the table and keeps the cell.
  void Keep(Cell cell);
  // One measurement outside of a cell's rounds, with the same care.
  absl::StatusOr<Outcome> RunOnce(const std::function<absl::StatusOr<Outcome>()>& measure);

  void Note(const std::string& text);
  bool OutOfTime() const;
  // Whether the gateway broke a promise in any round.
  bool broken() const { return broken_; }

 private:
  void AddRound(const Contestant& contestant, Series* series);

  const Options options_;
  const Programs programs_;
  Report* const report_;
  const int64_t begin_ns_;
  int64_t patience_ns_;
  bool broken_ = false;
};

// The cases, in the order in which they run.
struct Case {
  const char* name;
  const char* what;
  void (*run)(Context*);
};
const std::vector<Case>& AllCases();

void RunReplayCase(Context* context);
void RunSaturatedCase(Context* context);
void RunLiveCase(Context* context);
void RunLatencyCase(Context* context);
void RunPacedCase(Context* context);
void RunLossFreeCase(Context* context);
void RunSendCase(Context* context);
void RunPublishCase(Context* context);
void RunJoinsCase(Context* context);
void RunChannelsCase(Context* context);
void RunStalledCase(Context* context);
void RunCursorsCase(Context* context);
void RunControlCase(Context* context);
void RunMemoryCase(Context* context);
void RunFlatMemoryCase(Context* context);
void RunStartUpCase(Context* context);
void RunTransportCase(Context* context);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_CONTEXT_H_
