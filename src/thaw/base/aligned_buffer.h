// SPDX-License-Identifier: Apache-2.0
//
// AlignedBuffer: page-aligned bytes that are not cleared first: for chunks, which are read into
// whole and may be read with direct I/O.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"

namespace thaw {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Uninitialised.
  explicit AlignedBuffer(size_t size)
      : bytes_(static_cast<std::byte*>(::operator new(size, std::align_val_t{kPageBytes}))),
        size_(size) {}

  size_t size() const { return size_; }
  std::byte* data() { return bytes_.get(); }
  MutableByteSpan span() { return {bytes_.get(), size_}; }
  ByteSpan span() const { return {bytes_.get(), size_}; }

 private:
  struct Delete {
    void operator()(std::byte* bytes) const {
      ::operator delete(bytes, std::align_val_t{kPageBytes});
    }
  };
  std::unique_ptr<std::byte, Delete> bytes_;
  size_t size_ = 0;
};

}  // namespace thaw
