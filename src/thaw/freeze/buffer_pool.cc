// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/buffer_pool.h"

namespace thaw {

PooledBuffer& PooledBuffer::operator=(PooledBuffer&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    memory_ = std::move(other.memory_);
  }
  return *this;
}

void PooledBuffer::release() {
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(std::move(memory_));
}

PooledBuffer BufferPool::acquire() {
  MutexLock lock(mutex_);
  if (idle_.empty() && buffers_left_ == 0) ++waits_;
  while (idle_.empty() && buffers_left_ == 0) lock.wait(returned_);
  if (!idle_.empty()) {
    // The one that came back last is the likeliest to be in a CPU cache.
    std::unique_ptr<std::byte[]> memory = std::move(idle_.back());
    idle_.pop_back();
    return PooledBuffer(this, std::move(memory));
  }
  --buffers_left_;
  return PooledBuffer(this, std::make_unique_for_overwrite<std::byte[]>(buffer_bytes_));
}

uint64_t BufferPool::waits() const {
  const MutexLock lock(mutex_);
  return waits_;
}

void BufferPool::give_back(std::unique_ptr<std::byte[]> memory) {
  {
    const MutexLock lock(mutex_);
    idle_.push_back(std::move(memory));
  }
  returned_.notify_one();
}

}  // namespace thaw
