// SPDX-License-Identifier: Apache-2.0
//
// Little-endian encoding and bounds-checked decoding of hostile bytes, and hexadecimal text.
// The on-disk formats are little-endian and so is every machine thaw runs on; a static_assert says
// so.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace thaw {

static_assert(std::endian::native == std::endian::little);

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(ByteSpan bytes) {
  // SAFETY: char may alias any object.
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Appends little-endian integers and raw bytes to a buffer it borrows.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <typename T>
  void put(T value)
    requires(std::is_unsigned_v<T>)
  {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void put_bytes(ByteSpan bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  /// A length of type L, then the text.
  template <typename L>
  void put_text(std::string_view text) {
    put(static_cast<L>(text.size()));
    put_bytes(as_bytes(text));
  }

 private:
  Bytes& out_;
};

/// Reads little-endian integers and raw bytes. Past the end every read yields zeros or an empty
/// span and `ok()` turns false for good, so a parser may read a whole record and check once.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan in) : in_(in) {}

  template <typename T>
  T get()
    requires(std::is_unsigned_v<T>)
  {
    T value = 0;
    const ByteSpan raw = get_bytes(sizeof value);
    if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  ByteSpan get_bytes(uint64_t count) {
    if (!ok_ || count > in_.size() - position_) {
      ok_ = false;
      return {};
    }
    const ByteSpan taken = in_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return taken;
  }
  template <typename L>
  std::string_view get_text() {
    return as_text(get_bytes(get<L>()));
  }

  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && position_ == in_.size(); }
  size_t position() const { return position_; }
  size_t remaining() const { return in_.size() - position_; }

 private:
  ByteSpan in_;
  size_t position_ = 0;
  bool ok_ = true;
};

/// Lower-case hexadecimal.
std::string to_hex(ByteSpan bytes);
/// The bytes of exactly 2 * N hexadecimal digits of either case; nullopt otherwise.
std::optional<Bytes> from_hex(std::string_view text);
/// "12.5 MiB": for people. Never parsed back.
std::string human_bytes(uint64_t bytes);
/// True if the text is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

}  // namespace thaw
