#include "tests/fanout/log_reader.h"

#include <cstdlib>
#include <cstring>
#include <iostream>

#include "gtest/gtest.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {
namespace {

[[noreturn]] void Malformed(std::string_view why) {
  std::cerr << "malformed record: " << why << std::endl;
  std::abort();
}

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(Bytes(1)[0]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    Malformed("varint");
  }
  std::string_view Bytes(size_t size) {
    if (size > bytes_.size()) Malformed("cut short");
    const std::string_view result = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return result;
  }

 private:
  std::string_view bytes_;
};

DecodedRecord DecodeOne(std::string_view bytes) {
  DecodedRecord record;
  WireReader reader(bytes);
  while (!reader.empty()) {
    switch (const uint64_t tag = reader.Varint(); tag) {
      case 1 << 3:
        record.channel_id = reader.Varint();
        break;
      case 2 << 3:
        record.sequence = reader.Varint();
        break;
      case 3 << 3 | 2:
        record.source_address = reader.Bytes(reader.Varint());
        break;
      case 4 << 3:
        record.source_port = static_cast<uint16_t>(reader.Varint());
        break;
      case 5 << 3 | 1:
        std::memcpy(&record.receive_time_unix_ns, reader.Bytes(8).data(), 8);
        break;
      case 6 << 3:
        record.hop_limit = static_cast<uint32_t>(reader.Varint());
        break;
      case 7 << 3:
        record.traffic_class = static_cast<uint32_t>(reader.Varint());
        break;
      case 8 << 3 | 2:
        record.payload = reader.Bytes(reader.Varint());
        break;
      default:
        Malformed("unknown field");
    }
  }
  return record;
}

}  // namespace

std::vector<DecodedRecord> DecodeRecords(std::string_view bytes) {
  std::vector<DecodedRecord> records;
  WireReader reader(bytes);
  while (!reader.empty()) {
    if (reader.Varint() != (1 << 3 | 2)) Malformed("not a datagrams field");
    records.push_back(DecodeOne(reader.Bytes(reader.Varint())));
  }
  return records;
}

std::vector<uint64_t> Sequences(std::string_view bytes) {
  std::vector<uint64_t> sequences;
  for (const DecodedRecord& record : DecodeRecords(bytes)) sequences.push_back(record.sequence);
  return sequences;
}

net::ReceivedDatagram TestDatagram(std::string_view payload, std::string_view source) {
  return {.payload = payload,
          .source = testing::Ip(source),
          .source_port = 4000,
          .destination = testing::Ip("239.1.1.1"),
          .interface_index = 2,
          .receive_time_unix_ns = 1'700'000'000'000'000'000,
          .hop_limit = 1,
          .traffic_class = 0,
          .drops_so_far = 0};
}

void Fill(ChannelLog* log, int count, size_t size, int64_t now_ns) {
  const std::string payload(size, 'x');
  for (int i = 0; i < count; ++i) log->Append(TestDatagram(payload), now_ns);
  log->Commit();
}

std::ostream& operator<<(std::ostream& out, const Step& step) {
  switch (step.kind) {
    case Step::Kind::kUnknown:
      return out << "unknown";
    case Step::Kind::kOvertaken:
      return out << "overtaken";
    default:
      break;
  }
  return out << (step.kind == Step::Kind::kGap ? "lost " : "datagrams ") << step.first << "-"
             << step.first + step.count - 1;
}

std::vector<Step> ReadAll(const ChannelLog& log, Cursor* cursor, size_t max_bytes) {
  std::vector<Step> steps;
  while (true) {
    Run run;
    Gap gap;
    switch (log.Read(*cursor, max_bytes, kToTheEnd, &run, &gap)) {
      case ChannelLog::ReadResult::kEmpty:
        *cursor = run.next;
        return steps;
      case ChannelLog::ReadResult::kOvertaken:
        steps.push_back(Overtaken());
        return steps;
      case ChannelLog::ReadResult::kMark:
        steps.push_back(gap.count > 0 ? Step{Step::Kind::kGap, gap.first_sequence, gap.count} : Unknown());
        break;
      case ChannelLog::ReadResult::kRun: {
        const std::vector<uint64_t> sequences = Sequences(run);
        EXPECT_EQ(sequences.size(), run.records);
        for (size_t i = 0; i < sequences.size(); ++i) EXPECT_EQ(sequences[i], cursor->sequence + i);
        steps.push_back({Step::Kind::kDatagrams, sequences.front(), sequences.size()});
        EXPECT_EQ(run.next.sequence, sequences.back() + 1);
        break;
      }
    }
    *cursor = run.next;
  }
}

void CountingDoorbell::Ring() {
  rings_.fetch_add(1);
  net::MutexLock lock(&mutex_);
  pending_ = true;
  rung_.NotifyOne();
}

void CountingDoorbell::WaitForRing() {
  net::MutexLock lock(&mutex_);
  while (!pending_) rung_.Wait(&mutex_);
  pending_ = false;
}

}  // namespace mcgw::fanout
