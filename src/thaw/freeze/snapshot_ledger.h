// SPDX-License-Identifier: Apache-2.0
//
// SnapshotLedger: what a freeze has sealed so far, in whatever order its threads came to it, and
// the manifest's tables that follow from it. The tables depend on the images and the layout only:
// hot chunks come first, in order of their places; the others are numbered by their first use in
// order of image and address.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/crypto/secret.h"
#include "thaw/image/manifest.h"
#include "thaw/image/page_map.h"

namespace thaw {

/// About 160 bytes a chunk and 12 an extent. One thread at a time.
class SnapshotLedger {
 public:
  explicit SnapshotLedger(size_t images) : extents_(images) {}

  /// Notes that the pages of `extents` of an image are those of a chunk; their chunk numbers are
  /// ignored. A hot chunk has a place; of equal ones the first place counts. True if the snapshot
  /// did not have the chunk yet. kExhausted if no manifest could hold it any more.
  Result<bool> add(size_t image, std::span<const Extent> extents, const ChunkEntry& chunk,
                   ByteSpan key, std::optional<uint32_t> place = std::nullopt);

  size_t chunk_count() const { return chunks_.size(); }

  /// Writes the chunk table, the keys, the number of hot chunks and the page map of each image to
  /// `manifest`, whose images must be in place. The ledger is used up.
  void write_to(Manifest& manifest) &&;

 private:
  static constexpr uint32_t kNoPlace = std::numeric_limits<uint32_t>::max();

  std::vector<uint32_t> chunks_by_place() const;
  void append_key(ByteSpan key);
  ByteSpan key_of(uint32_t chunk) const;

  std::vector<std::vector<Extent>> extents_;  // by image; chunk = index into chunks_
  size_t extent_count_ = 0;
  std::vector<ChunkEntry> chunks_;  // in order of arrival
  std::vector<uint32_t> places_;    // of chunks_
  // In blocks, because a vector that grows leaves copies of the keys behind.
  std::vector<SecretBytes> key_blocks_;
  std::unordered_map<ChunkId, uint32_t> index_;
};

}  // namespace thaw
