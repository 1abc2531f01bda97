#include "client/cli/ring_message.h"

#include <random>

namespace mcgw::cli {
namespace {

constexpr absl::string_view kMagic = "mcgw";
constexpr uint8_t kVersion = 1;
constexpr size_t kBytes = 28;

void AppendNumber(uint64_t value, int bytes, std::string* out) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint64_t NumberAt(absl::string_view payload, size_t offset, size_t bytes) {
  uint64_t value = 0;
  for (const char byte : payload.substr(offset, bytes)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

uint64_t RandomRingId() {
  std::random_device random;
  return (uint64_t{random()} << 32 | random()) | 1;
}

std::string EncodeRingMessage(const RingMessage& message) {
  std::string out(kMagic);
  AppendNumber(kVersion, 1, &out);
  AppendNumber(static_cast<uint8_t>(message.type), 1, &out);
  AppendNumber(message.ring, 1, &out);
  AppendNumber(message.hop_limit_seen, 1, &out);
  AppendNumber(message.nonce, 8, &out);
  AppendNumber(message.sequence, 2, &out);
  AppendNumber(0, 2, &out);
  AppendNumber(message.responder, 8, &out);
  return out;
}

std::optional<RingMessage> DecodeRingMessage(absl::string_view payload) {
  if (payload.size() != kBytes || payload.substr(0, kMagic.size()) != kMagic) return std::nullopt;
  if (NumberAt(payload, 4, 1) != kVersion || NumberAt(payload, 18, 2) != 0) return std::nullopt;
  RingMessage message;
  message.ring = static_cast<uint8_t>(NumberAt(payload, 6, 1));
  message.hop_limit_seen = static_cast<uint8_t>(NumberAt(payload, 7, 1));
  message.nonce = NumberAt(payload, 8, 8);
  message.sequence = static_cast<uint16_t>(NumberAt(payload, 16, 2));
  message.responder = NumberAt(payload, 20, 8);
  switch (NumberAt(payload, 5, 1)) {
    case static_cast<uint8_t>(RingMessage::Type::kProbe):
      message.type = RingMessage::Type::kProbe;
      if (message.responder != 0 || message.hop_limit_seen != 0) return std::nullopt;
      return message;
    case static_cast<uint8_t>(RingMessage::Type::kAnswer):
      message.type = RingMessage::Type::kAnswer;
      if (message.responder == 0 || message.hop_limit_seen > message.ring) return std::nullopt;
      return message;
    default:
      return std::nullopt;
  }
}

}  // namespace mcgw::cli
