// What is measured, one after the other and under the same load: the gateway and its references.

#ifndef MCGW_BENCH_SUBJECT_H_
#define MCGW_BENCH_SUBJECT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/process.h"
#include "bench/reader.h"

namespace mcgw::bench {

inline constexpr char kDirect[] = "direct";          // A multicast socket for each reader.
inline constexpr char kTcp[] = "tcp";                // The TCP gateway, a send per datagram.
inline constexpr char kTcpBatch[] = "tcp-batch";     // The TCP gateway, a send per batch received.
inline constexpr char kGateway[] = "mcgw";           // mcgwd over TCP.
inline constexpr char kGatewayUnix[] = "mcgw-unix";  // mcgwd over a socket in the file system.

// Not thread-safe.
class Subject {
 public:
  // Starts the subject's server, if it has one, on the core. Each subject has a group of its own, so that an idle one
  // receives nothing. `programs`: the directory of mcgwd and mcgw-bench. INVALID_ARGUMENT for a name that is none.
  static absl::StatusOr<std::unique_ptr<Subject>> Start(absl::string_view name, const std::string& programs, int core);

  const std::string& name() const { return name_; }
  const Group& group() const { return group_; }
  const Process* server() const { return server_.get(); }  // Null for direct sockets.
  // Whether it says what it lost, so that any other loss is a fault.
  bool promises() const { return name_ == kGateway || name_ == kGatewayUnix; }
  absl::StatusOr<std::unique_ptr<Reader>> MakeReader() const;

 private:
  Subject(std::string name, Group group) : name_(std::move(name)), group_(std::move(group)) {}

  const std::string name_;
  const Group group_;
  std::unique_ptr<Process> server_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_SUBJECT_H_
