// SPDX-License-Identifier: Apache-2.0
//
// ImageSource: what freeze asks of the bytes it turns into a snapshot. Production: ImageFile
// (image_file.h). Tests put one in front of a file to make reads fail where they want.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"

namespace thaw {

/// A fixed number of bytes, seen as pages; the last page is padded with zeros. Members may be
/// called from many threads at once.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  /// For messages: the file's path.
  virtual const std::string& describe() const = 0;
  virtual uint64_t bytes() const = 0;

  /// The pages that may hold anything but zeros: sorted, disjoint, not touching each other. The
  /// others are never read. Lives as long as the source.
  virtual std::span<const PageRun> data_runs() const = 0;

  /// Reads whole pages; `out` has run.count pages. kInvalid if the source shrank ("changed while it
  /// was read"), kUnavailable with the place if the medium fails.
  virtual Result<void> read_pages(PageRun run, MutableByteSpan out) const = 0;

  /// kInvalid if the source is no longer what it was when it was opened, so that what was read may
  /// be a mixture of two states.
  virtual Result<void> check_unchanged() const = 0;
};

}  // namespace thaw
