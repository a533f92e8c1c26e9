// SPDX-License-Identifier: Apache-2.0
//
// The pages of another process as the kernel tells of them: its mappings (/proc/PID/smaps) and the
// state of each page (the ioctl PAGEMAP_SCAN on /proc/PID/pagemap, Linux 6.7, Documentation/
// admin-guide/mm/pagemap.rst). Debian 12's headers are older, so the ioctl is defined here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// What may be said of a page (PAGE_IS_* of linux/fs.h).
enum PageCategory : uint64_t {
  kPageWpAllowed = 1 << 0,  // its range is registered for asynchronous write protection
  kPageWritten = 1 << 1,    // written since it was write-protected
  kPageFile = 1 << 2,       // of the page cache, not a private copy
  kPagePresent = 1 << 3,
  kPageSwapped = 1 << 4,
};

/// Neighbouring pages of which the same is said.
struct ScannedRange {
  uint64_t begin = 0;  // addresses
  uint64_t end = 0;
  uint64_t categories = 0;
  friend bool operator==(const ScannedRange&, const ScannedRange&) = default;
};

/// One mapping of a process.
struct MappedRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool is_shared = false;
  bool has_file = false;       // an inode stands behind it
  bool has_userfault = false;  // registered with a userfaultfd, whatever the mode
  friend bool operator==(const MappedRange&, const MappedRange&) = default;
};

/// The mappings, ascending. kNotFound if there is no such process, kDenied if it may not be looked
/// into.
Result<std::vector<MappedRange>> mapped_ranges(pid_t pid);
/// The text of an smaps file; kInvalid if it is none.
Result<std::vector<MappedRange>> parse_smaps(std::string_view text);

/// The page table of one process; stays with its memory, whatever becomes of the pid. One thread at
/// a time.
class PageScanner {
 public:
  /// kNotFound, kDenied as above; kUnsupported before Linux 6.7.
  static Result<PageScanner> open(pid_t pid);

  /// The pages in [begin, end) that are present or swapped, ascending; whole pages.
  Result<std::vector<ScannedRange>> populated(uint64_t begin, uint64_t end) const;

 private:
  explicit PageScanner(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace thaw
