// SPDX-License-Identifier: Apache-2.0
//
// Sizes and counts that mean the same everywhere. The page of the formats is 4 KiB whatever page
// size the guest or its VMM uses.
#pragma once

#include <cstddef>
#include <cstdint>

namespace thaw {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

inline constexpr size_t kPageBytes = 4096;

constexpr uint64_t pages_for(uint64_t bytes) {
  return bytes / kPageBytes + (bytes % kPageBytes != 0);
}
constexpr bool is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }
constexpr uint64_t align_down(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}
/// A run of pages: [page, page + count).
struct PageRun {
  uint64_t page = 0;
  uint64_t count = 0;
  constexpr uint64_t end() const { return page + count; }
  friend constexpr bool operator==(const PageRun&, const PageRun&) = default;
};

}  // namespace thaw
