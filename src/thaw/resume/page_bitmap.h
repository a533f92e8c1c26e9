// SPDX-License-Identifier: Apache-2.0
//
// PageBitmap: one bit a page, set and read by many threads. Bits say nothing about other memory:
// every access is relaxed, and whoever needs order has it from elsewhere (the install gate, the
// kernel).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "thaw/base/units.h"

namespace thaw {

class PageBitmap {
 public:
  explicit PageBitmap(uint64_t pages) : words_((pages + 63) / 64) {}

  bool test(uint64_t page) const {
    return (words_[page / 64].load(std::memory_order_relaxed) & bit(page)) != 0;
  }
  void set(uint64_t page) { words_[page / 64].fetch_or(bit(page), std::memory_order_relaxed); }
  void clear(uint64_t page) { words_[page / 64].fetch_and(~bit(page), std::memory_order_relaxed); }

  void set(PageRun run) {
    for_each_word(run, [&](size_t word, uint64_t mask) {
      words_[word].fetch_or(mask, std::memory_order_relaxed);
    });
  }
  void clear(PageRun run) {
    for_each_word(run, [&](size_t word, uint64_t mask) {
      words_[word].fetch_and(~mask, std::memory_order_relaxed);
    });
  }
  uint64_t count() const {
    uint64_t total = 0;
    for (const auto& word : words_) {
      total += static_cast<uint64_t>(__builtin_popcountll(word.load(std::memory_order_relaxed)));
    }
    return total;
  }

 private:
  static constexpr uint64_t bit(uint64_t page) { return uint64_t{1} << (page % 64); }

  template <typename F>
  static void for_each_word(PageRun run, F&& apply) {
    uint64_t page = run.page;
    while (page < run.end()) {
      const uint64_t in_word = page % 64;
      const uint64_t take = std::min<uint64_t>(64 - in_word, run.end() - page);
      const uint64_t ones = take == 64 ? ~uint64_t{0} : (uint64_t{1} << take) - 1;
      apply(static_cast<size_t>(page / 64), ones << in_word);
      page += take;
    }
  }

  std::vector<std::atomic<uint64_t>> words_;
};

}  // namespace thaw
