// SPDX-License-Identifier: Apache-2.0
//
// SnapshotFixture: a random snapshot in a store, made by the format code alone and not by freeze/,
// with its plaintext kept as the oracle. The same options give the same plaintext, chunks and keys;
// only the manifest's data key, and so its id, differ from run to run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/image/manifest.h"
#include "thaw/store/catalog.h"
#include "thaw/store/object_store.h"
#include "thaw/testing/fixed_keys.h"

namespace thaw {

struct SnapshotFixtureOptions {
  std::string tenant = "test";
  std::string name = "snapshot";
  uint64_t seed = 1;
  uint64_t root_id = 1;
  uint32_t chunk_bytes = 64 * 1024;
  /// kLinear as the format says; kHot packs the runs of data in random order, so that slots and
  /// pages are unrelated.
  Layout layout = Layout::kLinear;

  /// With kHot: so many chunks of the memory are its hot set, and every second gap between its data
  /// is a hot zero run.
  uint32_t hot_chunks = 0;
  uint32_t skirt_chunks = 0;  // that follow them

  uint64_t memory_pages = 1024;      // 0 leaves the image out
  double zero_share = 0.6;           // of the pages of memory and disks; 0 to 1
  double mean_run_pages = 4;         // of a run of data pages, geometric; at least 1
  uint64_t vmstate_bytes = 100'001;  // 0 leaves the image out; no zero pages
  struct Disk {
    std::string name;
    uint64_t bytes = 0;
  };
  std::vector<Disk> disks;
};

/// Immutable, so usable from many threads. Movable.
struct SnapshotFixture {
  SnapshotFixtureOptions options;
  FixedKeys keys;
  NameTarget target;
  Manifest manifest;           // decoded from the bytes that the store holds
  std::vector<Bytes> oracles;  // the plaintext of manifest.images, in their order

  /// Aborts if there is no such image.
  const Image& image(ImageKind kind, std::string_view disk = {}) const;
  const Bytes& oracle(ImageKind kind, std::string_view disk = {}) const;
  /// The number in the chunk table of the chunk that holds the page; aborts for a zero page.
  uint32_t chunk_of(const Image& image, uint64_t page) const;
  /// The store's key of chunk number `chunk`.
  std::string chunk_key_of(uint32_t chunk) const;
};

/// Puts the chunks and the manifest, and binds or rebinds the name. Aborts on any failure.
SnapshotFixture make_snapshot(ObjectStore& store, const SnapshotFixtureOptions& options);

/// Flips one bit of an object; aborts if there is none. Doing it twice undoes it.
void flip_bit(ObjectStore& store, const std::string& key, uint64_t byte = 0);

}  // namespace thaw
