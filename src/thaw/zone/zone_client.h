// SPDX-License-Identifier: Apache-2.0
//
// ZoneClient: chunks kept as erasure-coded stripes in the memory of a fleet of stock memcached
// servers, one stripe a node. A get asks all k + m nodes at once and is done with the first k good
// answers; nothing is asked twice. A zone that is slow, broken or gone is a miss: slower, never
// wrong, never an error.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/deadline.h"
#include "thaw/base/gate.h"
#include "thaw/zone/encoded_chunk.h"
#include "thaw/zone/stripe_set.h"
#include "thaw/zone/zone_check.h"
#include "thaw/zone/zone_loop.h"
#include "thaw/zone/zone_options.h"
#include "thaw/zone/zone_status.h"

namespace thaw {

/// Callable from many threads. Callbacks come once each, on a loop's thread or inside the call:
/// they must be short and must not call set_nodes(), check() or the destructor.
class ZoneClient {
 public:
  /// The stripes of a hit, to be assembled by a worker; null for a miss.
  using GetDone = std::function<void(std::unique_ptr<StripeSet>)>;
  using CountDone = std::function<void(size_t stripes)>;
  enum class CheckMode { kLook, kRepair };

  /// Starts the loops and begins to connect. A dead node is no error; bad options are.
  static Result<std::unique_ptr<ZoneClient>> create(const ZoneOptions& options);
  /// Ends what is under way: gets miss, puts store what they stored.
  ~ZoneClient();
  ZoneClient(const ZoneClient&) = delete;
  ZoneClient& operator=(const ZoneClient&) = delete;

  /// Looks for a chunk of `pages` (1 to kChunkPagesMax). A miss at the latest at the deadline or
  /// after get_timeout_ms; at once if too many gets are under way. Stripes that are found corrupt
  /// are deleted.
  void get(const ChunkId& chunk, uint32_t pages, Deadline deadline, GetDone done);
  /// The chunk's ciphertext, see StripeSet::assemble(). The caller verifies it against the name,
  /// and calls remove() when it does not bear it.
  static Result<AlignedBuffer> assemble(std::unique_ptr<StripeSet> stripes) {
    return std::move(*stripes).assemble();
  }

  /// Stores a chunk's stripes; `done` gets how many were. Parity and checksums are made here, on
  /// the caller's thread. `keep_alive` holds the ciphertext until all is sent. Over
  /// put_bytes_in_flight_max, or with stripes larger than an item may be, nothing is done (and
  /// counted): the zone is a cache, the caller loses nothing.
  void put(const ChunkId& chunk, ByteSpan ciphertext, std::shared_ptr<const void> keep_alive,
           CountDone done);
  /// Deletes a chunk's stripes; `done` gets how many there were.
  void remove(const ChunkId& chunk, uint32_t pages, CountDone done);

  /// Whether chunks of so many pages can be kept: kExhausted says which memcached option to raise.
  Result<void> fits(uint32_t pages) const;

  /// Reads all stripes of a chunk and judges them (zone_check.h). `known` is its ciphertext, if the
  /// caller has it, verified. kRepair rewrites what is missing or corrupt where the ciphertext is
  /// known or can be had, and else deletes what is corrupt. Blocks for at most two timeouts.
  ChunkCheck check(const ChunkId& chunk, uint32_t pages, std::optional<ByteSpan> known,
                   CheckMode mode);

  /// Other nodes from now on. What stays where it was keeps its connections; chunks find their
  /// stripes by the new placement. kInvalid changes nothing.
  Result<void> set_nodes(const std::vector<ZoneNodeAddress>& nodes);

  ZoneStatus status() const;
  StripeShape shape() const { return shape_; }

 private:
  struct Counters {
    std::atomic<uint64_t> gets{0};
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> hits_degraded{0};
    std::atomic<uint64_t> misses{0};
    std::atomic<uint64_t> gets_refused{0};
    std::atomic<uint64_t> gets_unusable{0};
    std::atomic<uint64_t> gets_in_flight{0};
    std::atomic<uint64_t> puts{0};
    std::atomic<uint64_t> puts_complete{0};
    std::atomic<uint64_t> puts_refused{0};
    std::atomic<uint64_t> puts_too_large{0};
    std::atomic<uint64_t> put_bytes_in_flight{0};
    std::atomic<uint64_t> removes{0};
  };
  /// One get, put or removal under way; its end lets the destructor go on.
  struct Call {
    Gate::Pass pass;
    std::unique_ptr<StripeSet> stripes;
    GetDone get_done;
    CountDone count_done;
  };

  explicit ZoneClient(const ZoneOptions& options);
  static Result<std::shared_ptr<const Fleet>> make_fleet(const std::vector<ZoneNodeAddress>& nodes,
                                                         StripeShape shape, const Fleet* before);
  ZoneLoop& next_loop();
  std::shared_ptr<Call> begin_call();
  void start_get(ZoneLoop& loop, std::shared_ptr<Call> call, Deadline deadline);
  void finish_get(Call& call, const StripeOutcomes& outcomes);
  Deadline set_deadline() const;
  unsigned write_stripes(const std::shared_ptr<const EncodedChunk>& encoded,
                         const std::vector<bool>& wanted);
  unsigned remove_stripes(const ChunkId& chunk, uint32_t pages, const std::vector<bool>& wanted);
  StripeOutcomes read_all(StripeSet& stripes);
  template <typename Begin>
  StripeOutcomes fan_out_and_wait(const ChunkId& chunk, Begin begin);

  const ZoneOptions options_;
  const StripeShape shape_;
  // Shared with the stripe sets, which callers may keep for longer than the client.
  const std::shared_ptr<const ReedSolomon> code_;
  Counters counters_;
  std::atomic<uint64_t> turn_{0};
  std::vector<std::unique_ptr<ZoneLoop>> loops_;
  Resolver resolver_;   // goes before the loops, to which its answers are posted
  Mutex fleet_change_;  // one set_nodes() at a time
  Guarded<std::shared_ptr<const Fleet>> fleet_;
  Gate gate_;
};

}  // namespace thaw
