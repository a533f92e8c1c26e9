// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/chunk_uploader.h"

#include <utility>

#include "thaw/base/check.h"
#include "thaw/store/catalog.h"

namespace thaw {

ChunkUploader::ChunkUploader(ObjectStore& store, uint64_t root_id, const UploadLimits& limits,
                             FirstError& error, std::function<void()> group_put)
    : store_(store),
      root_id_(root_id),
      limits_(limits),
      error_(error),
      group_put_(std::move(group_put)) {
  CHECK(limits.group_chunks_max > 0 && limits.group_bytes_max > 0 && limits.threads > 0);
  for (unsigned i = 0; i < limits.threads; ++i) threads_.emplace_back([this] { run(); });
}

ChunkUploader::~ChunkUploader() { close_and_join(); }

void ChunkUploader::add(SealedChunk chunk) {
  {
    const MutexLock lock(mutex_);
    state_.waiting_bytes += chunk.bytes;
    state_.waiting.push_back(std::move(chunk));
    if (state_.waiting_bytes < limits_.group_bytes_min) return;
  }
  ready_.notify_one();
}

UploadStats ChunkUploader::finish() {
  close_and_join();
  const MutexLock lock(mutex_);
  return state_.stats;
}

void ChunkUploader::close_and_join() {
  {
    const MutexLock lock(mutex_);
    state_.closing = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ChunkUploader::run() {
  for (Group group = next_group(); !group.empty(); group = next_group()) {
    // A dropped group gives its buffers back all the same, so nobody waits for them in vain.
    if (!error_.failed()) put(group);
  }
}

ChunkUploader::Group ChunkUploader::next_group() {
  MutexLock lock(mutex_);
  while (state_.waiting_bytes < limits_.group_bytes_min && !state_.closing) lock.wait(ready_);
  Group group;
  size_t bytes = 0;
  while (!state_.waiting.empty() && group.size() < limits_.group_chunks_max &&
         bytes < limits_.group_bytes_max) {
    bytes += state_.waiting.front().bytes;
    group.push_back(std::move(state_.waiting.front()));
    state_.waiting.pop_front();
  }
  state_.waiting_bytes -= bytes;
  return group;
}

void ChunkUploader::put(const Group& group) {
  std::vector<PutRequest> requests;
  requests.reserve(group.size());
  for (const SealedChunk& chunk : group) {
    requests.push_back({chunk_key(root_id_, chunk.id), {chunk.ciphertext.data(), chunk.bytes}});
  }
  Result<std::vector<PutOutcome>> outcomes = store_.put_if_absent(requests);
  if (!outcomes) {
    error_.set(std::move(outcomes).error());
    return;
  }
  CHECK(outcomes->size() == group.size());
  {
    const MutexLock lock(mutex_);
    for (size_t i = 0; i < group.size(); ++i) {
      if ((*outcomes)[i] == PutOutcome::kCreated) {
        ++state_.stats.chunks_created;
        state_.stats.bytes_created += group[i].bytes;
      } else {
        ++state_.stats.chunks_existed;
      }
    }
  }
  const MutexLock lock(group_put_mutex_);
  group_put_();
}

}  // namespace thaw
