// Where a listener listens.

#ifndef MCGW_APP_LISTEN_ADDRESS_H_
#define MCGW_APP_LISTEN_ADDRESS_H_

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace mcgw::app {

struct ListenAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string path;  // Of Unix sockets only.

  // From "127.0.0.1:50051", "[::1]:50051" or "unix:/path".
  static absl::StatusOr<ListenAddress> Parse(std::string_view text);
  // In a form that is the same for all spellings.
  std::string Text() const;
  bool is_unix() const { return !path.empty(); }
  // Whether only programs of this host can reach it.
  bool IsLocal() const;
};

// An error about a listener.
absl::Status BadListener(std::string_view address, std::string_view why);

}  // namespace mcgw::app

#endif  // MCGW_APP_LISTEN_ADDRESS_H_
