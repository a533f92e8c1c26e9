// SPDX-License-Identifier: Apache-2.0
//
// ChunkUploader: puts sealed chunks into the store in groups, on threads of its own, so that a
// group's sync runs while the next one is sealed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/freeze/buffer_pool.h"
#include "thaw/freeze/first_error.h"
#include "thaw/store/object_store.h"

namespace thaw {

struct SealedChunk {
  ChunkId id;
  PooledBuffer ciphertext;
  size_t bytes = 0;
};

struct UploadStats {
  uint64_t chunks_created = 0;
  uint64_t chunks_existed = 0;
  uint64_t bytes_created = 0;
};

struct UploadLimits {
  size_t group_chunks_max = 0;
  size_t group_bytes_max = 0;
  unsigned threads = 1;
};

/// add() may be called from many threads. Chunks that wait are bounded by the pool their buffers
/// come from, which must have at least `group_chunks_max` buffers. Borrows the store and `error`.
class ChunkUploader {
 public:
  /// `group_put` is called after each group that was put, never on two threads at once. A failed
  /// put is set on `error`; once that has failed, groups are dropped instead of put.
  ChunkUploader(ObjectStore& store, uint64_t root_id, const UploadLimits& limits, FirstError& error,
                std::function<void()> group_put);
  /// Waits for the groups under way.
  ~ChunkUploader();
  ChunkUploader(const ChunkUploader&) = delete;
  ChunkUploader& operator=(const ChunkUploader&) = delete;

  /// Takes over a chunk that was not added before.
  void add(SealedChunk chunk);
  /// Puts what is left and waits: all chunks are durable unless `error` has failed. Call it once,
  /// when nobody adds any more.
  UploadStats finish();

 private:
  using Group = std::vector<SealedChunk>;
  struct State {
    Group filling;
    size_t filling_bytes = 0;
    std::deque<Group> full;
    bool closing = false;
    UploadStats stats;
  };

  void run();
  void put(const Group& group);
  void close_and_join();

  ObjectStore& store_;
  const uint64_t root_id_;
  const UploadLimits limits_;
  FirstError& error_;
  const std::function<void()> group_put_;
  Mutex group_put_mutex_;
  Mutex mutex_;
  std::condition_variable ready_;
  State state_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace thaw
