// SPDX-License-Identifier: Apache-2.0
//
// FunctionSnapshot: a snapshot with the shape and the working set of a real guest and random bytes,
// frozen linear and hot, and its plain image as a file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "thaw/lab/function_trace.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/resume_image.h"
#include "thaw/store/catalog.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct FunctionSnapshotOptions {
  std::string name;
  uint64_t seed = 1;
  std::string plain_path;   // on a disk: the file that baselines read or map; empty: none
  std::string oracle_path;  // in memory, equal: what every page is compared with
  uint32_t chunk_bytes = 512 * 1024;
  bool packs = true;  // the compact copies of reap and faasnap
};

/// Immutable. Borrows the trace.
class FunctionSnapshot {
 public:
  /// Makes the files, which must not exist, and freezes as `options.name`.
  static Result<std::unique_ptr<FunctionSnapshot>> make(Catalog& catalog, const KeyProvider& keys,
                                                        const FunctionTrace& trace,
                                                        const FunctionSnapshotOptions& options);

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
  FunctionSnapshot(const FunctionTrace& trace, FunctionSnapshotOptions options)
      : trace_(trace), options_(std::move(options)) {}

  Result<void> write_images() const;
  Result<void> freeze_layouts(Catalog& catalog, const KeyProvider& keys);

  const FunctionTrace& trace_;
  const FunctionSnapshotOptions options_;
  std::shared_ptr<const ResumeImage> linear_;
  std::shared_ptr<const ResumeImage> hot_;
};

}  // namespace thaw
