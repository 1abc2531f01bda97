#include "tests/simulation/reader.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>
#include <variant>

#include "server/net/text.h"

namespace mcgw::simulation {

using net::StrCat;

namespace {

// Of the 4 or 16 bytes of a record.
std::string AddressText(const std::string& bytes) {
  in_addr v4;
  in6_addr v6;
  if (bytes.size() == sizeof(v4)) {
    std::memcpy(&v4, bytes.data(), sizeof(v4));
    return net::IpAddress::FromV4(v4).ToString();
  }
  if (bytes.size() != sizeof(v6)) return "no address";
  std::memcpy(&v6, bytes.data(), sizeof(v6));
  return net::IpAddress::FromV6(v6).ToString();
}

// Not by SourceFilter::Allows, which is what the gateway uses.
bool Wants(const fanout::SourceFilter& filter, const std::string& source) {
  if (filter.IsAnySource()) return true;
  const auto is_it = [&](const net::IpAddress& each) { return each.bytes() == source; };
  const bool listed = std::any_of(filter.sources().begin(), filter.sources().end(), is_it);
  return listed == (filter.mode() == net::FilterMode::kInclude);
}

}  // namespace

// ---- Label ----

std::string Label::Text() const { return StrCat(channel, "@", number, "#", step, own ? "!" : " "); }

Label Label::Of(const std::string& payload) {
  const size_t at = payload.find('@');
  const size_t end = payload.find_first_of("! ", at == std::string::npos ? 0 : at);
  if (at == std::string::npos || end == std::string::npos) throw Broken("a datagram that nobody sent: " + payload);
  return {.channel = payload.substr(0, at),
          .number = std::stoull(payload.substr(at + 1)),
          .step = std::stoull(payload.substr(payload.find('#', at) + 1)),
          .own = payload[end] == '!'};
}

// ---- Witness ----

bool Witness::Explains(const Sieve& sieve, const Number& number) {
  return !Wants(sieve.filter, number.source) || (sieve.exclude_own && Label::Of(number.payload).own);
}

void Witness::Saw(const fanout::DecodedRecord& record, uint64_t epoch) {
  ++datagrams_;
  auto& numbers = channels_[{record.channel_id, epoch}];
  Number& number = numbers[record.sequence];
  if (number.source.empty()) {
    number.source = record.source_address;
    number.payload = record.payload;
    for (const Sieve& sieve : number.held_back_by) {
      if (Explains(sieve, number)) continue;
      throw Broken(StrCat("channel ", record.channel_id, ": ", record.sequence, " from ", AddressText(number.source),
                          " was kept from a stream with the filter ", sieve.filter.ToString()));
    }
    number.held_back_by.clear();
  } else if (number.source != record.source_address || number.payload != record.payload) {
    throw Broken(StrCat("channel ", record.channel_id, ": two readers got different datagrams ", record.sequence));
  }
}

void Witness::HeldBack(uint64_t channel_id, uint64_t epoch, uint64_t sequence, const Sieve& sieve) {
  Number& number = channels_[{channel_id, epoch}][sequence];
  if (number.source.empty()) {
    number.held_back_by.push_back(sieve);
  } else if (!Explains(sieve, number)) {
    throw Broken(StrCat("channel ", channel_id, ": ", sequence, " from ", AddressText(number.source),
                        " neither came nor was announced as lost; the filter is ", sieve.filter.ToString()));
  }
}

// ---- Reader ----

Reader::Reader(std::unique_ptr<gateway::Subscription> stream, const gateway::SubscribeRequest& request,
               Witness* witness)
    : stream_(std::move(stream)), witness_(witness), exclude_own_(request.exclude_own) {
  for (const fanout::ChannelStatus& channel : stream_->channels()) {
    if (channel.channel_id == 0) continue;  // Refused: there is none.
    Place& place = places_[channel.channel_id];
    place.channel = channel;
    place.epoch = channel.epoch;
    place.next = channel.next_sequence;
    // Without a point of its own a channel starts live, even in a stream that resumes.
    if (request.start == gateway::Start::kLive || request.start == gateway::Start::kResume) {
      place.live_since = witness->step();
    }
    for (const gateway::MembershipRequest& each : request.memberships) {
      const bool same = each.group == channel.group && each.port == channel.port;
      if (same && request.session_id.empty()) place.filter = each.filter;
    }
    for (const gateway::ResumePoint& point : request.resume) {
      const bool same =
          point.interface_name == channel.interface_name && point.group == channel.group && point.port == channel.port;
      if (!same) continue;
      place.epoch_has_changed = point.epoch != channel.epoch;
      if (place.epoch_has_changed) continue;
      place.next = point.next_sequence;
      place.live_since = 0;
    }
  }
}

void Reader::Fail(const std::string& what) const { throw Broken(StrCat("stream ", stream_->id(), ": ", what)); }

Reader::Place& Reader::At(uint64_t channel_id, const char* what) {
  const auto at = places_.find(channel_id);
  if (at == places_.end()) Fail(StrCat(what, " of channel ", channel_id, ", of which it was never told"));
  return at->second;
}

bool Reader::Take() {
  if (in_flight_ || ended_.has_value()) return false;
  fanout::Subscriber& subscriber = stream_->subscriber();
  if (!farewell_) {
    if (!subscriber.Next(&message_)) {
      if (!subscriber.verdict().has_value()) return false;
      farewell_ = true;
    }
  }
  if (farewell_ && !subscriber.NextFarewell(&message_)) ended_ = subscriber.verdict();
  if (message_.empty()) return false;
  for (const fanout::Event& event : message_.events) Hear(event);
  uint32_t datagrams = 0;
  for (const fanout::DecodedRecord& record : fanout::DecodeRecords({message_.data, message_.size_bytes})) {
    Get(record);
    ++datagrams;
  }
  if (datagrams != message_.datagrams) Fail("a message does not count its datagrams right");
  in_flight_ = !farewell_;
  heard_.in_flight += datagrams;
  return true;
}

void Reader::Written() {
  if (!in_flight_) return;
  stream_->subscriber().Written();
  heard_.written += std::exchange(heard_.in_flight, 0);
  in_flight_ = false;
}

void Reader::Die() {
  if (in_flight_) {
    stream_->subscriber().Abandon();
    heard_.abandoned = std::exchange(heard_.in_flight, 0);
  }
  CheckLedger();
  message_.Clear();
  stream_.reset();
}

void Reader::Pass(Place* place, uint64_t sequence, const char* why) {
  if (sequence < place->next) {
    Fail(StrCat("channel ", place->channel.channel_id, ": ", why, " ", sequence, " comes after ", place->next));
  }
  if (place->filter.has_value()) {
    for (uint64_t number = place->next; number < sequence; ++number) {
      witness_->HeldBack(place->channel.channel_id, place->epoch, number,
                         {.filter = *place->filter, .exclude_own = exclude_own_});
    }
  }
  place->next = sequence;
}

void Reader::Get(const fanout::DecodedRecord& record) {
  Place& place = At(record.channel_id, "a datagram");
  if (!place.reads) Fail(StrCat("a datagram of channel ", record.channel_id, ", which it has left"));
  if (place.epoch_has_changed) Fail(StrCat("channel ", record.channel_id, " has another epoch without a word"));
  Pass(&place, record.sequence, "datagram");
  if (place.filter.has_value() && !Wants(*place.filter, record.source_address)) {
    Fail(StrCat("channel ", record.channel_id, ": ", record.sequence, " is from ", AddressText(record.source_address),
                ", which the filter does not allow: ", place.filter->ToString()));
  }
  witness_->Saw(record, place.epoch);
  place.next = record.sequence + 1;

  const Label label = Label::Of(record.payload);
  if (!label.channel.ends_with(StrCat("/", place.channel.group.ToString(), ":", place.channel.port))) {
    Fail(StrCat("channel ", record.channel_id, " brings a datagram of ", label.channel));
  }
  if (const std::optional<Label>& last = place.last; last.has_value()) {
    const uint64_t apart = record.sequence - place.last_sequence;
    const bool before_start = last->step <= place.live_since;  // Read late, as is the loss behind it.
    if (!before_start && (last->channel != label.channel || label.number - last->number != apart)) {
      Fail(StrCat("channel ", record.channel_id, ": ", place.last_sequence, " is ", last->Text(), "and ",
                  record.sequence, " is ", label.Text(), ": the numbers say nothing of what was lost between them"));
    }
  }
  place.last = label;
  place.last_sequence = record.sequence;
}

void Reader::Hear(const fanout::Event& event) {
  if (const auto* gap = std::get_if<fanout::Gap>(&event)) {
    Place& place = At(gap->channel_id, "a gap");
    heard_.skipped[static_cast<int>(gap->cause)] += gap->count;
    ++(gap->count > 0 ? heard_.range_gaps : heard_.unknown_gaps);
    if (gap->cause == fanout::GapCause::kOtherEpoch) place.epoch_has_changed = false;
    if (gap->count == 0) return place.last.reset();
    Pass(&place, gap->first_sequence, "a gap from");
    place.next = gap->first_sequence + gap->count;
  } else if (const auto* position = std::get_if<fanout::Position>(&event)) {
    Place& place = At(position->channel_id, "a position");
    if (position->epoch == place.epoch) Pass(&place, position->next_sequence, "position");
  } else if (const auto* changed = std::get_if<fanout::MembershipChanged>(&event)) {
    const fanout::ChannelStatus& channel = changed->channel;
    if (channel.channel_id == 0) return;  // Refused: there is none.
    const auto [at, is_new] = places_.try_emplace(channel.channel_id);
    Place& place = at->second;
    if (is_new || !place.reads || place.epoch != channel.epoch) {
      place = {.channel = channel, .epoch = channel.epoch, .next = channel.next_sequence, .filter = {}};
      place.live_since = witness_->step();
    }
    // What came before the change is judged by the filter of its time.
    Pass(&place, channel.next_sequence, "a change at");
    place.channel = channel;
    place.reads = !changed->left;
    if (place.reads) place.filter = changed->filter;
  } else if (const auto* entry = std::get_if<fanout::LedgerEntry>(&event)) {
    if (entry->Difference() != 0) Fail(StrCat("a ledger with a difference of ", entry->Difference()));
  } else if (const auto* renamed = std::get_if<fanout::InterfaceRenamed>(&event)) {
    for (auto& [id, place] : places_) {
      if (place.channel.interface_index == renamed->interface_index) place.channel.interface_name = renamed->new_name;
    }
  } else if (std::holds_alternative<fanout::Draining>(event)) {
    draining_ = true;
  }
}

std::vector<gateway::ResumePoint> Reader::ResumePoints() const {
  // A channel may have had several logs, one after the other: the last one counts.
  std::map<std::tuple<std::string, net::IpAddress, uint16_t>, gateway::ResumePoint> points;
  for (const auto& [id, place] : places_) {
    if (!place.reads || place.channel.interface_name.empty()) continue;
    points[{place.channel.interface_name, place.channel.group, place.channel.port}] = {
        .interface_name = place.channel.interface_name,
        .group = place.channel.group,
        .port = place.channel.port,
        .epoch = place.epoch,
        .next_sequence = place.next,
        .last_receive_unix_ns = {}};
  }
  std::vector<gateway::ResumePoint> list;
  for (auto& [channel, point] : points) list.push_back(std::move(point));
  return list;
}

void Reader::CheckComplete(const fanout::ChannelStatus& channel) const {
  const auto at = places_.find(channel.channel_id);
  if (at == places_.end() || !at->second.reads || at->second.epoch != channel.epoch) return;
  if (at->second.next == channel.next_sequence) return;
  Fail(StrCat("channel ", channel.channel_id, " is at ", channel.next_sequence, ", and the stream was told up to ",
              at->second.next));
}

void Reader::CheckLedger() const {
  const fanout::Subscriber& subscriber = stream_->subscriber();
  for (const fanout::LedgerEntry& entry : subscriber.Ledger()) {
    if (entry.Difference() == 0) continue;
    Fail(StrCat("channel ", entry.channel_id, ": the ledger's difference is ", entry.Difference()));
  }
  const fanout::LedgerEntry total = subscriber.Total();
  if (total.Difference() != 0) Fail(StrCat("the total's difference is ", total.Difference()));
  const auto agree = [this](const char* what, uint64_t counted, uint64_t heard) {
    if (counted != heard) Fail(StrCat("the ledger has ", counted, " ", what, ", and the client ", heard));
  };
  agree("datagrams written", total.written, heard_.written);
  agree("datagrams in flight", total.in_flight, heard_.in_flight);
  agree("datagrams abandoned", total.abandoned, heard_.abandoned);
  agree("gaps of known extent", total.range_gaps, heard_.range_gaps);
  agree("gaps of unknown extent", total.unknown_gaps, heard_.unknown_gaps);
  for (int cause = 0; cause < fanout::kGapCauses; ++cause) {
    agree("numbers skipped for one cause", total.skipped[cause], heard_.skipped[cause]);
  }
}

}  // namespace mcgw::simulation
