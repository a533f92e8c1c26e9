// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/memcache_protocol.h"

#include <algorithm>
#include <charconv>

#include "thaw/base/check.h"

namespace thaw {
namespace {

/// Takes the word up to the next space.
std::string_view take_word(std::string_view& rest) {
  const size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

/// All of the text as a decimal number.
template <typename T>
std::optional<T> number_of(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<MemcacheReply::Kind> kind_of(std::string_view code) {
  using Kind = MemcacheReply::Kind;
  if (code == "VA") return Kind::kValue;
  if (code == "HD") return Kind::kDone;
  if (code == "EN") return Kind::kMiss;
  if (code == "NF") return Kind::kNotFound;
  if (code == "NS" || code == "EX") return Kind::kNotStored;
  if (code == "MN") return Kind::kNoop;
  if (code == "SERVER_ERROR") return Kind::kServerError;
  if (code == "CLIENT_ERROR" || code == "ERROR") return Kind::kClientError;
  return std::nullopt;
}

std::string command(std::string_view code, std::string_view key) {
  CHECK(is_memcache_key(key));
  std::string line(code);
  line += ' ';
  line += key;
  return line;
}

}  // namespace

bool is_memcache_key(std::string_view key) {
  return !key.empty() && key.size() <= kMemcacheKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string encode_memcache_get(std::string_view key, uint64_t opaque) {
  return command("mg", key) + " v O" + std::to_string(opaque) + "\r\n";
}

std::string encode_memcache_set(std::string_view key, uint32_t value_bytes, uint32_t ttl_s,
                                uint64_t opaque) {
  return command("ms", key) + " " + std::to_string(value_bytes) + " T" + std::to_string(ttl_s) +
         " O" + std::to_string(opaque) + "\r\n";
}

std::string encode_memcache_delete(std::string_view key, uint64_t opaque) {
  return command("md", key) + " O" + std::to_string(opaque) + "\r\n";
}

std::string encode_memcache_noop() { return "mn\r\n"; }

std::optional<MemcacheReply> parse_memcache_reply(std::string_view line) {
  MemcacheReply reply;
  reply.text = line;
  std::string_view rest = line;
  const auto kind = kind_of(take_word(rest));
  if (!kind) return std::nullopt;
  reply.kind = *kind;
  if (*kind == MemcacheReply::Kind::kServerError || *kind == MemcacheReply::Kind::kClientError) {
    return reply;
  }
  if (*kind == MemcacheReply::Kind::kValue) {
    const auto bytes = number_of<uint32_t>(take_word(rest));
    if (!bytes || *bytes > kMemcacheValueBytesMax) return std::nullopt;
    reply.value_bytes = *bytes;
  }
  while (!rest.empty()) {
    const std::string_view flag = take_word(rest);
    if (flag.empty() || flag[0] != 'O') continue;  // a flag that we did not ask for says nothing
    reply.opaque = number_of<uint64_t>(flag.substr(1));
    if (!reply.opaque) return std::nullopt;
  }
  return reply;
}

}  // namespace thaw
