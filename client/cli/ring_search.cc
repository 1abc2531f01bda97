#include "client/cli/ring_search.h"

#include <algorithm>

namespace mcgw::cli {

std::vector<uint8_t> RingsBetween(uint8_t first, uint8_t last) {
  std::vector<uint8_t> rings = {first};
  for (int ring = 1; ring < last; ring *= 2) {
    if (ring > first) rings.push_back(static_cast<uint8_t>(ring));
  }
  if (last > first) rings.push_back(last);
  return rings;
}

std::string RingSearch::Probe(uint8_t ring, int64_t now_ns) {
  const auto sequence = static_cast<uint16_t>(probes_.size());
  probes_.push_back({ring, now_ns});
  return EncodeRingMessage({.ring = ring, .nonce = nonce_, .sequence = sequence});
}

std::optional<RingAnswer> RingSearch::Take(absl::string_view payload, int64_t now_ns) {
  const std::optional<RingMessage> message = DecodeRingMessage(payload);
  if (!message.has_value()) {
    ++foreign_;
    return std::nullopt;
  }
  if (message->nonce != nonce_) {
    ++others_;
    return std::nullopt;
  }
  // The gateway's host receives its own probes.
  if (message->type == RingMessage::Type::kProbe) return std::nullopt;
  if (message->sequence >= probes_.size() || probes_[message->sequence].ring != message->ring) {
    ++foreign_;
    return std::nullopt;
  }
  if (!answered_.insert({message->responder, message->sequence}).second) {
    ++duplicates_;
    return std::nullopt;
  }
  responders_.insert(message->responder);
  const RingAnswer answer{.ring = message->ring,
                          .sequence = message->sequence,
                          .routers = static_cast<uint8_t>(message->ring - message->hop_limit_seen),
                          .responder = message->responder,
                          .round_trip_ns = now_ns - probes_[message->sequence].sent_ns};
  if (!nearest_.has_value() || answer.ring < nearest_->ring ||
      (answer.ring == nearest_->ring && answer.round_trip_ns < nearest_->round_trip_ns)) {
    nearest_ = answer;
  }
  return answer;
}

bool AnswerBudget::Take(int64_t now_ns) {
  constexpr double kNsPerSecond = 1e9;
  if (last_ns_ != INT64_MIN) {
    left_ = std::min(most_, left_ + static_cast<double>(now_ns - last_ns_) * most_ / kNsPerSecond);
  }
  last_ns_ = now_ns;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

}  // namespace mcgw::cli
