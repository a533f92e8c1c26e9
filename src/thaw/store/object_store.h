// SPDX-License-Identifier: Apache-2.0
//
// ObjectStore: named immutable objects, the only thing thaw asks of a place to keep them. Any S3 or
// a directory will do. Every backend passes the same conformance suite
// (testing/object_store_conformance.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/deadline.h"
#include "thaw/base/result.h"

namespace thaw {

/// One object to be put. Borrows its bytes.
struct PutRequest {
  std::string key;
  ByteSpan data;
};

enum class PutOutcome { kCreated, kExisted };

/// Keys are '/'-separated paths of 1 to 512 bytes in [A-Za-z0-9._:@+/-], no empty part, none that
/// begins with '.' (validate_key). Every member may be called from many threads and many processes
/// at once. Errors name the object. A put is durable when it returns: it survives a power cut.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// "dir:/var/lib/thaw", for messages.
  virtual std::string describe() const = 0;

  /// Puts each object unless its key exists; the outcomes in the order of the requests. A reader
  /// sees a whole object or none, whatever happens to the writer. On an error some may have been
  /// put and some not. One call costs few syncs however many objects it has, so hand over groups.
  virtual Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) = 0;

  /// Puts or replaces one object as one step: a reader sees the old bytes or the new ones.
  virtual Result<void> replace(const std::string& key, ByteSpan data) = 0;

  /// The whole object; kNotFound, or kExhausted if it is larger than `bytes_max`.
  virtual Result<Bytes> get(const std::string& key, uint64_t bytes_max) const = 0;

  /// Reads the whole object into `out`, which must have exactly its size: kCorrupt if it does not,
  /// kNotFound if there is none.
  virtual Result<void> get_into(const std::string& key, MutableByteSpan out) const = 0;

  /// Reads `out.size()` bytes of the object from `offset`: kCorrupt if it ends before them.
  virtual Result<void> get_range(const std::string& key, uint64_t offset,
                                 MutableByteSpan out) const = 0;

  /// get_into() without holding a thread while the store is waited for: `done` is called exactly
  /// once, on this thread before the call returns or on one of the store's later, and should return
  /// soon. `out` must live until then. Past the deadline: kUnavailable. A store that answers at
  /// once, as a local directory does, need not override this.
  using GetDone = std::function<void(Result<void>)>;
  virtual void start_get(const std::string& key, MutableByteSpan out, Deadline deadline,
                         GetDone done) const;

  virtual Result<bool> exists(const std::string& key) const = 0;

  /// Removing what is not there succeeds.
  virtual Result<void> remove(const std::string& key) = 0;

  /// Removes each of them; on an error some may have been removed and some not. One call costs few
  /// requests however many keys it has.
  virtual Result<void> remove_all(std::span<const std::string> keys);

  /// Visits the keys that begin with `prefix` (a whole number of parts, with its final '/', or
  /// empty) in ascending order of their bytes; stops when `visit` fails and returns its error.
  /// Objects put or removed meanwhile may or may not be seen.
  using Visit = std::function<Result<void>(const std::string& key, uint64_t bytes)>;
  virtual Result<void> list(const std::string& prefix, const Visit& visit) const = 0;
};

/// kInvalid unless `key` obeys the rule above.
Result<void> validate_key(std::string_view key);
/// kInvalid unless list() takes `prefix`.
Result<void> validate_prefix(std::string_view prefix);

}  // namespace thaw
