// SPDX-License-Identifier: Apache-2.0
//
// ChunkSource: the one narrow interface of the read path. A tier is a ChunkSource that decorates
// the one below it; nothing above knows where a chunk came from. What a source yields is verified:
// the bytes are those of the name that was asked for.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/bytes.h"
#include "thaw/base/deadline.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

/// A verified chunk's ciphertext, immutable.
struct Chunk {
  ChunkId id;
  AlignedBuffer buffer;

  ByteSpan ciphertext() const { return buffer.span(); }
};
/// Shared because a cache and any number of sessions hold the same chunk and the last of them frees
/// it.
using ChunkRef = std::shared_ptr<const Chunk>;

/// Some consecutive pages of a chunk, as good as a Chunk of the same source.
struct ChunkPart {
  uint32_t first_slot = 0;
  AlignedBuffer buffer;

  SealedPages sealed() const { return {buffer.span(), first_slot}; }
};

/// A fault holds up a guest; a prefetch does not. Sources serve faults first.
enum class Priority { kFault, kPrefetch };

struct ChunkRequest {
  uint64_t root_id = 0;
  ChunkId id;
  uint32_t pages = 0;  // the size that the manifest gives
  Priority priority = Priority::kFault;
  uint64_t flow = 0;  // whose it is: queues are fair between flows
  Deadline deadline = kNoDeadline;
};

/// Members may be called from many threads at once.
class ChunkSource {
 public:
  using Completion = std::function<void(Result<ChunkRef>)>;
  using PartCompletion = std::function<void(std::optional<ChunkPart>)>;

  virtual ~ChunkSource() = default;

  /// The chunk if this source has it in memory, else nullptr. Never waits for I/O.
  virtual ChunkRef lookup(const ChunkId& id) = 0;

  /// Fetches the chunk and calls `done` exactly once, on the calling thread (a hit) or on one of
  /// the source's own; `done` may do work of the order of a chunk's decryption. Errors: kNotFound,
  /// kCorrupt (no tier has an intact copy), kUnavailable, kExhausted (a queue's limit),
  /// kInterrupted (the source closes).
  virtual void fetch(const ChunkRequest& request, Completion done) = 0;

  /// For a caller that wants `part` of the chunk's pages now and the others, as far as it can tell,
  /// never: where some pages cost a source less than the whole chunk does, as from a local disk, it
  /// takes the request and calls `done` exactly once, as fetch() would, with nullopt if the chunk
  /// turns out not to be there. False, and no call: the way is fetch().
  virtual bool fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) {
    static_cast<void>(request), static_cast<void>(part), static_cast<void>(done);
    return false;
  }

  /// A fault waits now for a chunk that was asked for as a prefetch: where it still stands in a
  /// queue it goes before the prefetches. Costs little; does nothing where it is not known.
  virtual void promote(const ChunkId& id) = 0;

  /// "memory(64 MiB) -> single_flight -> origin(dir:/x)": this source and those below it.
  virtual std::string describe() const = 0;
};

/// Fetches and waits for the completion. Not to be called on a thread of the source itself.
Result<ChunkRef> fetch_and_wait(ChunkSource& source, const ChunkRequest& request);

}  // namespace thaw
