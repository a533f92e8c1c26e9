// SPDX-License-Identifier: Apache-2.0
//
// DirStore: an ObjectStore in a directory of one file system. An object is a file at its key. A put
// writes to a file that has no name yet, syncs, and links it into place, so that a name never
// stands for half an object and a killed writer leaves nothing behind.
#pragma once

#include <memory>
#include <string>

#include "thaw/store/object_store.h"

namespace thaw {

class DirStore final : public ObjectStore {
 public:
  /// Makes the directory if it is missing, mode 0700.
  static Result<std::unique_ptr<DirStore>> create(const std::string& path);
  /// kNotFound if the directory is missing.
  static Result<std::unique_ptr<DirStore>> open(const std::string& path);

  std::string describe() const override;
  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override;
  Result<void> replace(const std::string& key, ByteSpan data) override;
  Result<Bytes> get(const std::string& key, uint64_t bytes_max) const override;
  Result<void> get_into(const std::string& key, MutableByteSpan out) const override;
  Result<bool> exists(const std::string& key) const override;
  Result<void> remove(const std::string& key) override;
  Result<void> list(const std::string& prefix, const Visit& visit) const override;

 private:
  explicit DirStore(std::string path) : path_(std::move(path)) {}
  std::string file_of(const std::string& key) const { return path_ + "/" + key; }

  std::string path_;
};

}  // namespace thaw
