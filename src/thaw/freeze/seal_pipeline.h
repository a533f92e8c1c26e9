// SPDX-License-Identifier: Apache-2.0
//
// The part of a freeze that costs time: source images -> windows -> sealed chunks -> store, on all
// cores, in bounded memory.
//
//   WindowCursor -> sealers {pread, drop zeros, seal} -> SnapshotLedger
//                                                    \-> ChunkUploader {group, put, sync}
//
// A sealer owns the plaintext buffers of a few windows, which it seals side by side, and borrows a
// ciphertext buffer for each from the pool; the uploader gives them back when the chunk is in the
// store.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/crypto/secret.h"
#include "thaw/freeze/chunk_uploader.h"
#include "thaw/freeze/linear_window.h"
#include "thaw/freeze/snapshot_ledger.h"
#include "thaw/store/object_store.h"

namespace thaw {

/// What the buffers of one freeze may take, whatever the sizes of images and chunks. With chunks of
/// 4 MiB that allows 8 sealers of two windows each and 20 ciphertext buffers.
inline constexpr uint64_t kPlaintextBytesMax = 64 * kMiB;
inline constexpr uint64_t kCiphertextBytesMax = 80 * kMiB;
/// What is put with one call. Chunks are sealed while others are put, so the pool holds several
/// groups.
inline constexpr uint64_t kGroupBytesMin = 2 * kMiB;
inline constexpr uint64_t kGroupBytesMax = 16 * kMiB;
inline constexpr size_t kGroupChunksMax = 256;
inline constexpr unsigned kUploadThreads = 2;

struct SealStats {
  uint64_t data_pages = 0;        // that are in chunks, each counted where it stands in an image
  uint64_t zero_pages = 0;        // that were read and dropped
  uint64_t duplicate_chunks = 0;  // windows whose chunk the snapshot had already
  uint64_t buffer_waits = 0;      // how often a sealer waited for the store
  UploadStats upload;
};

struct SealJob {
  std::vector<SealInput> images;
  uint32_t chunk_bytes = 0;
  unsigned threads = 0;  // 0: one for each core
  uint64_t root_id = 0;
  const SecretBytes* digest_key = nullptr;  // if an image wants digests
  std::function<void()> group_put;          // called after each group, never twice at once
};

/// Seals every window and puts every chunk; all are durable on return. `ledger` may have chunks
/// that are in the store already. Errors of the sources and the store, kInterrupted if `progress`
/// is cancelled, kExhausted if the tables outgrow a manifest. Whatever was put before an error
/// stays in the store as garbage, and saves a repetition that work.
Result<SealStats> seal_images(const SealJob& job, const SecretBytes& salt, ObjectStore& store,
                              SnapshotLedger& ledger, Progress& progress);

}  // namespace thaw
