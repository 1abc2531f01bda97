// Calls every method of a gateway with messages that are wrong in every way: fields of any value, valid messages whose
// bytes were changed, random bytes. Judges nothing but that the gateway goes on serving; what it logs and how it ends
// is judged by who started it.
//
//   wire_fuzzer ADDRESS SEED CALLS         mutated calls of all kinds
//   wire_fuzzer ADDRESS cancel CALLS       subscribes and cancels
//
// The same seed makes the same calls, in each of its threads.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"

namespace mcgw {
namespace {

namespace v1 = multicast::gateway::v1;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

constexpr int kThreads = 4;
constexpr int kMostDepth = 5;
constexpr auto kDeadline = std::chrono::seconds(2);

class Fuzzer {
 public:
  Fuzzer(const std::string& address, uint64_t seed)
      : random_(seed), stub_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())) {
    for (const google::protobuf::ServiceDescriptor* service :
         {v1::JoinRequest::descriptor()->file()->FindServiceByName("MulticastGatewayService"),
          v1::ListChannelsRequest::descriptor()->file()->FindServiceByName("InspectionService")}) {
      for (int i = 0; i < service->method_count(); ++i) methods_.push_back(service->method(i));
    }
  }

  // One call; counts its status.
  void CallOnce(std::map<int, uint64_t>* statuses) {
    const MethodDescriptor& method = *methods_[Below(methods_.size())];
    // A diagnosis listens for a while: one in ten of its turns is enough.
    if (method.name() == "Diagnose" && Below(10) != 0) return CallOnce(statuses);
    const bool streams = method.client_streaming() || method.server_streaming();
    ++(*statuses)[streams ? Stream(method) : Unary(method)];
  }

  void CancelOnce(std::map<int, uint64_t>* statuses) {
    v1::SubscribeRequest request;
    v1::Membership* const membership = request.add_memberships();
    membership->set_group("239.200.0.1");
    membership->set_port(5000);
    membership->set_interface("lo");
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    const auto call = stub_.PrepareCall(&context, "/multicast.gateway.v1.MulticastGatewayService/Subscribe", &queue);
    call->StartCall(nullptr);
    Next(&queue);
    Write(call.get(), &queue, request.SerializeAsString(), /*last=*/true);
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    Next(&queue);
    context.TryCancel();
    ++(*statuses)[Finish(call.get(), &queue)];
  }

 private:
  using Call = grpc::GenericClientAsyncReaderWriter;

  uint64_t Below(uint64_t limit) { return std::uniform_int_distribution<uint64_t>(0, limit - 1)(random_); }

  static bool Next(grpc::CompletionQueue* queue) {
    void* tag = nullptr;
    bool ok = false;
    return queue->Next(&tag, &ok) && ok;
  }
  static bool Write(Call* call, grpc::CompletionQueue* queue, const std::string& bytes, bool last) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer buffer(&slice, 1);
    last ? call->WriteLast(buffer, grpc::WriteOptions(), nullptr) : call->Write(buffer, nullptr);
    return Next(queue);
  }
  static int Finish(Call* call, grpc::CompletionQueue* queue) {
    grpc::Status status;
    call->Finish(&status, nullptr);
    Next(queue);
    return status.error_code();
  }

  static std::string PathOf(const MethodDescriptor& method) {
    return "/" + method.service()->full_name() + "/" + method.name();
  }

  int Unary(const MethodDescriptor& method) {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    const std::string bytes = Bytes(*method.input_type());
    const grpc::Slice slice(bytes);
    const auto call = stub_.PrepareUnaryCall(&context, PathOf(method), grpc::ByteBuffer(&slice, 1), &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, nullptr);
    Next(&queue);
    v1::JoinResponse joined;
    if (status.ok() && method.name() == "Join" &&
        grpc::SerializationTraits<v1::JoinResponse>::Deserialize(&answer, &joined).ok()) {
      session_id_ = joined.session_id();
    }
    return status.error_code();
  }

  int Stream(const MethodDescriptor& method) {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    const auto call = stub_.PrepareCall(&context, PathOf(method), &queue);
    call->StartCall(nullptr);
    bool ok = Next(&queue);
    const uint64_t messages = method.client_streaming() ? 1 + Below(4) : 1;
    for (uint64_t i = 0; ok && i < messages; ++i) {
      ok = Write(call.get(), &queue, Bytes(*method.input_type()), i + 1 == messages);
    }
    // Streams that stay open are cancelled, some before anything was read.
    for (uint64_t reads = Below(3); ok && reads > 0; --reads) {
      grpc::ByteBuffer answer;
      call->Read(&answer, nullptr);
      ok = Next(&queue);
    }
    if (ok) context.TryCancel();
    return Finish(call.get(), &queue);
  }

  std::string Bytes(const google::protobuf::Descriptor& type) {
    if (Below(10) == 0) return RandomBytes(Below(200));
    const std::unique_ptr<Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type)->New());
    tame_ = Below(2) == 0;
    Fill(message.get(), 0);
    std::string bytes = message->SerializePartialAsString();
    for (uint64_t changes = Below(3) == 0 ? 1 + Below(4) : 0; changes > 0; --changes) Mutate(&bytes);
    return bytes;
  }

  void Mutate(std::string* bytes) {
    if (bytes->empty()) return;
    const size_t at = Below(bytes->size());
    switch (Below(5)) {
      case 0:
        (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << Below(8)));
        break;
      case 1:
        bytes->insert(at, RandomBytes(1 + Below(8)));
        break;
      case 2:
        bytes->erase(at, 1 + Below(8));
        break;
      case 3:
        bytes->resize(at);
        break;
      case 4:
        bytes->append(bytes->substr(at));
        break;
    }
  }

  std::string RandomBytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(Below(256));
    return bytes;
  }

  // Whether the next value is to be one that a program would send: in half of the messages nearly all are, so that the
  // others get past the first check.
  bool Sensible() { return tame_ && Below(30) != 0; }

  int64_t Number() {
    constexpr uint64_t kSensibleNumbers = 6;  // The first of them.
    static constexpr int64_t kNumbers[] = {
        0,         1,          2,         16,        60,           255,          256,
        1000,      5000,       65535,     65536,     1000000000,   -1,           INT32_MAX,
        INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, -62135596801, 253402300800, 315576000001};
    if (Sensible()) return kNumbers[Below(kSensibleNumbers)];
    return Below(4) == 0 ? static_cast<int64_t>(random_()) : kNumbers[Below(std::size(kNumbers))];
  }

  std::string Text(const FieldDescriptor& field) {
    static const std::vector<std::string> kGroups = {"239.1.1.1", "232.1.1.1", "ff15::1",  "ff35::1",
                                                     "ff02::1",   "224.0.0.1", "10.0.0.1", "::ffff:239.1.1.1"};
    static const std::vector<std::string> kInterfaces = {"lo", "a0", "*", "", "nosuch0", "127.0.0.1", "::1"};
    static const std::vector<std::string> kSources = {"10.0.0.2", "10.0.0.3", "fd00::2", "127.0.0.1"};
    const auto one_of = [&](const std::vector<std::string>& texts) { return texts[Below(texts.size())]; };
    const bool sensible = Sensible();
    if (!sensible && Below(8) == 0) return RandomBytes(Below(40));
    if (!sensible && Below(40) == 0) return std::string(1 + Below(3000), 'x');
    const std::string& name = field.name();
    if (name == "session_id") return Below(3) == 0 ? "" : session_id_;
    if (name.find("interface") != std::string::npos) return one_of(kInterfaces);
    if (name.find("source") != std::string::npos) return one_of(kSources);
    return one_of(kGroups);
  }

  // How many of a repeated field there are to be.
  uint64_t Count() { return Below(50) == 0 ? Below(500) : Below(4); }

  void Fill(Message* message, int depth) {
    const google::protobuf::Descriptor& type = *message->GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (depth >= kMostDepth || Below(4) == 0) continue;
      for (uint64_t count = field.is_repeated() ? Count() : 1; count > 0; --count) FillField(message, field, depth);
    }
  }

  void FillField(Message* message, const FieldDescriptor& field, int depth) {
    const google::protobuf::Reflection& reflection = *message->GetReflection();
    const bool many = field.is_repeated();
    const auto put = [&](auto set, auto add, auto value) {
      many ? (reflection.*add)(message, &field, value) : (reflection.*set)(message, &field, value);
    };
    using R = google::protobuf::Reflection;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Fill(many ? reflection.AddMessage(message, &field) : reflection.MutableMessage(message, &field), depth + 1);
        break;
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string text = field.type() == FieldDescriptor::TYPE_BYTES ? RandomBytes(Below(2000)) : Text(field);
        many ? reflection.AddString(message, &field, text) : reflection.SetString(message, &field, text);
        break;
      }
      case FieldDescriptor::CPPTYPE_BOOL:
        put(&R::SetBool, &R::AddBool, Below(2) == 0);
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        put(&R::SetEnumValue, &R::AddEnumValue,
            !Sensible() && Below(8) == 0 ? static_cast<int>(Number()) : static_cast<int>(Below(3)));
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        put(&R::SetInt32, &R::AddInt32, static_cast<int32_t>(Number()));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        put(&R::SetUInt32, &R::AddUInt32,
            field.name() == "port" && Below(4) != 0 ? 5000U : static_cast<uint32_t>(Number()));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        put(&R::SetInt64, &R::AddInt64, Number());
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        put(&R::SetUInt64, &R::AddUInt64, static_cast<uint64_t>(Number()));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        put(&R::SetDouble, &R::AddDouble, static_cast<double>(Number()));
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        put(&R::SetFloat, &R::AddFloat, static_cast<float>(Number()));
        break;
    }
  }

  std::mt19937_64 random_;
  grpc::GenericStub stub_;
  std::vector<const MethodDescriptor*> methods_;
  std::string session_id_;
  bool tame_ = false;  // Of the message that is being made.
};

int Main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: wire_fuzzer ADDRESS SEED|cancel CALLS\n");
    return 2;
  }
  const bool cancel = std::string(argv[2]) == "cancel";
  const uint64_t seed = cancel ? 1 : std::strtoull(argv[2], nullptr, 10);
  const int64_t calls = std::strtoll(argv[3], nullptr, 10);
  std::mutex mutex;
  std::map<int, uint64_t> statuses;
  std::atomic<int64_t> left{calls};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::map<int, uint64_t> own;
      Fuzzer fuzzer(argv[1], seed * kThreads + static_cast<uint64_t>(i));
      while (left.fetch_sub(1) > 0) cancel ? fuzzer.CancelOnce(&own) : fuzzer.CallOnce(&own);
      const std::lock_guard<std::mutex> lock(mutex);
      for (const auto& [status, count] : own) statuses[status] += count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& [status, count] : statuses) std::printf("%d %llu\n", status, static_cast<unsigned long long>(count));
  return 0;
}

}  // namespace
}  // namespace mcgw

int main(int argc, char** argv) { return mcgw::Main(argc, argv); }
