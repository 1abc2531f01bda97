// Reads the wire format of protobuf, field by field, without copying.

#ifndef MCGW_BENCH_FIELD_READER_H_
#define MCGW_BENCH_FIELD_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace mcgw::bench {

// After anything malformed it is at its end and not ok.
class FieldReader {
 public:
  explicit FieldReader(absl::string_view message) : at_(message.data()), end_(at_ + message.size()) {}

  bool Next() {
    if (at_ == end_) return false;
    const uint64_t tag = Varint();
    number_ = static_cast<int>(tag >> 3);
    switch (tag & 7) {
      case 0:
        value_ = Varint();
        return ok_;
      case 1:
        return Take(8);
      case 2:
        return Take(Varint());
      case 5:
        return Take(4);
      default:
        return Fail();
    }
  }

  int number() const { return number_; }
  uint64_t value() const { return value_; }                  // Of a varint.
  absl::string_view text() const { return {data_, size_}; }  // Of any other field.
  const char* at() const { return at_; }                     // Behind the field.
  bool ok() const { return ok_; }

 private:
  bool Fail() {
    ok_ = false;
    at_ = end_;
    return false;
  }

  bool Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) return Fail();
    data_ = at_;
    size_ = size;
    at_ += size;
    return ok_;
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }

  const char* at_;
  const char* const end_;
  const char* data_ = nullptr;
  size_t size_ = 0;
  uint64_t value_ = 0;
  int number_ = 0;
  bool ok_ = true;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_FIELD_READER_H_
