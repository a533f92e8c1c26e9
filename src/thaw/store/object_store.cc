// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/object_store.h"

#include <algorithm>

#include "thaw/base/name.h"

namespace thaw {
namespace {

constexpr size_t kKeyBytesMax = 512;

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._:@+-").find(c) != std::string_view::npos;
}

bool is_key_part(std::string_view part) {
  return !part.empty() && part[0] != '.' && std::all_of(part.begin(), part.end(), is_key_character);
}

}  // namespace

void ObjectStore::start_get(const std::string& key, MutableByteSpan out, Deadline,
                            GetDone done) const {
  done(get_into(key, out));
}

Result<void> ObjectStore::remove_all(std::span<const std::string> keys) {
  for (const std::string& key : keys) TRY(remove(key));
  return {};
}

Result<void> validate_key(std::string_view key) {
  bool valid = !key.empty() && key.size() <= kKeyBytesMax;
  for (size_t begin = 0; valid && begin <= key.size();) {
    const size_t end = std::min(key.find('/', begin), key.size());
    valid = is_key_part(key.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!valid)
    return fail(ErrorCode::kInvalid, quote(key) + " is not a valid object key of a store");
  return {};
}

Result<void> validate_prefix(std::string_view prefix) {
  if (prefix.empty()) return {};
  if (!prefix.ends_with('/') || !validate_key(prefix.substr(0, prefix.size() - 1))) {
    return fail(ErrorCode::kInvalid, quote(prefix) + " is not a whole number of parts of a key");
  }
  return {};
}

}  // namespace thaw
