// SPDX-License-Identifier: Apache-2.0
//
// A companion is a sealed object that belongs to a manifest and that its snapshot can do without: a
// working set, page digests.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "thaw/base/result.h"
#include "thaw/image/sealed_object.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// What `decode(bytes)`, a Result, makes of the object; nullopt if there is none. Errors name the
/// object: bytes that decode() calls kInvalid are kCorrupt here, because a store should not have
/// them.
template <typename Decode>
auto open_companion(const Catalog& catalog, const std::string& key, Decode&& decode)
    -> Result<std::optional<typename std::invoke_result_t<Decode, ByteSpan>::value_type>> {
  const std::string context = key + " in " + catalog.store().describe();
  Result<Bytes> bytes = catalog.store().get(key, kEnvelopeBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!bytes) return fail(std::move(bytes).error().with_context(context));
  auto decoded = decode(ByteSpan(*bytes));
  if (!decoded) {
    Error error = std::move(decoded).error();
    if (error.code == ErrorCode::kInvalid) error.code = ErrorCode::kCorrupt;
    return fail(std::move(error).with_context(context));
  }
  return std::move(*decoded);
}

}  // namespace thaw
