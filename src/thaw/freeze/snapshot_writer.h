// SPDX-License-Identifier: Apache-2.0
//
// freeze: from the files that a VMM wrote to a named snapshot in a store. Chunks first, then the
// manifest, then the name, each durable before the next begins: a crash at any point leaves either
// the whole snapshot or garbage that collection finds, and freezing again uploads nothing twice.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/freeze/image_source.h"
#include "thaw/image/manifest.h"
#include "thaw/image/working_set.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// Where a snapshot's images are. An empty path: the snapshot has none of that kind.
struct SourcePaths {
  std::string memory;
  std::string vmstate;
  std::vector<std::pair<std::string, std::string>> disks;  // name, path
};

/// One image to freeze. `name` is for disks; the others are called by their kind.
struct SourceImage {
  ImageKind kind = ImageKind::kMemory;
  std::string name;
  std::unique_ptr<ImageSource> source;
};

/// Opens the files, in the order memory, vmstate, disks. Errors of ImageFile::open(); kInvalid if
/// there is no path at all, too many, or a disk's name is not valid or stands twice.
Result<std::vector<SourceImage>> open_sources(const SourcePaths& paths);

struct FreezeOptions {
  uint32_t chunk_bytes = kChunkBytesDefault;
  unsigned threads = 0;  // that read and seal; 0: one for each core
  bool replace = false;  // take the name over if it is taken
  /// Also keep a digest of each page of the memory, so that a later memory can be frozen as its
  /// child without reading this one (image/page_digests.h).
  bool page_digests = false;
  /// UTF-8. "created" and "tool" are added and may not be given.
  std::vector<std::pair<std::string, std::string>> annotations;
  /// Called after each step: "opened", "group_put" (for each group of chunks, from other threads,
  /// one at a time), "chunks_done", "manifest_put", "working_set_put", "digests_put" (if there are
  /// such), "name_bound". For tests that pull the plug there.
  std::function<void(std::string_view step)> on_step;

  Result<void> validate() const;
};

/// kInvalid if a manifest cannot hold this set of images: none, too many, one twice, a bad name.
Result<void> validate_images(std::span<const SourceImage> images);
/// kExists if the tenant has a snapshot of that name.
Result<void> require_free(const Catalog& catalog, std::string_view tenant, std::string_view name);
/// Those that thaw writes, and the options'.
std::vector<std::pair<std::string, std::string>> new_annotations(const FreezeOptions& options);

struct FreezeStats {
  uint64_t bytes_total = 0;  // sizes of the images
  // In whole pages, so that their sum is the total rounded up to pages:
  uint64_t data_bytes = 0;        // not zero
  uint64_t zero_bytes = 0;        // read and found zero
  uint64_t hole_bytes = 0;        // holes of the files, not read
  uint64_t chunks_total = 0;      // different ones in the snapshot: created + existed
  uint64_t chunks_created = 0;    // uploaded
  uint64_t chunks_existed = 0;    // the store had them
  uint64_t chunks_duplicate = 0;  // windows equal to another one of this snapshot
  uint64_t bytes_written = 0;     // ciphertext uploaded
  uint64_t manifest_bytes = 0;
  uint64_t store_waits = 0;  // how often sealing had to wait for the store
  double seconds = 0;
};

struct FreezeResult {
  NameTarget target;
  FreezeStats stats;
};

/// What an earlier snapshot of the same function recorded, for freezing the next one hot at once.
struct RecordedLayout {
  WorkingSet recorded;
  uint64_t memory_bytes = 0;  // of the snapshot it was recorded with
  double share = kStableShareDefault;
};

/// Freezes the images as snapshot `name` of the tenant of `keys`, in the store's active root.
/// Without `replace`: kExists if the name is taken, at the start or by somebody else meanwhile.
/// kInvalid also if an image changed while it was read; kInterrupted if `progress` was cancelled
/// before the name was bound; errors of the sources, the catalog and the store. On an error the
/// name is what it was. Buffers stay under the limits of seal_pipeline.h; the tables take about 200
/// bytes a chunk and 50 a run of pages.
Result<FreezeResult> freeze(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                            std::span<const SourceImage> images, const FreezeOptions& options,
                            Progress& progress);
/// The same, the memory laid out hot by a recording, which becomes the new snapshot's working set
/// too. kInvalid also if there is no memory or it has another size.
Result<FreezeResult> freeze_hot(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                std::span<const SourceImage> images, RecordedLayout layout,
                                const FreezeOptions& options, Progress& progress);

}  // namespace thaw
