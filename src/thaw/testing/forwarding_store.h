// SPDX-License-Identifier: Apache-2.0
//
// ForwardingStore: hands every call on to another store. A test overrides the one that it is about.
#pragma once

#include <string>
#include <vector>

#include "thaw/store/object_store.h"

namespace thaw {

/// Borrows the inner store.
class ForwardingStore : public ObjectStore {
 public:
  explicit ForwardingStore(ObjectStore& inner) : inner_(inner) {}

  std::string describe() const override { return inner_.describe(); }
  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override {
    return inner_.put_if_absent(requests);
  }
  Result<void> replace(const std::string& key, ByteSpan data) override {
    return inner_.replace(key, data);
  }
  Result<Bytes> get(const std::string& key, uint64_t bytes_max) const override {
    return inner_.get(key, bytes_max);
  }
  Result<void> get_into(const std::string& key, MutableByteSpan out) const override {
    return inner_.get_into(key, out);
  }
  Result<void> get_range(const std::string& key, uint64_t offset,
                         MutableByteSpan out) const override {
    return inner_.get_range(key, offset, out);
  }
  Result<bool> exists(const std::string& key) const override { return inner_.exists(key); }
  Result<void> remove(const std::string& key) override { return inner_.remove(key); }
  Result<void> list(const std::string& prefix, const Visit& visit) const override {
    return inner_.list(prefix, visit);
  }

 protected:
  ObjectStore& inner_;
};

}  // namespace thaw
