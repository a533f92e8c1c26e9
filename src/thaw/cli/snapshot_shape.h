// SPDX-License-Identifier: Apache-2.0
//
// SnapshotShape: what can be counted in a manifest without reading a chunk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thaw/image/manifest.h"

namespace thaw {

struct ImageShape {
  ImageKind kind = ImageKind::kMemory;
  std::string name;
  uint64_t bytes = 0;
  uint64_t pages = 0;
  uint64_t data_pages = 0;  // not zero
  uint64_t runs = 0;        // of neighbouring pages that are not zero
};

struct SnapshotShape {
  std::vector<ImageShape> images;
  uint64_t bytes = 0;  // of all images
  uint64_t pages = 0;
  uint64_t data_pages = 0;
  uint64_t stored_pages = 0;  // in the chunks, each chunk once
  std::string created;        // the annotation; empty if there is none
};

SnapshotShape shape_of(const Manifest& manifest);
uint64_t stored_pages(const ManifestClear& clear);
const char* to_string(ImageKind kind);

}  // namespace thaw
