// SPDX-License-Identifier: Apache-2.0
//
// SecretBytes: memory for keys and plaintext. Whole pages of its own, kept out of core dumps
// (MADV_DONTDUMP), locked into RAM as far as RLIMIT_MEMLOCK allows, wiped before they are returned.
// There is no copy, no conversion to text, no comparison that stops early.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "thaw/base/bytes.h"

namespace thaw {

class SecretBytes {
 public:
  SecretBytes() = default;
  /// `size` zero bytes. Aborts when the machine has no memory left.
  explicit SecretBytes(size_t size);
  SecretBytes(SecretBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  ~SecretBytes() { release(); }

  static SecretBytes copy_of(ByteSpan bytes);
  /// From the kernel's random generator.
  static SecretBytes random(size_t size);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  MutableByteSpan span() { return {data_, size_}; }
  ByteSpan span() const { return {data_, size_}; }

  SecretBytes clone() const { return copy_of(span()); }
  /// Constant time for equal sizes.
  bool equals(ByteSpan other) const;

 private:
  void release();

  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Overwrites memory in a way the compiler does not remove.
void wipe(MutableByteSpan bytes);
/// Fills from the kernel's random generator; aborts if there is none.
void fill_random(MutableByteSpan bytes);

}  // namespace thaw
