// What mcgw pub reads: a file or a pipe, in lines or in chunks. The first byte chooses; it must all come out again.

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "client/cli/input_file.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(input_file) {
  using cli::InputFile;
  fuzz::Input parts(input);
  const size_t chunk_bytes = parts.Number(1);  // 0: lines.
  const std::string_view content = parts.Rest();
  const int fd = memfd_create("input", MFD_CLOEXEC);
  FUZZ_CHECK(write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  lseek(fd, 0, SEEK_SET);
  InputFile file(fd, -1, chunk_bytes, /*repeat=*/false);
  std::string read;
  absl::string_view item;
  InputFile::Result result;
  while ((result = file.Next(/*may_wait=*/true, &item)) == InputFile::Result::kItem) {
    read.append(item.data(), item.size());
    if (chunk_bytes == InputFile::kLines) {
      FUZZ_CHECK(item.find('\n') == item.npos);
      // The last line may lack its end.
      if (read.size() < content.size()) read += '\n';
    } else {
      FUZZ_CHECK(item.size() == chunk_bytes || read.size() == content.size());
    }
  }
  FUZZ_CHECK(result == InputFile::Result::kEnd && read == content);
  close(fd);
}

}  // namespace mcgw
