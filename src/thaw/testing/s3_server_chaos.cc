// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_chaos.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "thaw/base/check.h"

namespace thaw {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): well-mixed numbers from consecutive ones, so that a
/// request's fate needs its number and not the fates before it.
class SplitMix {
 public:
  SplitMix(uint64_t seed, uint64_t number) : state_(seed) {
    state_ = next() + number * kStep;
    next();
  }
  uint64_t next() {
    state_ += kStep;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
  uint64_t state_;
};

struct Rate {
  S3Fault fault;
  double S3Chaos::* rate;
};
constexpr Rate kRates[] = {
    {S3Fault::kError, &S3Chaos::error_rate},
    {S3Fault::kThrottle, &S3Chaos::throttle_rate},
    {S3Fault::kForbid, &S3Chaos::forbid_rate},
    {S3Fault::kConflict, &S3Chaos::conflict_rate},
    {S3Fault::kReset, &S3Chaos::reset_rate},
    {S3Fault::kGarbage, &S3Chaos::garbage_rate},
    {S3Fault::kLostAnswer, &S3Chaos::lost_answer_rate},
    {S3Fault::kStall, &S3Chaos::stall_rate},
    {S3Fault::kCut, &S3Chaos::cut_rate},
    {S3Fault::kTruncate, &S3Chaos::truncate_rate},
    {S3Fault::kWrongLength, &S3Chaos::wrong_length_rate},
    {S3Fault::kCorrupt, &S3Chaos::corrupt_rate},
    {S3Fault::kStale, &S3Chaos::stale_rate},
};

/// False where the fault has no meaning for the operation.
bool can_meet(S3Operation operation, S3Fault fault) {
  switch (fault) {
    case S3Fault::kConflict:
      return operation == S3Operation::kPut;
    case S3Fault::kLostAnswer:
      return operation == S3Operation::kPut || operation == S3Operation::kDelete ||
             operation == S3Operation::kDeleteMany || operation == S3Operation::kPutBucket;
    case S3Fault::kStall:
    case S3Fault::kCut:
    case S3Fault::kTruncate:
      return operation == S3Operation::kGet || operation == S3Operation::kList ||
             operation == S3Operation::kDeleteMany;
    case S3Fault::kWrongLength:
    case S3Fault::kCorrupt:
    case S3Fault::kStale:
      return operation == S3Operation::kGet;
    default:
      return true;
  }
}

}  // namespace

const char* to_string(S3Operation operation) {
  static constexpr const char* kNames[kS3Operations] = {
      "put", "get", "head", "delete", "delete_many", "list", "put_bucket", "head_bucket", "other"};
  return kNames[static_cast<size_t>(operation)];
}

const char* to_string(S3Fault fault) {
  static constexpr const char* kNames[kS3Faults] = {
      "none",        "error", "throttle", "forbid",   "conflict",     "reset",   "garbage",
      "lost_answer", "stall", "cut",      "truncate", "wrong_length", "corrupt", "stale"};
  return kNames[static_cast<size_t>(fault)];
}

std::string S3Chaos::describe() const {
  std::ostringstream text;
  text << "S3 chaos: seed " << seed;
  for (const Rate& rate : kRates) {
    if (this->*rate.rate > 0) text << ", " << to_string(rate.fault) << ' ' << this->*rate.rate;
  }
  if (delete_error_rate > 0) text << ", delete_error " << delete_error_rate;
  if (delay.count() > 0) text << ", delay " << delay.count() << " us";
  if (shape) {
    text << ", shape " << shape->p50_ms << '/' << shape->p99_ms << '/' << shape->p999_ms << " ms";
  }
  if (delay_rate < 1) text << ", delays " << delay_rate;
  if (hold) text << ", held";
  for (const S3Operation operation : only) text << ", of " << to_string(operation);
  if (!key_prefix.empty()) text << ", of keys " << key_prefix << '*';
  if (first > 0) text << ", from request " << first;
  if (count != std::numeric_limits<uint64_t>::max()) text << ", of " << count << " requests";
  return text.str();
}

S3Fates::S3Fates(S3Chaos plan) : plan_(std::move(plan)) {
  double sum = 0;
  for (const Rate& rate : kRates) sum += plan_.*rate.rate;
  CHECK(sum <= 1.0 + 1e-9);
  if (plan_.shape) link_.emplace(*plan_.shape, plan_.seed);
}

bool S3Fates::concerns(S3Operation operation, std::string_view key) const {
  if (!plan_.only.empty() &&
      std::find(plan_.only.begin(), plan_.only.end(), operation) == plan_.only.end()) {
    return false;
  }
  return key.starts_with(plan_.key_prefix);
}

S3Fate S3Fates::next(S3Operation operation, std::string_view key) {
  S3Fate fate;
  if (!concerns(operation, key)) return fate;
  fate.number = matched_++;
  SplitMix random(plan_.seed, fate.number);
  double which = random.unit();
  const double delayed = random.unit();
  fate.random = random.next();
  if (fate.number < plan_.first || fate.number - plan_.first >= plan_.count) return fate;
  fate.delayed = delayed < plan_.delay_rate;
  for (const Rate& rate : kRates) {
    if (which < plan_.*rate.rate) {
      if (can_meet(operation, rate.fault)) fate.fault = rate.fault;
      break;
    }
    which -= plan_.*rate.rate;
  }
  return fate;
}

std::chrono::steady_clock::time_point S3Fates::due(std::chrono::steady_clock::time_point now,
                                                   uint64_t answer_bytes) {
  const auto fixed = now + plan_.delay;
  return link_ ? std::max(fixed, link_->arrival(now, answer_bytes) + plan_.delay) : fixed;
}

bool S3Fates::keeps(const S3Fate& fate, size_t index) const {
  return SplitMix(fate.random, index).unit() < plan_.delete_error_rate;
}

}  // namespace thaw
