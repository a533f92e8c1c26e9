// SPDX-License-Identifier: Apache-2.0
//
// BenchSnapshot: a snapshot with the shape and the working set of a real guest and random bytes,
// frozen linear and hot, and its plain image as a file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "thaw/bench/function_trace.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/resume_image.h"
#include "thaw/store/catalog.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct BenchSnapshotOptions {
  std::string name;
  uint64_t seed = 1;
  std::string plain_path;   // on a disk: the file that baselines read or map; empty: none
  std::string oracle_path;  // in memory, equal: what every page is compared with
  uint32_t chunk_bytes = 512 * 1024;
  bool packs = true;  // the compact copies of reap and faasnap
};

/// Immutable. Borrows the trace.
class BenchSnapshot {
 public:
  /// Makes the files and freezes as `options.name`. Aborts on any failure.
  BenchSnapshot(Catalog& catalog, const KeyProvider& keys, const FunctionTrace& trace,
                const BenchSnapshotOptions& options);

  const FunctionTrace& trace() const { return trace_; }
  const std::string& plain_path() const { return options_.plain_path; }
  uint64_t bytes() const { return trace_.shape.page_count * kPageBytes; }

  const std::shared_ptr<const ResumeImage>& image(Layout layout) const {
    return layout == Layout::kHot ? hot_ : linear_;
  }
  /// The chunks that some resume of either image may ask for: those of recorded or replayed pages,
  /// and the packs'.
  std::vector<ChunkRequest> touched_chunks() const;

  /// A VMM that replays the measured trace as fast as it can and compares every page afterwards.
  ReplayVmmOptions vmm() const;

 private:
  void write_images() const;

  const FunctionTrace& trace_;
  const BenchSnapshotOptions options_;
  std::shared_ptr<const ResumeImage> linear_;
  std::shared_ptr<const ResumeImage> hot_;
};

}  // namespace thaw
