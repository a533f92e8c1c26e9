// SPDX-License-Identifier: Apache-2.0
//
// PlainReap: REAP as published (Ustiugov et al., ASPLOS 2021) over plain, unencrypted local files:
// what the resume benches are compared with. The recorded pages stand in one compact file, which is
// read whole with one O_DIRECT read and installed before the guest runs; other pages are read from
// the memory file and installed one by one as the guest asks for them.
//
// Given every advantage: pages stand in order of address, so that neighbours are one install; the
// list of pages is in memory already; so is the buffer, with its pages present.
#pragma once

#include <string>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/units.h"
#include "thaw/bench/bench_vmm.h"
#include "thaw/image/page_trace.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Belongs to one thread. Aborts on any failure.
class PlainReap {
 public:
  /// Makes the compact file beside the memory file, which is on a disk that has O_DIRECT.
  PlainReap(const std::string& memory_path, const PageTrace& recorded);

  /// Serves a VMM with one region until it has ended. Nothing comes from the page cache.
  void serve(BenchVmm& vmm);

  uint64_t pages() const { return buffer_.size() / kPageBytes; }

 private:
  void install(const BenchVmm& vmm, uint64_t page, const std::byte* source, uint64_t count) const;

  Fd memory_;
  Fd compact_;
  std::vector<PageRun> runs_;  // ascending; they stand in the compact file in this order
  AlignedBuffer buffer_;
  AlignedBuffer one_{kPageBytes};
};

}  // namespace thaw
