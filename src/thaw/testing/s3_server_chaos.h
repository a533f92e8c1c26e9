// SPDX-License-Identifier: Apache-2.0
//
// S3Chaos: what goes wrong at the fake S3 server. What a request meets follows from the plan's seed
// and the request's number among those that the plan concerns, so a failure can be had again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/latency_shape.h"

namespace thaw {

enum class S3Operation {
  kPut,
  kGet,
  kHead,
  kDelete,
  kDeleteMany,
  kList,
  kPutBucket,
  kHeadBucket,
  kOther,  // no operation of the server: always refused
};
inline constexpr size_t kS3Operations = 9;
const char* to_string(S3Operation operation);

enum class S3Fault {
  kNone,
  kError,        // 500 InternalError, nothing done
  kThrottle,     // 503 SlowDown, nothing done
  kForbid,       // 403 AccessDenied, nothing done
  kConflict,     // 409 ConditionalRequestConflict, nothing done (put)
  kReset,        // the connection is reset before an answer, nothing done
  kGarbage,      // an answer that is no S3: another body, no XML, no HTTP; nothing done
  kLostAnswer,   // done, then the connection is closed without an answer (put and deletes)
  kStall,        // the headers, then nothing
  kCut,          // the connection is reset in the middle of the body
  kTruncate,     // the connection ends in the middle of the body
  kWrongLength,  // a whole object of another length (get)
  kCorrupt,      // one bit of the body is another (get)
  kStale,        // an older version, or else another object (get)
};
inline constexpr size_t kS3Faults = 14;
const char* to_string(S3Fault fault);

/// Rates are probabilities from 0 to 1 a request; their sum is at most 1, as a request meets one
/// fault at most. A fault that cannot happen to a request (a stale answer where there is one object
/// of one version) does not.
struct S3Chaos {
  uint64_t seed = 1;

  double error_rate = 0;
  double throttle_rate = 0;
  double forbid_rate = 0;
  double conflict_rate = 0;
  double reset_rate = 0;
  double garbage_rate = 0;
  double lost_answer_rate = 0;
  double stall_rate = 0;
  double cut_rate = 0;
  double truncate_rate = 0;
  double wrong_length_rate = 0;
  double corrupt_rate = 0;
  double stale_rate = 0;
  /// Each key of a POST ?delete on its own: stays, and the answer says InternalError for it.
  double delete_error_rate = 0;

  /// Before the answer begins: `delay`, and what `shape` says, for this share of the requests.
  std::chrono::microseconds delay{0};
  std::optional<LatencyShape> shape = std::nullopt;
  double delay_rate = 1;
  /// Answers wait until the plan is replaced, for tests that need requests under way.
  bool hold = false;
  /// A stalled answer ends after this, by a closed connection.
  std::chrono::milliseconds stall_max{60'000};

  /// Which requests the plan concerns: these operations (all if empty), keys that begin so (of
  /// requests that have a key or a prefix), and of these the ones numbered from `first`.
  std::vector<S3Operation> only = {};
  std::string key_prefix = {};
  uint64_t first = 0;
  uint64_t count = std::numeric_limits<uint64_t>::max();

  /// One line that has the seed and what is not at its default.
  std::string describe() const;
};

/// What one request meets.
struct S3Fate {
  uint64_t number = 0;  // among the requests that the plan concerns
  S3Fault fault = S3Fault::kNone;
  bool delayed = false;
  uint64_t random = 0;  // for the choice of a bit, a length, an object
};

/// Gives the requests of one plan their fates. Belongs to one thread.
class S3Fates {
 public:
  explicit S3Fates(S3Chaos plan);
  const S3Chaos& plan() const { return plan_; }

  S3Fate next(S3Operation operation, std::string_view key);
  /// When the answer to a delayed request may begin.
  std::chrono::steady_clock::time_point due(std::chrono::steady_clock::time_point now,
                                            uint64_t answer_bytes);
  /// Whether this key of a POST ?delete stays.
  bool keeps(const S3Fate& fate, size_t index) const;

 private:
  bool concerns(S3Operation operation, std::string_view key) const;

  S3Chaos plan_;
  std::optional<ShapedLink> link_;
  uint64_t matched_ = 0;
};

}  // namespace thaw
