// Runs every fuzz target once on each of its kept inputs.
//
//   fuzz_corpus_test CORPUS [TARGET...]
//
// A target without a kept input, and a folder of inputs without a target, are failures.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace mcgw::fuzz {
namespace {

using Targets = std::map<std::string, void (*)(std::string_view)>;

Targets& AllTargets() {
  static Targets targets;
  return targets;
}

int Main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: fuzz_corpus_test CORPUS [TARGET...]\n");
    return 2;
  }
  const std::filesystem::path corpus = argv[1];
  const std::vector<std::string> only(argv + 2, argv + argc);
  int failures = 0;
  for (const auto& folder : std::filesystem::directory_iterator(corpus)) {
    if (AllTargets().contains(folder.path().filename())) continue;
    std::fprintf(stderr, "%s: there is no such target\n", folder.path().c_str());
    ++failures;
  }
  for (const auto& [name, target] : AllTargets()) {
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) continue;
    int inputs = 0;
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(corpus / name, error)) {
      std::ifstream stream(file.path(), std::ios::binary);
      const std::string input((std::istreambuf_iterator<char>(stream)), {});
      // Before it runs, so that a crash is told from.
      std::printf("%s\n", file.path().c_str());
      std::fflush(stdout);
      target(input);
      ++inputs;
    }
    if (inputs == 0) {
      std::fprintf(stderr, "%s: no kept input\n", name.c_str());
      ++failures;
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace

Registered::Registered(const char* name, void (*target)(std::string_view)) { AllTargets().emplace(name, target); }

}  // namespace mcgw::fuzz

int main(int argc, char** argv) { return mcgw::fuzz::Main(argc, argv); }
