// SPDX-License-Identifier: Apache-2.0
//
// WorkingSet: which pages of a snapshot's memory a guest touched first, in which order and when,
// over one or several recorded resumes, and compact copies of those pages for the techniques that
// want one. Sealed like a manifest and bound to one (image/FORMAT.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/secret.h"
#include "thaw/image/manifest.h"

namespace thaw {

/// The first touch of a page.
struct Touch {
  uint32_t page = 0;
  uint32_t us = 0;     // since the recording began; monotonic
  bool write = false;  // the touch was a write; a mount sees reads only
  friend bool operator==(const Touch&, const Touch&) = default;
};

/// One recorded resume: each page once, in order of first touch; `us` never falls.
struct Recording {
  std::vector<Touch> touches;
  friend bool operator==(const Recording&, const Recording&) = default;
};

/// The technique that a compact copy is laid out for (resume/strategy.h).
enum class PackKind : uint32_t { kReap = 1, kFaasnap = 2 };
const char* to_string(PackKind kind);

/// Copies of recorded pages in chunks of their own, which a technique loads instead of the
/// snapshot's. They are in the manifest's root, each at most its chunk size.
struct Pack {
  PackKind kind = PackKind::kReap;
  std::vector<ChunkEntry> chunks;  // in order of loading
  SecretBytes chunk_keys;          // kKeyBytes for each chunk
  std::vector<Extent> extents;     // in order of chunk and slot: the pages that stand there

  ByteSpan chunk_key(uint32_t chunk) const {
    return chunk_keys.span().subspan(size_t{chunk} * kKeyBytes, kKeyBytes);
  }
};

/// Movable, not copyable: it holds keys.
struct WorkingSet {
  ManifestId manifest;
  std::vector<Recording> recordings;  // oldest first; 1 to kRecordingsMax
  std::vector<Pack> packs;            // at most one of a kind

  /// nullptr if there is none.
  const Pack* find(PackKind kind) const;
};

/// Limits that a writer keeps and a reader enforces.
inline constexpr size_t kRecordingsMax = 16;
inline constexpr uint64_t kTouchesMax = uint64_t{1} << 24;  // of a recording: 64 GiB of pages

/// Seals it. Aborts if it breaks an invariant that decode_working_set() enforces.
Result<Bytes> encode_working_set(const WorkingSet& set, const KeyProvider& keys);
/// kInvalid also if it is bound to another manifest than `manifest`, or a page is out of
/// `page_count` or stands twice in a recording or a pack; kUnsupported and kDenied as for
/// open_envelope().
Result<WorkingSet> decode_working_set(ByteSpan bytes, const ManifestId& manifest,
                                      uint64_t page_count, const KeyProvider& keys);
/// The chunks of its packs, without a key and so without proof; for whoever collects or verifies.
Result<std::vector<ChunkEntry>> decode_working_set_chunks(ByteSpan bytes);

/// A page of several recordings seen as one.
struct WorkingPage {
  uint32_t page = 0;
  uint32_t rank = 0;     // median over the recordings that have it, of its place in the order
  uint16_t seen = 0;     // recordings that have it
  uint16_t written = 0;  // of these, with a write as first touch
  friend bool operator==(const WorkingPage&, const WorkingPage&) = default;
};

/// A page that half of the recordings have is worth loading ahead.
inline constexpr double kStableShareDefault = 0.5;

/// The pages that at least `share` of the recordings have (0: the union; 1: those common to all),
/// ascending by rank, then page. 100 ns a touch or so.
std::vector<WorkingPage> merge_recordings(std::span<const Recording> recordings,
                                          double share = kStableShareDefault);

/// |A and B| / |A or B| of the pages; 1 if both are empty.
double jaccard(const Recording& a, const Recording& b);

}  // namespace thaw
