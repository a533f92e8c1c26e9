// SPDX-License-Identifier: Apache-2.0
//
// ChunkUploader: puts sealed chunks into the store in groups, on threads of its own, while others
// are sealed. A group is what came while its thread put the one before (group commit): small where
// the store is fast, so that little is left to do when the last chunk is sealed; large where each
// call is slow, as a sync of a disk is.
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
  /// What is worth a call before the last chunk has come.
  size_t group_bytes_min = 0;
  size_t group_chunks_max = 0;
  size_t group_bytes_max = 0;  // a chunk that goes beyond is the group's last
  unsigned threads = 1;
};

/// add() may be called from many threads. Chunks that wait are bounded by the pool their buffers
/// come from, which must have room for `group_bytes_min`. Borrows the store and `error`.
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
    std::deque<SealedChunk> waiting;
    size_t waiting_bytes = 0;
    bool closing = false;
    UploadStats stats;
  };

  void run();
  /// The next group; empty when all is put.
  Group next_group();
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
