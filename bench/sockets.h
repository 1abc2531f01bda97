// The sockets that the benchmark itself opens, and how it says that a system call failed.

#ifndef MCGW_BENCH_SOCKETS_H_
#define MCGW_BENCH_SOCKETS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/reader.h"
#include "server/net/owned_fd.h"

namespace mcgw::bench {

using net::OwnedFd;

// INTERNAL, with the text of errno.
absl::Status ErrnoError(absl::string_view what);

// A non-blocking socket bound to the group and its interface, joined, with the receive buffer that mcgwd asks for.
absl::StatusOr<OwnedFd> OpenReceiver(const Group& group);

// A blocking socket that sends to the group, IPv4 or IPv6, through the interface of that name, connected.
absl::StatusOr<OwnedFd> OpenSender(const Group& group);

// A non-blocking TCP connection to an IPv4 address and port, or one to a socket in the file system ("unix:PATH").
absl::StatusOr<OwnedFd> Connect(const std::string& target);

// The same, blocking.
absl::StatusOr<OwnedFd> ConnectBlocking(const std::string& target);

// A non-blocking socket that listens on 127.0.0.1.
absl::StatusOr<OwnedFd> ListenTcp(uint16_t port);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_SOCKETS_H_
