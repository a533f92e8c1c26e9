// SPDX-License-Identifier: Apache-2.0
//
// TcpFlow: one direction of one connection through the TCP proxy, with its delay, its speed and its
// wrong bits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

namespace thaw {

/// What happens to the bytes of one direction.
struct TcpFault {
  /// Each byte arrives that much later.
  std::chrono::microseconds delay{0};
  /// Of each connection; 0: as fast as it goes.
  uint64_t bytes_per_s = 0;
  /// One bit in about so many bytes is flipped: at positions that follow from the seed and the
  /// connection's number alone, the first within this many. 0: none.
  uint64_t flip_every_bytes = 0;
  /// A connection is reset once it has carried this many bytes under the plan. 0: never.
  uint64_t reset_after_bytes = 0;
};

/// Belongs to one thread. Borrows its two sockets, which do not block.
class TcpFlow {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// What may be on its way, before no more is read.
  static constexpr size_t kBytesMax = 8 << 20;

  enum class State {
    kOpen,
    kEnded,   // the sender has finished, and the receiver has been told
    kReset,   // as the plan says
    kBroken,  // a side has gone
  };

  TcpFlow(int from, int to) : from_(from), to_(to) {}

  /// From now on this, for bytes that are not read yet.
  void set_fault(const TcpFault& fault, uint64_t seed);
  /// Reads and writes what can be read and written now, but not so long that others starve.
  State pump();
  /// When to pump again although no socket is ready.
  std::optional<Time> wake_at() const;

  uint64_t bytes() const { return bytes_; }
  uint64_t flips() const { return flips_; }

 private:
  struct Piece {
    Time due;
    std::vector<std::byte> bytes;
    size_t sent = 0;
  };
  enum class Step { kMoved, kIdle, kReset, kBroken };
  Step read_one();
  Step write_one();
  void flip(std::vector<std::byte>& bytes);
  uint64_t next_gap();

  const int from_;
  const int to_;
  TcpFault fault_;
  std::mt19937_64 random_;
  uint64_t until_flip_ = 0;
  uint64_t until_reset_ = 0;
  std::deque<Piece> pieces_;
  size_t waiting_bytes_ = 0;
  Time free_at_{};  // when the link has carried what was sent
  bool blocked_ = false;
  bool unfinished_ = false;  // pump() stopped before the sockets did
  bool end_read_ = false;
  bool end_told_ = false;
  uint64_t bytes_ = 0;
  uint64_t flips_ = 0;
};

}  // namespace thaw
