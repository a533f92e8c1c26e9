// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/object_store_conformance.h"

#include <unistd.h>

#include "thaw/store/dir_store.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

std::unique_ptr<ObjectStore> create_dir_store(const TempDir& dir, DirStoreOptions options) {
  Result<std::unique_ptr<DirStore>> store = DirStore::create(dir.file("store"), options);
  CHECK(store.has_value());
  return std::move(*store);
}

/// On the file system of the system's temporary directory: a disk, as a rule.
class DirStoreOnDisk {
 public:
  static std::string unavailable() { return ""; }
  ObjectStore& store() { return *store_; }

 private:
  TempDir dir_;
  std::unique_ptr<ObjectStore> store_ = create_dir_store(dir_, {});
};

class DirStoreInMemory {
 public:
  static std::string unavailable() {
    return ::access("/dev/shm", W_OK) == 0 ? "" : "there is no /dev/shm to write to";
  }
  ObjectStore& store() { return *store_; }

 private:
  TempDir dir_{"/dev/shm"};
  std::unique_ptr<ObjectStore> store_ = create_dir_store(dir_, {});
};

class DirStoreWithDotFiles {
 public:
  static std::string unavailable() { return ""; }
  ObjectStore& store() { return *store_; }

 private:
  TempDir dir_;
  std::unique_ptr<ObjectStore> store_ = create_dir_store(dir_, {.unnamed_files = false});
};

class InMemory {
 public:
  static std::string unavailable() { return ""; }
  ObjectStore& store() { return store_; }

 private:
  MemoryStore store_;
};

using Backends = testing::Types<DirStoreOnDisk, DirStoreInMemory, DirStoreWithDotFiles, InMemory>;

class BackendNames {
 public:
  template <typename T>
  static std::string GetName(int) {
    if (std::is_same_v<T, DirStoreOnDisk>) return "DirStoreOnDisk";
    if (std::is_same_v<T, DirStoreInMemory>) return "DirStoreInMemory";
    if (std::is_same_v<T, DirStoreWithDotFiles>) return "DirStoreWithDotFiles";
    return "MemoryStore";
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(All, ObjectStoreConformance, Backends, BackendNames);

}  // namespace
}  // namespace thaw
