// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/snapshot_shape.h"

namespace thaw {

const char* to_string(ImageKind kind) {
  switch (kind) {
    case ImageKind::kMemory:
      return "memory";
    case ImageKind::kVmstate:
      return "vmstate";
    case ImageKind::kDisk:
      return "disk";
  }
  return "unknown";
}

uint64_t stored_pages(const ManifestClear& clear) {
  uint64_t pages = 0;
  for (const ChunkEntry& chunk : clear.chunks) pages += chunk.pages;
  return pages;
}

SnapshotShape shape_of(const Manifest& manifest) {
  SnapshotShape shape;
  for (const Image& image : manifest.images) {
    ImageShape one{
        image.kind, image.name, image.bytes, image.map.page_count(), image.map.data_pages(), 0};
    uint64_t end = UINT64_MAX;
    for (const Extent& extent : image.map.extents()) {
      one.runs += extent.page != end;
      end = extent.end();
    }
    shape.bytes += one.bytes;
    shape.pages += one.pages;
    shape.data_pages += one.data_pages;
    shape.images.push_back(std::move(one));
  }
  shape.stored_pages = stored_pages(manifest.clear);
  for (const auto& [key, value] : manifest.annotations) {
    if (key == "created") shape.created = value;
  }
  return shape;
}

}  // namespace thaw
