// SPDX-License-Identifier: Apache-2.0
//
// StripeNode: one node of the zone as one loop sees it. The connection, a fake, or a decorator.
#pragma once

#include <functional>
#include <memory>

#include "thaw/base/bytes.h"
#include "thaw/base/deadline.h"
#include "thaw/zone/stripe.h"

namespace thaw {

enum class StripeOutcome {
  kOk,           // got, stored or removed
  kMiss,         // the node does not have it
  kCorrupt,      // the node gave something else under the key, or damaged
  kTimeout,      // no answer by the deadline
  kFailed,       // the connection failed meanwhile
  kNotAccepted,  // the node answered with an error: no memory, or too large for it
  kRefused,      // not asked: the node is down, or a limit is reached
  kAbandoned,    // not waited for
};
const char* to_string(StripeOutcome outcome);

/// Belongs to its loop's thread; so do the callbacks. A request has a number; 0 says that it was
/// refused at once (the node is down, its breaker is open, a limit is reached) and that `done` will
/// not be called. Else `done` is called exactly once, never inside the call that began it, unless
/// the request is abandoned. The node must not be destroyed inside a callback; destroying it closes
/// it.
class StripeNode {
 public:
  using RequestId = uint64_t;
  using Done = std::function<void(StripeOutcome)>;

  virtual ~StripeNode() = default;

  /// Receives the stripe's payload into `out` (payload_bytes() of them) and checks it. Whatever the
  /// outcome, `out` may have been written to.
  virtual RequestId get(const StripeId& id, MutableByteSpan out, Deadline deadline, Done done) = 0;
  /// Stores the stripe. `keep_alive` holds header and payload; the node may keep it past `done`.
  virtual RequestId set(const StripeId& id, ByteSpan header, ByteSpan payload,
                        std::shared_ptr<const void> keep_alive, Deadline deadline, Done done) = 0;
  virtual RequestId remove(const StripeId& id, Deadline deadline, Done done) = 0;
  /// The answer is no longer wanted: `done` is not called, and once this returns nothing is written
  /// to the request's `out`. Numbers that are done, or 0, are ignored.
  virtual void abandon(RequestId request) = 0;
  /// Ends all that is under way with kFailed, and refuses what comes.
  virtual void close() = 0;
};

}  // namespace thaw
