// Sending: one unary call for each datagram, and batches on a stream.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/caller.h"
#include "bench/context.h"
#include "bench/generator.h"
#include "bench/host.h"
#include "bench/stamp.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kSendPath[] = "/multicast.gateway.v1.MulticastGatewayService/Send";
constexpr size_t kPayload = 200;

void SetDestination(const Group& group, v1::Destination* destination) {
  destination->set_interface(group.interface);
  destination->set_group(group.address);
  destination->set_port(group.port);
}

struct PublishRow {
  size_t per_message;
  size_t payload_bytes;
  bool mixed = false;  // Every other payload is of half the size.
};

// Numbered from `first`.
std::string Batch(const Group& group, const PublishRow& row, uint64_t first) {
  v1::PublishRequest request;
  request.set_batch_id(first);
  v1::Burst* burst = request.add_bursts();
  SetDestination(group, burst->mutable_destination());
  for (size_t i = 0; i < row.per_message; ++i) {
    const size_t size = row.mixed && i % 2 == 1 ? row.payload_bytes / 2 : row.payload_bytes;
    std::string payload(std::max(size, kStampBytes), '\xa5');
    WriteStamp({.number = first + i, .sent_ns = NowNs()}, payload.data());
    burst->add_payloads(std::move(payload));
  }
  return request.SerializeAsString();
}

// Whether what is published arrives, whole and in order, at another host; only then is it worth measuring.
absl::Status Check(const Subject& subject, const PublishRow& row, Cores cores) {
  std::vector<std::unique_ptr<Reader>> readers;
  auto reader = MakeReaderOnPeer(subject.group());
  if (!reader.ok()) return reader.status();
  readers.push_back(*std::move(reader));
  auto loop = ReaderLoop::Create(std::move(readers));
  if (!loop.ok()) return loop.status();
  constexpr uint64_t kBatches = 8;
  PublishLoad load = {.batches = {}, .items_in_batch = row.per_message, .most_batches = kBatches};
  for (uint64_t i = 0; i < kBatches; ++i) {
    load.batches.push_back(Batch(subject.group(), row, i * row.per_message + 1));
  }
  if (auto outcome = RunPublish(subject.server(), subject.target(), load, cores); !outcome.ok()) {
    return outcome.status();
  }
  Account& account = (*loop)->readers().front()->account();
  const uint64_t last = kBatches * row.per_message;
  const auto done = (*loop)->RunUntil([&] { return account.last() >= last; }, NowNs() + int64_t{2'000'000'000});
  if (!done.ok()) return done.status();
  if (account.deliveries() != last || account.disordered() != 0) {
    return absl::DataLossError(absl::StrCat("of ", last, " published, ", account.deliveries(), " arrived, ",
                                            account.disordered(), " out of order"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Outcome> MeasurePublish(Context* context, const Subject& subject, const PublishRow& row) {
  if (auto status = Check(subject, row, context->cores()); !status.ok()) return status;
  const PublishLoad load = {.batches = {Batch(subject.group(), row, 1)},
                            .items_in_batch = row.per_message,
                            .seconds = context->Pick(0.3, 1.0)};
  return RunPublish(subject.server(), subject.target(), load, context->cores());
}

}  // namespace

void RunSendCase(Context* context) {
  const auto subjects = context->Start({kGrpcEmpty, kGrpcSend, kGateway}, {});
  for (const int in_flight : {1, 16}) {
    std::vector<Contestant> contestants;
    for (const auto& subject : subjects) {
      v1::SendRequest request;
      SetDestination(subject->group(), request.mutable_destination());
      request.set_payload(std::string(kPayload, '\xa5'));
      const Call call = {.path = kSendPath, .request = request.SerializeAsString()};
      const CallLoad load = {.in_flight = in_flight,
                             .seconds = context->Pick(0.3, 1.0),
                             .next = [call](size_t, const std::string*) { return call; }};
      contestants.push_back({subject->name(), [context, load, subject = subject.get()] {
                               return RunCalls(subject->server(), subject->target(), load, context->cores());
                             }});
    }
    context->Measure({.case_name = kSendCase,
                      .title = absl::StrCat(kPayload, " B, ", in_flight, " in flight"),
                      .parameters = {{kPayloadBytes, kPayload}, {kInFlight, in_flight}},
                      .series = {}},
                     contestants);
  }
}

void RunPublishCase(Context* context) {
  const auto subjects = context->Start({kGrpcGso, kGateway}, {});
  const auto rows = context->Pick<std::vector<PublishRow>>(
      {{64, 200}}, {{1, 200}, {1, 1316}, {64, 200}, {64, 1316}, {64, 200, true}, {64, 1316, true}});
  for (const PublishRow& row : rows) {
    std::vector<Contestant> contestants;
    for (const auto& subject : subjects) {
      contestants.push_back({subject->name(), [context, &row, subject = subject.get()] {
                               return MeasurePublish(context, *subject, row);
                             }});
    }
    context->Measure({.case_name = kPublishCase,
                      .title = absl::StrCat(row.per_message, " in a message, ", row.payload_bytes, " B",
                                            row.mixed ? " and half of that in turn" : ""),
                      .parameters = {{kPerMessage, static_cast<double>(row.per_message)},
                                     {kPayloadBytes, static_cast<double>(row.payload_bytes)},
                                     {kMixed, row.mixed ? 1.0 : 0.0}},
                      .series = {}},
                     contestants);
  }
}

}  // namespace mcgw::bench
