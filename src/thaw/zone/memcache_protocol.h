// SPDX-License-Identifier: Apache-2.0
//
// The part of memcached's meta protocol that the zone speaks (protocol.txt of memcached 1.6): get
// (mg), set (ms), delete (md), no-op (mn), and the lines that answer them. Answers come from the
// network and are parsed as hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thaw {

inline constexpr size_t kMemcacheKeyBytesMax = 250;
/// The longest line of an answer that is taken; memcached's own stay below.
inline constexpr size_t kMemcacheLineBytesMax = 512;
/// The largest value an answer may announce. memcached itself allows up to 1 GiB, a stripe is at
/// most 4 MiB and a header.
inline constexpr uint32_t kMemcacheValueBytesMax = 8 * 1024 * 1024;

/// 1 to 250 bytes, none of them a space or a control character.
bool is_memcache_key(std::string_view key);

// Each returns the request's line with its end; a set's value and "\r\n" follow it. The opaque
// number comes back with the answer. The key must be one.

/// Asks for the value.
std::string encode_memcache_get(std::string_view key, uint64_t opaque);
/// Stores `value_bytes` bytes, for `ttl_s` seconds or, with 0, until they are evicted.
std::string encode_memcache_set(std::string_view key, uint32_t value_bytes, uint32_t ttl_s,
                                uint64_t opaque);
std::string encode_memcache_delete(std::string_view key, uint64_t opaque);
std::string encode_memcache_noop();

struct MemcacheReply {
  enum class Kind {
    kValue,        // VA: value_bytes bytes and "\r\n" follow
    kDone,         // HD: stored, deleted, or found by a get that wants no value
    kMiss,         // EN: a get found nothing
    kNotFound,     // NF: nothing to delete
    kNotStored,    // NS, EX: a condition was not met
    kNoop,         // MN
    kServerError,  // SERVER_ERROR: the request failed, the next ones may go on
    kClientError,  // CLIENT_ERROR, ERROR: we were not understood, what follows cannot be trusted
  };
  Kind kind = Kind::kMiss;
  uint32_t value_bytes = 0;
  std::optional<uint64_t> opaque;  // memcached leaves it out of misses and errors
  std::string_view text;           // the line, for messages; as long as the caller's bytes live
};

/// One line without its "\r\n"; nullopt if it is no answer.
std::optional<MemcacheReply> parse_memcache_reply(std::string_view line);

}  // namespace thaw
