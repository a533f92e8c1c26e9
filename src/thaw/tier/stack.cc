// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/stack.h"

#include <algorithm>
#include <thread>

#include "thaw/base/log.h"

namespace thaw {
namespace {

constexpr unsigned kThreadsMax = 1024;

/// The configuration does not fit the file. Everything else is a disk that fails, is missing, full,
/// read-only or another process's: a cache is not worth a VM that does not resume.
bool is_misconfigured(ErrorCode code) {
  return code == ErrorCode::kInvalid || code == ErrorCode::kUnsupported;
}

}  // namespace

Result<void> TierOptions::validate() const {
  TRY(memory.validate());
  if (local) TRY(local->cache.validate());
  if (zone) TRY(zone->validate());
  TRY(origin.validate());
  if (fills_max == 0) return fail(ErrorCode::kInvalid, "fills_max must be at least 1");
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

Result<std::unique_ptr<TierStack>> TierStack::create(const ObjectStore& store, WorkerPool& workers,
                                                     const TierOptions& options) {
  TRY(options.validate());
  std::unique_ptr<TierStack> stack(new TierStack(options.fills_max));
  stack->origin_ = std::make_unique<OriginTier>(store, workers);
  ChunkSource* below = stack->origin_.get();
  if (options.origin_shape) {
    stack->shaped_ =
        std::make_unique<ShapedSource>(*options.origin_shape, options.seed, workers, *below);
    below = stack->shaped_.get();
  }
  stack->queue_ = std::make_unique<FairQueue>(options.origin, *below);
  below = stack->queue_.get();
  stack->fills_ = std::make_unique<WorkerPool>(1, options.fills_max);
  if (options.zone) {
    ASSIGN_OR_RETURN(stack->zone_client_, ZoneClient::create(*options.zone));
    stack->zone_ =
        std::make_unique<ZoneTier>(*stack->zone_client_, workers, *stack->fills_, *below);
    below = stack->zone_.get();
  }
  if (options.local) {
    Result<std::unique_ptr<DiskCache>> cache = DiskCache::open(options.local->cache);
    if (cache) {
      stack->disk_cache_ = std::move(*cache);
      stack->local_ = std::make_unique<LocalTier>(*stack->disk_cache_, options.local->verify_always,
                                                  workers, *stack->fills_, *below);
      below = stack->local_.get();
    } else if (is_misconfigured(cache.error().code)) {
      return fail(std::move(cache).error());
    } else {
      log_error("running without the disk cache: " + cache.error().message);
    }
  }
  stack->memory_ = std::make_unique<MemoryTier>(options.memory, *below);
  stack->top_ = std::make_unique<SingleFlight>(*stack->memory_);
  return stack;
}

void TierStack::close() {
  interrupt();
  if (top_) top_->close();
  fills_.reset();
}

void TierStack::finish_fills() { fills_->drain(); }

void TierStack::interrupt() {
  if (origin_) origin_->close();
}

}  // namespace thaw
