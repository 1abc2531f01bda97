// An entry of the configuration's `listen`.

#ifndef MCGW_APP_LISTENER_OPTIONS_H_
#define MCGW_APP_LISTENER_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/app/listen_address.h"
#include "server/http2/tls_context.h"

namespace mcgw::app {

// Ids of users or groups, both ends included.
struct IdRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool Contains(uint32_t id) const { return id >= first && id <= last; }
};

struct ListenerOptions {
  ListenAddress address;
  std::string text;                    // The address as it was written.
  std::string name;                    // The identity of clients that show no other.
  std::optional<http2::TlsFiles> tls;  // Nothing: plaintext.
  // Of Unix sockets only.
  mode_t mode = 0660;
  std::optional<gid_t> group;  // That owns the socket's file; nothing: the gateway's.
  // Who may connect. If both are empty, whoever the file's mode lets in.
  std::vector<IdRange> allowed_uids;
  std::vector<IdRange> allowed_gids;

  // From "ADDRESS [KEY=VALUE...]", see docs/configuration.md. Opens nothing, but looks up the group.
  static absl::StatusOr<ListenerOptions> Parse(std::string_view text);

  // Whether a process of this user and these groups may connect. `uid` is nothing over TCP, or if it is not known.
  bool Allows(std::optional<uint32_t> uid, const std::vector<uint32_t>& gids) const;
  // Whether whoever reaches it is let in only if it is known: a local one, or one with a certificate.
  bool IsGuarded() const {
    return address.IsLocal() || (tls.has_value() && tls->clients == http2::ClientCertificates::kRequired);
  }
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LISTENER_OPTIONS_H_
