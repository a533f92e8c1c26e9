// SPDX-License-Identifier: Apache-2.0
//
// BufferPool: a fixed number of equal buffers. A thread that needs one when none is left waits, so
// the pool is both the bound on memory and the backpressure of the pipeline.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/guarded.h"

namespace thaw {

class BufferPool;

/// A buffer that returns to its pool when it goes. Movable; must not outlive the pool.
class PooledBuffer {
 public:
  PooledBuffer() = default;
  PooledBuffer(PooledBuffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), memory_(std::move(other.memory_)) {}
  PooledBuffer& operator=(PooledBuffer&& other) noexcept;
  ~PooledBuffer() { release(); }

  std::byte* data() const { return memory_.get(); }

 private:
  friend class BufferPool;
  PooledBuffer(BufferPool* pool, std::unique_ptr<std::byte[]> memory)
      : pool_(pool), memory_(std::move(memory)) {}
  void release();

  BufferPool* pool_ = nullptr;
  std::unique_ptr<std::byte[]> memory_;
};

/// Callable from many threads.
class BufferPool {
 public:
  /// Memory is taken as buffers are asked for, never for more than `buffers_max` of them.
  BufferPool(size_t buffers_max, size_t buffer_bytes)
      : buffer_bytes_(buffer_bytes), buffers_left_(buffers_max) {}

  size_t buffer_bytes() const { return buffer_bytes_; }
  /// Waits until a buffer is free. Its content is unspecified.
  PooledBuffer acquire();
  /// How often acquire() had to wait.
  uint64_t waits() const;

 private:
  friend class PooledBuffer;
  void give_back(std::unique_ptr<std::byte[]> memory);

  const size_t buffer_bytes_;
  mutable Mutex mutex_;
  std::condition_variable returned_;
  size_t buffers_left_ GUARDED_BY(mutex_);  // that were never made
  std::vector<std::unique_ptr<std::byte[]>> idle_ GUARDED_BY(mutex_);
  uint64_t waits_ GUARDED_BY(mutex_) = 0;
};

}  // namespace thaw
