// SPDX-License-Identifier: Apache-2.0
//
// LiveMemory: the memory of a paused VMM, read from its process, and which pages of it can differ
// from the snapshot it was resumed from. What the kernel can say depends on how the VMM holds its
// memory, mapping by mapping:
//   private file     (the snapshot's file, mapped private) a page of the page cache is the file's,
//                    an absent one too; only private copies can differ
//   write tracking   (userfaultfd with asynchronous write protection) pages written since
//   userfault        (userfaultfd without it) present pages; an absent one was never faulted in
//   everything else  (shared memory, plain anonymous memory) any page
// Pages that can differ are then compared with the parent's.
//
// An absent page of userfault memory was either never faulted in, so it is the parent's, or given
// back (by a balloon, by free page reporting), so it is zero, and a guest that zeroes what it frees
// counts on that. The kernel does not tell which. So somebody has to say that the VM gives no
// memory back; otherwise such memory is refused as long as a page of it is absent.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "thaw/freeze/image_source.h"
#include "thaw/image/page_runs.h"
#include "thaw/sys/pagemap_scan.h"

namespace thaw {

/// Where a part of the guest's memory is in the VMM, as its handshake says. Whole pages.
struct LiveRegion {
  uint64_t address = 0;  // in the process
  uint64_t bytes = 0;
  uint64_t offset = 0;  // in the memory image
};

/// Pages that can differ, by the way it was told. Their sum is what has to be compared.
struct LiveTracking {
  uint64_t private_copies = 0;  // of private file mappings
  uint64_t written = 0;         // by write tracking
  uint64_t present = 0;         // of userfault memory without write tracking
  uint64_t untracked = 0;       // all others: every page
  std::string describe() const;
};

/// Callable from many threads once open. The VMM must stay paused.
class LiveMemory final : public ImageSource {
 public:
  /// kInvalid unless the regions are whole pages and cover `memory_bytes` once, and for userfault
  /// memory with absent pages unless `gives_none_back`; errors of PageScanner::open() and
  /// mapped_ranges().
  static Result<std::unique_ptr<LiveMemory>> open(pid_t pid, std::vector<LiveRegion> regions,
                                                  uint64_t memory_bytes,
                                                  bool gives_none_back = false);

  const std::string& describe() const override { return description_; }
  uint64_t bytes() const override { return bytes_; }
  /// The pages that can differ; no others may be read: reading an absent page of userfault memory
  /// would wait for its page server.
  std::span<const PageRun> data_runs() const override { return candidates_; }
  Result<void> read_pages(PageRun run, MutableByteSpan out) const override;
  /// Looks again which pages can differ: kInvalid if there are others now, kGone if the process has
  /// ended. Pages that were written once more are not seen, so this is a net under the caller's
  /// duty to pause the VM, no proof.
  Result<void> check_unchanged() const override;

  const LiveTracking& tracking() const { return tracking_; }

 private:
  LiveMemory(pid_t pid, std::vector<LiveRegion> regions, uint64_t bytes, bool gives_none_back,
             PageScanner scanner)
      : pid_(pid),
        regions_(std::move(regions)),
        bytes_(bytes),
        gives_none_back_(gives_none_back),
        scanner_(std::move(scanner)),
        description_("the memory of process " + std::to_string(pid)) {}
  Result<PageRuns> find_candidates(LiveTracking& tracking) const;

  const pid_t pid_;
  const std::vector<LiveRegion> regions_;  // ascending by offset
  const uint64_t bytes_;
  const bool gives_none_back_;
  const PageScanner scanner_;
  const std::string description_;
  PageRuns candidates_;
  LiveTracking tracking_;
};

}  // namespace thaw
