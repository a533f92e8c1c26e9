// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/page_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"
#include "thaw/sys/file_io.h"

namespace thaw {

Result<void> read_into_page_cache(const std::string& path) {
  ASSIGN_OR_RETURN(const Fd file, open_file(path, O_RDONLY));
  Bytes block(kMiB);
  for (uint64_t at = 0;; at += block.size()) {
    ASSIGN_OR_RETURN(const size_t got, read_some_at(file.get(), at, block, path));
    if (got == 0) return {};
  }
}

Result<void> drop_page_cache(const std::string& path) {
  ASSIGN_OR_RETURN(const Fd file, open_file(path, O_RDONLY));
  if (::fdatasync(file.get()) != 0) return fail_errno("cannot write " + path, errno);
  if (const int error = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED); error != 0) {
    return fail_errno("cannot drop the page cache of " + path, error);
  }
  return {};
}

}  // namespace thaw
