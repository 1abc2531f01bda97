// mcgw-sim: the gateway under simulated hosts, networks and clients. A seed decides everything; see --help.

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "spdlog/spdlog.h"
#include "tests/simulation/world.h"

namespace mcgw::simulation {
namespace {

constexpr char kHelp[] = R"(Usage: mcgw-sim [--seed N] [--seeds M] [--steps K] [--only LIST] [--seconds S] [--twice]
                [--trace]

Runs the gateway's floors on a simulated clock, kernel, network and clients, in one thread, and holds them to their
promises after each step. Everything follows from the seed: a run can be repeated anywhere.

  --seed N      the first seed (default: 1)
  --seeds M     how many seeds, one after the other (default: 1)
  --steps K     steps of each run (default: 400)
  --only LIST   only these steps, such as 3,17,18: what a failed run was made small to
  --seconds S   begin no seed after S seconds
  --twice       run each seed twice, and hold that both runs are the same
  --trace       print what happens

Exit status: 0, 1 if a promise was broken, 2 for bad arguments. A failure prints the command that repeats it.
)";

using Steps = std::vector<uint64_t>;

struct Failure {
  std::string what;
  size_t steps = 0;  // Of the list, that had happened.
};

// For failures that end the process: a failed invariant.
char g_running[200];

void SayWhich(int number) {
  // Nothing can be done about an error.
  if (write(STDERR_FILENO, g_running, std::strlen(g_running)) < 0) _exit(1);
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// Runs the steps, and Finish.
std::optional<Failure> Run(uint64_t seed, const Steps& steps, std::ostream* trace, Tally* tally) {
  std::snprintf(g_running, sizeof(g_running), "mcgw-sim: this was seed %llu: mcgw-sim --seed %llu --steps %zu\n",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed), steps.size());
  World world(seed, trace);
  size_t done = 0;
  std::optional<Failure> failure;
  try {
    for (; done < steps.size(); ++done) world.Step(steps[done]);
    world.Finish();
  } catch (const Broken& broken) {
    failure = {.what = broken.what(), .steps = std::min(done + 1, steps.size())};
  }
  if (tally != nullptr) *tally = world.tally();
  return failure;
}

// What is broken, whichever stream, channel or number it is.
std::string KindOf(std::string what) {
  std::erase_if(what, [](char c) { return c >= '0' && c <= '9'; });
  return what.substr(0, 40);
}

// The failure with as few steps as leaving out ever smaller parts of them finds (delta debugging: Zeller, 1999).
Steps Shrink(uint64_t seed, Steps steps, const std::string& kind) {
  for (size_t part = steps.size() / 2; part > 0; part /= 2) {
    for (size_t at = 0; at < steps.size();) {
      Steps fewer = steps;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(at),
                  fewer.begin() + static_cast<ptrdiff_t>(std::min(at + part, steps.size())));
      const std::optional<Failure> failure = Run(seed, fewer, nullptr, nullptr);
      if (failure.has_value() && KindOf(failure->what) == kind) {
        steps = std::move(fewer);
      } else {
        at += part;
      }
    }
  }
  return steps;
}

// Where the traces of two runs part.
std::string Difference(uint64_t seed, const Steps& steps) {
  std::stringstream traces[2];
  for (std::stringstream& trace : traces) Run(seed, steps, &trace, nullptr);
  std::string lines[2];
  while (std::getline(traces[0], lines[0]) && std::getline(traces[1], lines[1])) {
    if (lines[0] != lines[1]) return lines[0] + "\n" + lines[1];
  }
  return "only sometimes";
}

std::string Listed(const Steps& steps) {
  std::string text;
  for (const uint64_t step : steps) text += (text.empty() ? "" : ",") + std::to_string(step);
  return text;
}

int Wrong(std::string_view argument, std::string_view right) {
  std::cerr << "mcgw-sim: " << argument << ": " << right << "; see mcgw-sim --help\n";
  return 2;
}

bool ReadNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

int Main(int argc, char** argv) {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  uint64_t count = 400;
  uint64_t seconds = 0;
  bool trace = false;
  bool twice = false;
  Steps only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--help") {
      std::cout << kHelp;
      return 0;
    }
    if (flag == "--trace" || flag == "--twice") {
      (flag == "--trace" ? trace : twice) = true;
      continue;
    }
    if (flag != "--seed" && flag != "--seeds" && flag != "--steps" && flag != "--seconds" && flag != "--only") {
      return Wrong(flag, "is not an option");
    }
    if (++i == argc) return Wrong(flag, "lacks its value");
    std::string_view text = argv[i];
    if (flag == "--only") {
      for (bool last = false; !last;) {
        const size_t comma = text.find(',');
        last = comma == std::string_view::npos;
        if (!ReadNumber(text.substr(0, comma), &only.emplace_back())) return Wrong(flag, "is a list such as 3,17,18");
        if (!last) text.remove_prefix(comma + 1);
      }
      continue;
    }
    uint64_t* const number = flag == "--seed"    ? &seed
                             : flag == "--seeds" ? &seeds
                             : flag == "--steps" ? &count
                                                 : &seconds;
    if (!ReadNumber(text, number)) return Wrong(flag, "must be a whole number");
  }
  if (only.empty()) {
    for (uint64_t step = 1; step <= count; ++step) only.push_back(step);
  }

  // What the gateway logs is of no interest here.
  spdlog::set_level(spdlog::level::off);
  std::signal(SIGABRT, SayWhich);
  std::signal(SIGSEGV, SayWhich);
  const auto began = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  Tally sum;
  uint64_t ran = 0;
  for (; ran < seeds && (seconds == 0 || elapsed() < static_cast<double>(seconds)); ++ran) {
    const uint64_t each = seed + ran;
    Tally tally;
    std::optional<Failure> failure = Run(each, only, trace ? &std::cout : nullptr, &tally);
    sum.steps += only.size();
    sum.datagrams_sent += tally.datagrams_sent;
    sum.datagrams_read += tally.datagrams_read;
    sum.simulated_ns += tally.simulated_ns;
    sum.hash = sum.hash * 31 + tally.hash;
    if (Tally again; twice && !failure.has_value()) {
      failure = Run(each, only, nullptr, &again);
      if (!failure.has_value() && again.hash != tally.hash) {
        std::cout << "seed " << each << ": two runs differ:\n" << Difference(each, only) << std::endl;
        return 1;
      }
    }
    if (!failure.has_value()) continue;
    std::cout << "seed " << each << " failed: " << failure->what << "\n  mcgw-sim --seed " << each << " --steps "
              << failure->steps << std::endl;
    only.resize(failure->steps);
    const Steps few = Shrink(each, only, KindOf(failure->what));
    failure = Run(each, few, &std::cout, nullptr);
    std::cout << "made small: " << (failure.has_value() ? failure->what : "(it is gone)") << "\n  mcgw-sim --seed "
              << each << " --only " << Listed(few) << std::endl;
    return 1;
  }
  std::printf(
      "%llu seeds, %llu steps (%.0f a second), %.1f simulated hours: %llu datagrams sent, %llu read; hash %016llx\n",
      static_cast<unsigned long long>(ran), static_cast<unsigned long long>(sum.steps),
      static_cast<double>(sum.steps) / elapsed(), static_cast<double>(sum.simulated_ns) / 3.6e12,
      static_cast<unsigned long long>(sum.datagrams_sent), static_cast<unsigned long long>(sum.datagrams_read),
      static_cast<unsigned long long>(sum.hash));
  return 0;
}

}  // namespace
}  // namespace mcgw::simulation

int main(int argc, char** argv) { return mcgw::simulation::Main(argc, argv); }
