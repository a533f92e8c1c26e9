// SPDX-License-Identifier: Apache-2.0
//
// Pool: records by number; a number is used again when its record is gone.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace thaw {

/// Belongs to one thread.
template <typename T>
class Pool {
 public:
  uint32_t add(T value) {
    if (free_.empty()) {
      all_.push_back(std::move(value));
      return static_cast<uint32_t>(all_.size() - 1);
    }
    const uint32_t number = free_.back();
    free_.pop_back();
    all_[number] = std::move(value);
    return number;
  }
  void remove(uint32_t number) { free_.push_back(number); }
  T& operator[](uint32_t number) { return all_[number]; }

 private:
  std::vector<T> all_;
  std::vector<uint32_t> free_;
};

}  // namespace thaw
