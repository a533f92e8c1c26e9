// SPDX-License-Identifier: Apache-2.0
//
// Manifest: everything that turns chunks back into a snapshot. Chunk names stand in clear, so that
// garbage collection and verification need no key; chunk keys, page maps and annotations are
// sealed. The bytes are specified in FORMAT.md beside this file and parsed as hostile input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/crypto/secret.h"
#include "thaw/image/page_map.h"

namespace thaw {

/// A manifest's name: SHA-256 of all its bytes.
struct ManifestId {
  Digest digest{};
  std::string hex() const { return to_hex(digest); }
  friend auto operator<=>(const ManifestId&, const ManifestId&) = default;
};
ManifestId manifest_id(ByteSpan bytes);

enum class Layout : uint32_t {
  kLinear = 0,  // a chunk holds the non-zero pages of one aligned window of the image, in order
  kHot = 1,     // the recorded working set first, in stages of first touch
};
const char* to_string(Layout layout);

enum class ImageKind : uint8_t { kMemory = 1, kVmstate = 2, kDisk = 3 };

/// One byte sequence of the snapshot: guest memory, device state or a disk.
struct Image {
  ImageKind kind = ImageKind::kMemory;
  std::string name;  // "memory", "vmstate", or the disk's name
  uint64_t bytes =
      0;  // its exact size; pages_for(bytes) pages are mapped, the last one zero-padded
  PageMap map;
};

struct ChunkEntry {
  ChunkId id;
  uint32_t pages = 0;
};

/// What layout kHot says of the memory image besides its page map: what a resume loads first.
struct HotSet {
  /// Chunks [0, chunks) of the table hold the recorded working set, in the order in which they are
  /// to be loaded: stage after stage, sorted by address inside a stage.
  uint32_t chunks = 0;
  /// The next so many chunks hold the recorded pages' neighbours: worth having near, not worth
  /// installing before they are asked for.
  uint32_t skirt_chunks = 0;
  /// Recorded pages that no chunk holds, because they are zero. Ascending, disjoint.
  std::vector<PageRun> zero_runs;
};

/// What stands in clear.
struct ManifestClear {
  uint64_t root_id = 0;      // every chunk is in this root
  uint32_t chunk_bytes = 0;  // capacity of a chunk
  Layout layout = Layout::kLinear;
  std::vector<ChunkEntry> chunks;
};

/// A whole manifest. Movable, not copyable: it holds keys. Const members from many threads.
struct Manifest {
  ManifestClear clear;
  SecretBytes chunk_keys;  // kKeyBytes for each chunk
  std::vector<Image> images;
  std::vector<std::pair<std::string, std::string>> annotations;
  HotSet hot;  // empty unless the layout is kHot

  ByteSpan chunk_key(uint32_t chunk) const;
  /// The image of that kind and, for disks, that name; nullptr if there is none.
  const Image* find(ImageKind kind, std::string_view name = {}) const;
};

/// Limits that a writer keeps and a reader enforces.
inline constexpr uint64_t kImagePagesMax = uint64_t{1} << 32;  // 16 TiB
inline constexpr uint32_t kImagesMax = 256;
inline constexpr uint32_t kAnnotationsMax = 1024;
inline constexpr size_t kImageNameBytesMax = 64;

/// kInvalid unless the text may name a disk: 1 to 64 of [A-Za-z0-9._-], not beginning with '.' or
/// '-'.
Result<void> validate_disk_name(std::string_view name);

/// Seals the manifest. Aborts if it breaks an invariant that decode_manifest() enforces.
Result<Bytes> encode_manifest(const Manifest& manifest, const KeyProvider& keys);
/// kInvalid, kUnsupported or kDenied as for open_envelope().
Result<Manifest> decode_manifest(ByteSpan bytes, const KeyProvider& keys);
/// The clear part, without a key and so without proof: verify the manifest id first.
Result<ManifestClear> decode_manifest_clear(ByteSpan bytes);
/// The manifest under the active master key; a new id. See rewrap_envelope().
Result<Bytes> rewrap_manifest(ByteSpan bytes, const KeyProvider& keys);
/// True if rewrap_manifest() would change it.
Result<bool> manifest_needs_rewrap(ByteSpan bytes, const KeyProvider& keys);

}  // namespace thaw
