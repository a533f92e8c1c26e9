// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/circuit_breaker.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {
namespace {

constexpr double kJitter = 0.25;
/// Enough to reach any maximum from a millisecond.
constexpr uint32_t kDoublingsMax = 31;

}  // namespace

Result<void> BreakerOptions::validate() const {
  if (failures_to_open == 0) {
    return fail(ErrorCode::kInvalid, "a breaker cannot open after 0 failures; give 1 or more");
  }
  if (cool_down_ms == 0 || cool_down_ms > cool_down_ms_max) {
    return fail(ErrorCode::kInvalid,
                "a breaker's cool_down_ms must be from 1 to its cool_down_ms_max");
  }
  return {};
}

void CircuitBreaker::on_success() {
  if (state_ != State::kClosed) return;
  failures_ = 0;
  if (doublings_ != 0 && ++successes_ >= options_.successes_to_forget) doublings_ = 0;
}

void CircuitBreaker::on_failure(Time now) {
  successes_ = 0;
  if (state_ == State::kOpen) return;
  if (state_ == State::kProbing) {
    doublings_ = std::min(doublings_ + 1, kDoublingsMax);
    open(now);
    return;
  }
  if (++failures_ >= options_.failures_to_open) open(now);
}

bool CircuitBreaker::begin_probe(Time now) {
  if (state_ != State::kOpen || now < probe_at_) return false;
  state_ = State::kProbing;
  return true;
}

void CircuitBreaker::on_probe_success() {
  if (state_ != State::kProbing) return;
  state_ = State::kClosed;
  failures_ = 0;
  successes_ = 0;
}

void CircuitBreaker::open(Time now) {
  state_ = State::kOpen;
  failures_ = 0;
  ++times_opened_;
  const uint64_t cool_down_ms =
      std::min<uint64_t>(uint64_t{options_.cool_down_ms} << doublings_, options_.cool_down_ms_max);
  const double factor = std::uniform_real_distribution<double>(1 - kJitter, 1 + kJitter)(random_);
  probe_at_ = now + std::chrono::microseconds(
                        static_cast<int64_t>(static_cast<double>(cool_down_ms) * 1000 * factor));
}

}  // namespace thaw
