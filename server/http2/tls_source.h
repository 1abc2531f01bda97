// The TLS of a listener, loaded again when its files change.

#ifndef MCGW_HTTP2_TLS_SOURCE_H_
#define MCGW_HTTP2_TLS_SOURCE_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/http2/tls_context.h"
#include "server/net/mutex.h"

namespace mcgw::http2 {

// context() is thread-safe; Refresh belongs to one thread.
class TlsSource {
 public:
  static absl::StatusOr<std::unique_ptr<TlsSource>> Load(const TlsFiles& files);

  // What new connections use. Open ones keep what they have.
  std::shared_ptr<const TlsContext> context() const;
  // Looks whether the files have changed, and loads them if so. Returns nothing if there is no news, OK if the new ones
  // are in force from now on, or why they are bad; the old ones stay then. The files change one after the other, so bad
  // ones are reported once they stay as they are from one call to the next, and then once.
  std::optional<absl::Status> Refresh();

 private:
  // What tells a file from its successor at the same path.
  struct FileState {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t size = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    bool operator==(const FileState&) const = default;
  };
  static std::vector<FileState> StateOf(const TlsFiles& files);

  TlsSource(TlsFiles files, std::shared_ptr<const TlsContext> context, std::vector<FileState> state);

  const TlsFiles files_;
  mutable net::Mutex mutex_;
  std::shared_ptr<const TlsContext> context_ ABSL_GUARDED_BY(mutex_);
  // Of the thread that refreshes.
  std::vector<FileState> state_;        // That was last loaded, or found bad.
  std::optional<absl::Status> unsaid_;  // Why this state is bad.
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_TLS_SOURCE_H_
