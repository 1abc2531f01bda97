#include "server/net/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "server/net/owned_fd.h"
#include "server/net/text.h"

namespace mcgw::net {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t most_bytes) {
  const auto bad = [&](std::string_view why) {
    return absl::InvalidArgumentError(StrCat("cannot read '", path, "': ", why));
  };
  // O_NONBLOCK, so that a pipe without a writer does not block.
  const OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return bad(std::strerror(errno));
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return bad("not a regular file");
  std::string text(most_bytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return bad(std::strerror(errno));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > most_bytes) return bad(StrCat("larger than ", most_bytes, " bytes"));
  text.resize(size);
  return text;
}

}  // namespace mcgw::net
