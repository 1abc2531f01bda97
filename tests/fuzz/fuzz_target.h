// Fuzz targets: functions that get any bytes, and must neither crash nor break a promise whatever these are.
//
//   FUZZ_TARGET(addresses) { ... `input` ... FUZZ_CHECK(holds); }
//
// In the preset fuzz each target is a program of its own with libFuzzer. In all others corpus_test.cc runs every target
// on the inputs that are kept in corpus/NAME.

#ifndef MCGW_TESTS_FUZZ_FUZZ_TARGET_H_
#define MCGW_TESTS_FUZZ_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#define FUZZ_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::mcgw::fuzz::CheckFailed(__FILE__, __LINE__, #condition))

#if MCGW_LIBFUZZER
#define FUZZ_TARGET(name)                                                     \
  static void Fuzz_##name(std::string_view input);                            \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {   \
    Fuzz_##name(std::string_view(reinterpret_cast<const char*>(data), size)); \
    return 0;                                                                 \
  }                                                                           \
  static void Fuzz_##name(std::string_view input)
#else
#define FUZZ_TARGET(name)                                                      \
  static void Fuzz_##name(std::string_view input);                             \
  static const ::mcgw::fuzz::Registered registered_##name(#name, Fuzz_##name); \
  static void Fuzz_##name(std::string_view input)
#endif

namespace mcgw::fuzz {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
  std::abort();
}

// For corpus_test.cc.
struct Registered {
  Registered(const char* name, void (*target)(std::string_view));
};

// Takes an input apart in the order in which a target asks. Once it is used up, all is zero or empty.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }
  // Of 1 to 8 bytes, the lowest first.
  uint64_t Number(size_t bytes) {
    uint64_t number = 0;
    const std::string_view taken = Bytes(bytes);
    for (size_t i = 0; i < taken.size(); ++i) number |= uint64_t{static_cast<uint8_t>(taken[i])} << (8 * i);
    return number;
  }
  // From 0 to limit - 1, of as few bytes as suffice.
  size_t Below(size_t limit) {
    size_t bytes = 1;
    while (bytes < sizeof(limit) && (limit - 1) >> (8 * bytes) != 0) ++bytes;
    return Number(bytes) % limit;
  }
  std::string_view Bytes(size_t most) {
    const std::string_view taken = bytes_.substr(0, most);
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  // Up to and without the next line end, or all.
  std::string_view Line() {
    const std::string_view line = bytes_.substr(0, bytes_.find('\n'));
    bytes_.remove_prefix(line.size() == bytes_.size() ? line.size() : line.size() + 1);
    return line;
  }
  // So many bytes as the next two say.
  std::string_view Text() { return Bytes(Number(2)); }
  std::string_view Rest() { return Bytes(bytes_.size()); }

 private:
  std::string_view bytes_;
};

}  // namespace mcgw::fuzz

#endif  // MCGW_TESTS_FUZZ_FUZZ_TARGET_H_
