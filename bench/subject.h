// What is measured, one after the other and under the same load: the gateway and its references.

#ifndef MCGW_BENCH_SUBJECT_H_
#define MCGW_BENCH_SUBJECT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/feed.h"
#include "bench/names.h"
#include "bench/process.h"
#include "bench/reader.h"

namespace mcgw::bench {

// Where the programs are that are measured.
struct Programs {
  std::string directory;    // Of mcgwd and mcgw-bench.
  std::string nats_server;  // The path of nats-server; empty: there is none.
};

struct SubjectOptions {
  size_t log_bytes = 0;  // Of the gateway's logs and of the references' rings; 0: what is usual.
  bool oldest = false;   // Readers begin at the oldest datagram.
  std::vector<std::string> gateway_flags;
};

// Not thread-safe.
class Subject {
 public:
  // Starts the subject's server, if it has one, on the core. Each subject has a group of its own, so that an idle one
  // receives nothing. INVALID_ARGUMENT for a name that is none; NOT_FOUND if its program is not there.
  static absl::StatusOr<std::unique_ptr<Subject>> Start(absl::string_view name, const Programs& programs, int core,
                                                        const SubjectOptions& options);

  const std::string& name() const { return name_; }
  const Group& group() const { return group_; }
  const Process* server() const { return server_.get(); }  // Null for direct sockets.
  // What a gRPC client connects to.
  std::string target() const;
  // Whether it says what it lost, so that any other loss is a fault.
  bool promises() const {
    return name_ == kGateway || name_ == kGatewayAtOnce || name_ == kGatewayUnix || name_ == kGatewayTls ||
           name_ == kGatewayBatch;
  }
  // `request` holds for clients of a gateway; others get the subject's group. Its `oldest` and `delay` are the
  // subject's.
  absl::StatusOr<std::unique_ptr<Reader>> MakeReader(Subscription request) const;
  absl::StatusOr<std::unique_ptr<Feed>> MakeFeed() const;

 private:
  Subject(std::string name, Group group, uint16_t port, bool oldest)
      : name_(std::move(name)), group_(std::move(group)), port_(port), oldest_(oldest) {}
  std::vector<std::string> Command(const Programs& programs, const SubjectOptions& options) const;

  const std::string name_;
  const Group group_;
  const uint16_t port_;
  const bool oldest_;
  std::unique_ptr<Process> server_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_SUBJECT_H_
