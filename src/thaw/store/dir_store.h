// SPDX-License-Identifier: Apache-2.0
//
// DirStore: an ObjectStore in a directory of one file system. An object is a file at its key. A put
// writes to a file that has no name yet, syncs, and links it into place, so that a name never
// stands for half an object and a killed writer leaves nothing behind (at most a dot-file, which
// list() skips). Removals are not synced: what a power cut brings back is garbage again.
#pragma once

#include <memory>
#include <string>

#include "thaw/store/object_store.h"
#include "thaw/store/temp_file.h"

namespace thaw {

struct DirStoreOptions {
  /// False: write to dot-files instead of files without a name, as on a file system that has no
  /// O_TMPFILE (which is found out anyway; tests ask for it).
  bool unnamed_files = true;
};

/// A part of a key has at most 255 bytes here, as a file's name does. A key cannot stand beside
/// longer ones that begin with it and '/': kInvalid.
class DirStore final : public ObjectStore {
 public:
  /// Makes the directory if it is missing, mode 0700.
  static Result<std::unique_ptr<DirStore>> create(const std::string& path,
                                                  DirStoreOptions options = {});
  /// kNotFound if the directory is missing.
  static Result<std::unique_ptr<DirStore>> open(const std::string& path,
                                                DirStoreOptions options = {});

  std::string describe() const override;
  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override;
  Result<void> replace(const std::string& key, ByteSpan data) override;
  Result<Bytes> get(const std::string& key, uint64_t bytes_max) const override;
  Result<void> get_into(const std::string& key, MutableByteSpan out) const override;
  Result<void> get_range(const std::string& key, uint64_t offset,
                         MutableByteSpan out) const override;
  Result<bool> exists(const std::string& key) const override;
  Result<void> remove(const std::string& key) override;
  Result<void> list(const std::string& prefix, const Visit& visit) const override;

 private:
  DirStore(std::string path, uint64_t device, DirStoreOptions options)
      : path_(std::move(path)), device_(device), options_(options) {}
  std::string file_of(const std::string& key) const { return path_ + "/" + key; }
  Result<TempFile> temp_file_for(const std::string& file) const;
  /// Puts up to kOpenFilesMax objects: their data are durable, their names not yet.
  Result<void> put_group(std::span<const PutRequest> requests, int file_system,
                         std::vector<PutOutcome>& outcomes) const;

  const std::string path_;
  const uint64_t device_;  // st_dev of the store: one sync has to reach all of it
  const DirStoreOptions options_;
};

}  // namespace thaw
