// SPDX-License-Identifier: Apache-2.0
//
// Whatever a writer may put into a manifest comes back from a reader.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/image/manifest.h"
#include "thaw/testing/fixed_keys.h"

namespace thaw {
namespace {

RC_GTEST_PROP(Manifest, RoundTripOfAnything, ()) {
  Manifest manifest;
  manifest.clear.root_id = *rc::gen::arbitrary<uint64_t>();
  manifest.clear.chunk_bytes = kChunkBytesMin << *rc::gen::inRange(0, 9);
  manifest.clear.layout = *rc::gen::element(Layout::kLinear, Layout::kHot);
  const auto capacity = static_cast<uint32_t>(manifest.clear.chunk_bytes / kPageBytes);
  const auto chunk_count = *rc::gen::inRange<uint32_t>(0, 30);
  std::vector<uint32_t> chunk_pages;
  for (uint32_t i = 0; i < chunk_count; ++i) {
    chunk_pages.push_back(*rc::gen::inRange<uint32_t>(1, capacity + 1));
    manifest.clear.chunks.push_back(
        {ChunkId{sha256(std::as_bytes(std::span(&i, 1)))}, chunk_pages.back()});
  }
  manifest.chunk_keys = SecretBytes::random(chunk_count * kKeyBytes);
  const auto image_count = *rc::gen::inRange(0, 4);
  for (int i = 0; i < image_count; ++i) {
    std::vector<Extent> extents;
    uint64_t page = 0;
    for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) {
      page += *rc::gen::inRange<uint64_t>(0, 3);
      extents.push_back(
          {static_cast<uint32_t>(page), chunk, 0, static_cast<uint16_t>(chunk_pages[chunk])});
      page += chunk_pages[chunk];
    }
    Image image;
    image.kind = i == 0 ? ImageKind::kMemory : ImageKind::kDisk;
    image.name = i == 0 ? "memory" : "disk" + std::to_string(i);
    image.bytes = page * kPageBytes;
    image.map = *PageMap::make(page, std::move(extents), chunk_pages);
    manifest.images.push_back(std::move(image));
  }
  if (manifest.clear.layout == Layout::kHot && image_count > 0) {
    manifest.hot.chunks = *rc::gen::inRange<uint32_t>(0, chunk_count + 1);
    manifest.hot.skirt_chunks =
        *rc::gen::inRange<uint32_t>(0, chunk_count - manifest.hot.chunks + 1);
    const PageMap& memory = manifest.images[0].map;
    memory.for_each_run(0, memory.page_count(), [&](uint64_t page, const PageLocation& run) {
      if (run.zero && *rc::gen::arbitrary<bool>()) manifest.hot.zero_runs.push_back({page, 1});
    });
  }
  const auto notes = *rc::gen::arbitrary<std::vector<std::pair<std::string, std::string>>>();
  manifest.annotations = notes;

  const FixedKeys keys;
  const Bytes bytes = *encode_manifest(manifest, keys);
  const Result<Manifest> decoded = decode_manifest(bytes, keys);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded->clear.root_id == manifest.clear.root_id);
  RC_ASSERT(decoded->clear.layout == manifest.clear.layout);
  RC_ASSERT(decoded->clear.chunks.size() == manifest.clear.chunks.size());
  RC_ASSERT(decoded->chunk_keys.equals(manifest.chunk_keys.span()));
  RC_ASSERT(decoded->hot.chunks == manifest.hot.chunks);
  RC_ASSERT(decoded->hot.skirt_chunks == manifest.hot.skirt_chunks);
  RC_ASSERT(decoded->hot.zero_runs == manifest.hot.zero_runs);
  RC_ASSERT(decoded->annotations == manifest.annotations);
  RC_ASSERT(decoded->images.size() == manifest.images.size());
  for (size_t i = 0; i < manifest.images.size(); ++i) {
    RC_ASSERT(decoded->images[i].name == manifest.images[i].name);
    RC_ASSERT(decoded->images[i].bytes == manifest.images[i].bytes);
    RC_ASSERT(
        std::ranges::equal(decoded->images[i].map.extents(), manifest.images[i].map.extents()));
  }
}

}  // namespace
}  // namespace thaw
