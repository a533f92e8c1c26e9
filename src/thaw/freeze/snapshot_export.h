// SPDX-License-Identifier: Apache-2.0
//
// export_image: an image of a snapshot back as a plain file, byte for byte, zero pages as holes.
// Every chunk is verified before a byte of it is written. The file appears whole or not at all.
#pragma once

#include <cstdint>
#include <string>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/image/manifest.h"
#include "thaw/store/object_store.h"

namespace thaw {

struct ExportOptions {
  unsigned threads = 0;    // 0: one for each core
  bool overwrite = false;  // replace a regular file at the path
};

struct ExportStats {
  uint64_t bytes_total = 0;    // the file's size
  uint64_t bytes_written = 0;  // of it that are no hole
  uint64_t chunks_read = 0;
  double seconds = 0;
};

/// Writes `image` of `manifest` to `path`, mode 0600, durable on return. kExists if the path is
/// taken and `overwrite` is not set; kInvalid if it is taken by something that is not a regular
/// file; kCorrupt or kNotFound naming the first object that is not intact; kExhausted if the disk
/// is full; kInterrupted. On an error nothing is left behind and what was at `path` is as it was; a
/// kill leaves `<path>.thaw-<pid>-<n>`.
Result<ExportStats> export_image(const ObjectStore& store, const Manifest& manifest,
                                 const Image& image, const std::string& path,
                                 const ExportOptions& options, Progress& progress);

}  // namespace thaw
