// SPDX-License-Identifier: Apache-2.0
//
// StudyImage: the memory of a snapshot as the study's server reads it: one file, or, of a diff
// snapshot, the pages of the diff before those of the file that it is a diff of.
#pragma once

#include <optional>
#include <string>

#include "thaw/image/page_runs.h"
#include "thaw/lab/study_file.h"

namespace thaw {

/// The plain files that a snapshot's memory is in.
struct MemoryLayers {
  std::string image_path;  // all of it
  std::string
      diff_path;  // as VMMs write diffs: data is what differs (freeze/diff_file.h); or empty
};

/// Belongs to one thread.
class StudyImage {
 public:
  /// The plaintext of all layers together. Errors of the files.
  static Result<Bytes> read_layers(const MemoryLayers& layers);

  /// Makes its files, which begin with `working_path`, in the form that `options` say; a plain
  /// image that is in no chunks is read as it is.
  static Result<StudyImage> make(const MemoryLayers& layers, const std::string& working_path,
                                 const StudyFileOptions& options);

  /// As StudyFile::begin.
  void begin(const std::optional<LatencyShape>& shape, uint64_t seed);
  /// One page; `out` is aligned for direct I/O.
  Result<void> read(uint64_t page, MutableByteSpan out);
  StudyCost cost() const;

 private:
  explicit StudyImage(StudyFile whole) : whole_(std::move(whole)) {}

  StudyFile whole_;
  std::optional<StudyFile> diff_;  // its pages one behind the other
  PageRuns diff_pages_;            // which they are
};

}  // namespace thaw
