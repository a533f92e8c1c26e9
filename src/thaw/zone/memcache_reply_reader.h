// SPDX-License-Identifier: Apache-2.0
//
// MemcacheReplyReader: cuts a stream of bytes into answers without reading a byte itself. It says
// where the next bytes belong, so that a value goes straight into the memory of whoever asked for
// it; whoever owns the connection reads them there and reports how many came.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/zone/memcache_protocol.h"

namespace thaw {

/// One thread at a time.
class MemcacheReplyReader {
 public:
  /// Where a value belongs: its first bytes to `head`, the rest to `body`.
  struct ValuePlace {
    MutableByteSpan head{};
    MutableByteSpan body{};
  };
  class Handler {
   public:
    virtual ~Handler() = default;
    /// A value of reply.value_bytes follows. Its place, of exactly this size; nullopt has it thrown
    /// away. An error ends the stream.
    virtual Result<std::optional<ValuePlace>> on_value(const MemcacheReply& reply) = 0;
    /// An answer is complete, its value included. Never calls the reader but for drop_value() in
    /// other answers' behalf, which is then without effect.
    virtual Result<void> on_reply(const MemcacheReply& reply) = 0;
  };

  explicit MemcacheReplyReader(Handler& handler) : handler_(handler) {}

  /// Forgets everything: for a new connection.
  void reset();

  /// If not 0: this many of the next bytes are of no use. They may be skipped unread and reported
  /// by discarded(), or be received into buffers() as well.
  uint64_t discardable() const { return discarding() ? value_left() : 0; }
  void discarded(uint64_t bytes);

  /// Where the next bytes belong, in this order; some may be empty, not all. Valid until the next
  /// call.
  std::array<MutableByteSpan, 3> buffers();
  /// `bytes` bytes were put into the buffers. kCorrupt for what is no answer: the stream cannot be
  /// trusted any more, and the reader wants reset().
  Result<void> received(size_t bytes);

  /// The place of the value that is being received is not written to any more.
  void drop_value() { place_.reset(); }
  bool in_value() const { return state_ == State::kValue; }

 private:
  enum class State { kLine, kValue, kValueEnd };
  /// Room for a line, and for what may come with it: a stripe's header.
  static constexpr size_t kStagingBytes = 2 * kMemcacheLineBytesMax;

  bool discarding() const { return state_ == State::kValue && !place_; }
  uint64_t value_left() const { return reply_.value_bytes - value_got_; }
  Result<void> take_staged();
  Result<bool> take_line();
  Result<void> finish_reply();
  void copy_staged_value();
  ByteSpan staged() const { return std::span(staging_).first(end_).subspan(begin_); }

  Handler& handler_;
  State state_ = State::kLine;
  MemcacheReply reply_;  // its text is empty once the line has gone
  uint64_t value_got_ = 0;
  std::optional<ValuePlace> place_;
  std::array<std::byte, kStagingBytes> staging_{};
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace thaw
