#include "server/http2/tls_source.h"

#include <sys/stat.h>

#include <string>
#include <utility>

namespace mcgw::http2 {

TlsSource::TlsSource(TlsFiles files, std::shared_ptr<const TlsContext> context, std::vector<FileState> state)
    : files_(std::move(files)), context_(std::move(context)), state_(std::move(state)) {}

std::vector<TlsSource::FileState> TlsSource::StateOf(const TlsFiles& files) {
  const auto ns = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  std::vector<FileState> states;
  for (const std::string* path : {&files.certificate, &files.key, &files.client_ca, &files.crl}) {
    struct stat status;
    const bool exists = !path->empty() && stat(path->c_str(), &status) == 0;
    states.push_back(exists ? FileState{.device = status.st_dev,
                                        .inode = status.st_ino,
                                        .size = status.st_size,
                                        .modified_ns = ns(status.st_mtim),
                                        .changed_ns = ns(status.st_ctim)}
                            : FileState());
  }
  return states;
}

absl::StatusOr<std::unique_ptr<TlsSource>> TlsSource::Load(const TlsFiles& files) {
  // Before they are read, so that no change is missed.
  std::vector<FileState> state = StateOf(files);
  absl::StatusOr<std::shared_ptr<const TlsContext>> context = TlsContext::Load(files);
  if (!context.ok()) return context.status();
  return std::unique_ptr<TlsSource>(new TlsSource(files, *std::move(context), std::move(state)));
}

std::shared_ptr<const TlsContext> TlsSource::context() const {
  net::MutexLock lock(&mutex_);
  return context_;
}

std::optional<absl::Status> TlsSource::Refresh() {
  std::vector<FileState> state = StateOf(files_);
  if (state == state_) return std::exchange(unsaid_, std::nullopt);
  state_ = std::move(state);
  absl::StatusOr<std::shared_ptr<const TlsContext>> context = TlsContext::Load(files_);
  if (!context.ok()) {
    unsaid_ = context.status();
    return std::nullopt;
  }
  unsaid_.reset();
  net::MutexLock lock(&mutex_);
  context_ = *std::move(context);
  return absl::OkStatus();
}

}  // namespace mcgw::http2
