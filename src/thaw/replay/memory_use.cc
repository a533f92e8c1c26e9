// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/memory_use.h"

#include <charconv>
#include <optional>

#include "thaw/base/units.h"

namespace thaw {
namespace {

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// "7f0000000000-7f0010000000 rw-p ...".
std::optional<Range> mapping_of(std::string_view line) {
  Range range;
  const char* const last = line.data() + line.size();
  const auto begin = std::from_chars(line.data(), last, range.begin, 16);
  if (begin.ec != std::errc() || begin.ptr == last || *begin.ptr != '-') return std::nullopt;
  const auto end = std::from_chars(begin.ptr + 1, last, range.end, 16);
  return end.ec == std::errc() ? std::optional(range) : std::nullopt;
}

/// "Pss:      123 kB", in bytes.
uint64_t bytes_of(std::string_view line) {
  const size_t digit = line.find_first_of("0123456789");
  uint64_t kib = 0;
  if (digit != std::string_view::npos) {
    std::from_chars(line.data() + digit, line.data() + line.size(), kib);
  }
  return kib * kKiB;
}

}  // namespace

MemoryUse memory_use(std::string_view smaps, uint64_t begin, uint64_t end) {
  MemoryUse use;
  bool counted = false;
  while (!smaps.empty()) {
    const std::string_view line = smaps.substr(0, smaps.find('\n'));
    smaps.remove_prefix(line.size() < smaps.size() ? line.size() + 1 : line.size());
    if (const auto mapping = mapping_of(line)) {
      counted = mapping->begin < end && mapping->end > begin;
    } else if (counted && line.starts_with("Private_")) {
      // Private_Hugetlb counts none of the other two's pages.
      use.private_bytes += bytes_of(line);
    } else if (counted && line.starts_with("Pss:")) {
      use.share_bytes += bytes_of(line);
    }
  }
  return use;
}

}  // namespace thaw
