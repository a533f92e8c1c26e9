// SPDX-License-Identifier: Apache-2.0
//
// ChunkId: a chunk's name, the root of the digest tree over its ciphertext (chunk/FORMAT.md).
#pragma once

#include <compare>
#include <cstring>
#include <functional>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/crypto/digest.h"

namespace thaw {

struct ChunkId {
  Digest digest{};

  std::string hex() const { return to_hex(digest); }
  friend auto operator<=>(const ChunkId&, const ChunkId&) = default;
};

}  // namespace thaw

template <>
struct std::hash<thaw::ChunkId> {
  size_t operator()(const thaw::ChunkId& id) const noexcept {
    size_t value = 0;  // the name is a digest: any part of it is as good as a hash of it
    std::memcpy(&value, id.digest.data(), sizeof value);
    return value;
  }
};
