// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/stack.h"

#include <algorithm>
#include <thread>

#include "thaw/chunk/sealed_chunk.h"

namespace thaw {
namespace {

constexpr unsigned kThreadsMax = 1024;

}  // namespace

Result<void> TierOptions::validate() const {
  if (memory_bytes_max != 0 && memory_bytes_max < kChunkBytesMax) {
    return fail(ErrorCode::kInvalid,
                "the memory tier (memory_bytes_max) must be 0 or at least one chunk of 4 MiB");
  }
  return {};
}

Result<void> WorkerOptions::validate() const {
  if (threads > kThreadsMax) {
    return fail(ErrorCode::kInvalid,
                "threads must be 0 (choose) or at most " + std::to_string(kThreadsMax));
  }
  if (queue_max < 1024) return fail(ErrorCode::kInvalid, "queue_max must be at least 1024");
  return {};
}

unsigned WorkerOptions::thread_count() const {
  return threads != 0 ? threads : std::max(2u, std::thread::hardware_concurrency() + 1);
}

}  // namespace thaw
