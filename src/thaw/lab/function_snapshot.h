// SPDX-License-Identifier: Apache-2.0
//
// FunctionSnapshot: a snapshot with the shape and the working set of a real guest and random bytes,
// frozen linear and hot, and its plain image as a file; or a child of such a one, which differs
// from it in some pages, with these as a diff.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "thaw/image/page_runs.h"
#include "thaw/lab/function_trace.h"
#include "thaw/lab/study_image.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/resume_image.h"
#include "thaw/store/catalog.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct FunctionSnapshotOptions {
  std::string name;  // of the hot snapshot; the linear one has "-linear" behind it
  /// The memory itself, with the trace's shape; empty: random bytes in that shape.
  std::string memory_path = {};
  uint64_t seed = 1;
  /// On a disk: what baselines read or map, all of the memory, or a child's diff; empty: none, and
  /// there can be no child.
  std::string plain_path;
  /// In memory: what every page is compared with. A child's has the pages of its traces only.
  std::string oracle_path;
  uint32_t chunk_bytes = 512 * 1024;
  bool packs = true;  // the compact copies of reap and faasnap
};

/// Which pages of a child are other ones than its parent's.
enum class ChildPages {
  kWritten,  // that the recorded call wrote: a snapshot taken after it
  kTouched,  // that any of the traces has: another function's over the same system
};

/// Immutable. Borrows the trace, and a child its parent.
class FunctionSnapshot {
 public:
  /// Makes the files, which must not exist, and freezes as `options.name`.
  static Result<std::unique_ptr<FunctionSnapshot>> make(Catalog& catalog, const KeyProvider& keys,
                                                        const FunctionTrace& trace,
                                                        const FunctionSnapshotOptions& options);
  /// A child of this one. Its linear form is a child of the linear snapshot, its hot form one of
  /// the hot snapshot, as freezing after each call would make them.
  Result<std::unique_ptr<FunctionSnapshot>> make_child(Catalog& catalog, const KeyProvider& keys,
                                                       const FunctionSnapshotOptions& options,
                                                       ChildPages pages) const;

  const FunctionTrace& trace() const { return trace_; }
  const std::string& plain_path() const { return options_.plain_path; }
  /// The plain files that the memory is in.
  MemoryLayers layers() const;
  /// What the snapshot is called in its catalog.
  std::string name(Layout layout) const {
    return layout == Layout::kHot ? options_.name : options_.name + "-linear";
  }
  uint64_t bytes() const { return trace_.shape.page_count * kPageBytes; }

  const std::shared_ptr<const ResumeImage>& image(Layout layout) const {
    return layout == Layout::kHot ? hot_ : linear_;
  }
  /// The chunks that some resume of either image may ask for: those of recorded or replayed pages,
  /// and the packs'.
  std::vector<ChunkRequest> touched_chunks() const;
  /// All of the linear image: what a mount may ask for, around which the kernel reads ahead.
  std::vector<ChunkRequest> linear_chunks() const;

  /// A VMM that replays the measured trace as fast as it can and compares every page afterwards.
  ReplayVmmOptions vmm() const;

 private:
  FunctionSnapshot(const FunctionTrace& trace, FunctionSnapshotOptions options,
                   const FunctionSnapshot* parent)
      : trace_(trace), options_(std::move(options)), parent_(parent) {}

  Result<void> write_images() const;
  Result<void> write_child_images(const PageRuns& changed) const;
  Result<void> freeze_layouts(Catalog& catalog, const KeyProvider& keys);
  Result<void> freeze_children(Catalog& catalog, const KeyProvider& keys);
  Result<void> put_recording(Catalog& catalog, const KeyProvider& keys, const NameTarget& target,
                             const Manifest& manifest) const;
  PageRuns changed_pages(ChildPages pages) const;

  const FunctionTrace& trace_;
  const FunctionSnapshotOptions options_;
  const FunctionSnapshot* const parent_;
  std::shared_ptr<const ResumeImage> linear_;
  std::shared_ptr<const ResumeImage> hot_;
};

}  // namespace thaw
