// SPDX-License-Identifier: Apache-2.0
//
// FirstError: how threads that share one job tell each other that it has failed.
#pragma once

#include <atomic>
#include <optional>
#include <utility>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"

namespace thaw {

/// Keeps the first error and drops those that follow from it. Callable from many threads.
class FirstError {
 public:
  void set(Error error) {
    error_.with([&](std::optional<Error>& first) {
      if (!first) first = std::move(error);
    });
    failed_.store(true, std::memory_order_release);
  }
  /// True once the job has failed: cheap enough to ask before each chunk.
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  Result<void> result() const {
    return error_.with([](const std::optional<Error>& first) -> Result<void> {
      if (first) return fail(*first);
      return {};
    });
  }

 private:
  std::atomic<bool> failed_{false};
  Guarded<std::optional<Error>> error_;
};

}  // namespace thaw
