// SPDX-License-Identifier: Apache-2.0
//
// FaultyStore: an ObjectStore that fails as a plan says, over one that works. What it does follows
// from the plan's seed and the order of the calls, so a failure can be had again:
//   FaultyStore store(inner, {.seed = 7, .error_rate = 0.1});
//   SCOPED_TRACE(store.describe());
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/store/object_store.h"

namespace thaw {

enum class StoreOperation { kPut, kReplace, kGet, kExists, kRemove, kList };
inline constexpr size_t kStoreOperations = 6;
const char* to_string(StoreOperation operation);

/// What goes wrong. Rates are probabilities from 0 to 1 a call; a call meets at most one error and
/// at most one corruption.
struct FaultPlan {
  uint64_t seed = 1;

  /// Any call fails with `error` before it does anything.
  double error_rate = 0;
  ErrorCode error = ErrorCode::kUnavailable;
  /// A put or replacement takes effect and then fails, as when the answer gets lost.
  double lost_answer_rate = 0;
  /// A group of puts stops in the middle: some of it takes effect, then it fails.
  double partial_put_rate = 0;
  /// The n-th call (from 0, of any operation) fails with `error`, and every later one too if
  /// `fail_from_then_on`: a store that has gone or a disk that has become full.
  std::optional<uint64_t> fail_nth = std::nullopt;
  bool fail_from_then_on = false;
  /// Only these operations meet errors; all if empty.
  std::vector<StoreOperation> only = {};

  /// A read loses its end (get), or finds an object that is too short (get_into).
  double truncate_rate = 0;
  /// A read has one bit flipped.
  double flip_rate = 0;
  /// A read returns another object's bytes: of the same size for get_into.
  double swap_rate = 0;

  /// A call sleeps first, up to `delay_max`.
  double delay_rate = 0;
  std::chrono::microseconds delay_max{1000};

  /// One line that has the seed and what is not zero.
  std::string describe() const;
};

struct FaultCounts {
  std::array<uint64_t, kStoreOperations> calls{};  // by StoreOperation
  uint64_t errors = 0;
  uint64_t corruptions = 0;
  uint64_t delays = 0;
  uint64_t total_calls() const;
  uint64_t of(StoreOperation operation) const { return calls[static_cast<size_t>(operation)]; }
};

/// Borrows the inner store. Callable from many threads (then the order of calls, and so what fails,
/// is theirs).
class FaultyStore final : public ObjectStore {
 public:
  explicit FaultyStore(ObjectStore& inner, FaultPlan plan = {});

  /// Replaces the plan, and with it the seed; counts go on. `{}` heals the store.
  void set_plan(FaultPlan plan);
  FaultCounts counts() const;

  /// The inner store and the plan, with its seed.
  std::string describe() const override;
  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override;
  Result<void> replace(const std::string& key, ByteSpan data) override;
  Result<Bytes> get(const std::string& key, uint64_t bytes_max) const override;
  Result<void> get_into(const std::string& key, MutableByteSpan out) const override;
  Result<void> get_range(const std::string& key, uint64_t offset,
                         MutableByteSpan out) const override;
  Result<bool> exists(const std::string& key) const override;
  Result<void> remove(const std::string& key) override;
  Result<void> list(const std::string& prefix, const Visit& visit) const override;

 private:
  enum class Failure { kNone, kBefore, kAfter, kPartial };
  enum class Corruption { kNone, kTruncate, kFlip, kSwap };
  /// What one call meets, drawn when it begins.
  struct Fate {
    Failure failure = Failure::kNone;
    Corruption corruption = Corruption::kNone;
    ErrorCode error = ErrorCode::kUnavailable;
    std::string message;
    uint64_t random = 0;  // for the choice of a bit, a length, an object
  };
  struct State {
    FaultPlan plan;
    std::mt19937_64 random;
    FaultCounts counts;
    uint64_t calls_of_plan = 0;
  };

  /// A read of `out` with what the plan says; `inner_read` fills `out` from a key.
  Result<void> read(const std::string& key, MutableByteSpan out,
                    const std::function<Result<void>(const std::string& key)>& inner_read) const;
  /// Sleeps if the plan says so.
  Fate draw(StoreOperation operation, const std::string& key) const;
  /// The key of another object, of `bytes` bytes if given; nullopt if there is none.
  Result<std::optional<std::string>> other_key(const std::string& key, uint64_t random,
                                               std::optional<uint64_t> bytes) const;
  void count_corruption() const;

  ObjectStore& inner_;
  mutable Guarded<State> state_;
};

}  // namespace thaw
