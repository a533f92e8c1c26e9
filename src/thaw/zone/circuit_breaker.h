// SPDX-License-Identifier: Apache-2.0
//
// CircuitBreaker: when to stop asking a node that fails, and when to ask it again. Closed, requests
// pass; failures in a row open it; open, all are refused until a cool-down is over; then one probe
// decides. The time is the caller's, so that tests need no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "thaw/base/result.h"

namespace thaw {

struct BreakerOptions {
  uint32_t failures_to_open = 5;  // in a row
  uint32_t cool_down_ms = 500;    // the first; each probe that fails doubles it
  uint32_t cool_down_ms_max = 10'000;
  /// After this many successes in a row an earlier doubling is forgotten.
  uint32_t successes_to_forget = 100;

  Result<void> validate() const;
};

/// Belongs to one thread.
class CircuitBreaker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class State { kClosed, kOpen, kProbing };

  /// `seed` jitters the cool-downs by up to a quarter either way, so that workers do not probe a
  /// node that comes back all at once.
  CircuitBreaker(const BreakerOptions& options, uint64_t seed) : options_(options), random_(seed) {}

  State state() const { return state_; }
  /// When an open breaker wants its probe.
  Time probe_at() const { return probe_at_; }
  uint64_t times_opened() const { return times_opened_; }

  /// A request was answered. Ignored unless closed: an answer to an old request decides nothing.
  void on_success();
  /// A request failed, or the connection did. Ignored while open; a probe's failure opens again.
  void on_failure(Time now);
  /// The cool-down is over and the probe is sent. True if it was due.
  bool begin_probe(Time now);
  /// The probe was answered: closed.
  void on_probe_success();

 private:
  void open(Time now);

  const BreakerOptions options_;
  std::mt19937_64 random_;
  State state_ = State::kClosed;
  uint32_t failures_ = 0;
  uint32_t successes_ = 0;
  uint32_t doublings_ = 0;
  uint64_t times_opened_ = 0;
  Time probe_at_{};
};

}  // namespace thaw
