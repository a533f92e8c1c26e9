// SPDX-License-Identifier: Apache-2.0
//
// MemoryStore: an ObjectStore in memory, for tests that are about something else than storing.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/store/object_store.h"

namespace thaw {

class MemoryStore final : public ObjectStore {
 public:
  std::string describe() const override { return "memory"; }

  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override {
    std::vector<PutOutcome> outcomes;
    for (const PutRequest& request : requests) TRY(validate_key(request.key));
    for (const PutRequest& request : requests) {
      const bool created = objects_.with([&](Objects& objects) {
        return objects.try_emplace(request.key, request.data.begin(), request.data.end()).second;
      });
      outcomes.push_back(created ? PutOutcome::kCreated : PutOutcome::kExisted);
    }
    return outcomes;
  }

  Result<void> replace(const std::string& key, ByteSpan data) override {
    TRY(validate_key(key));
    objects_.with([&](Objects& objects) { objects[key] = Bytes(data.begin(), data.end()); });
    return {};
  }

  Result<Bytes> get(const std::string& key, uint64_t bytes_max) const override {
    TRY(validate_key(key));
    return objects_.with([&](const Objects& objects) -> Result<Bytes> {
      const auto found = objects.find(key);
      if (found == objects.end()) return fail(ErrorCode::kNotFound, "no object " + key);
      if (found->second.size() > bytes_max) return fail(ErrorCode::kExhausted, key + " too large");
      return found->second;
    });
  }

  Result<void> get_into(const std::string& key, MutableByteSpan out) const override {
    ASSIGN_OR_RETURN(const Bytes bytes, get(key, UINT64_MAX));
    if (bytes.size() != out.size()) return fail(ErrorCode::kCorrupt, key + " has a wrong size");
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return {};
  }

  Result<void> get_range(const std::string& key, uint64_t offset,
                         MutableByteSpan out) const override {
    ASSIGN_OR_RETURN(const Bytes bytes, get(key, UINT64_MAX));
    if (offset > bytes.size() || out.size() > bytes.size() - offset) {
      return fail(ErrorCode::kCorrupt, key + " ends before the range");
    }
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

  Result<bool> exists(const std::string& key) const override {
    TRY(validate_key(key));
    return objects_.with([&](const Objects& objects) { return objects.contains(key); });
  }

  Result<void> remove(const std::string& key) override {
    TRY(validate_key(key));
    objects_.with([&](Objects& objects) { objects.erase(key); });
    return {};
  }

  Result<void> list(const std::string& prefix, const Visit& visit) const override {
    TRY(validate_prefix(prefix));
    const Objects copy = objects_.with([](const Objects& objects) { return objects; });
    for (auto at = copy.lower_bound(prefix); at != copy.end() && at->first.starts_with(prefix);
         ++at) {
      TRY(visit(at->first, at->second.size()));
    }
    return {};
  }

 private:
  using Objects = std::map<std::string, Bytes>;
  Guarded<Objects> objects_;
};

}  // namespace thaw
