// SPDX-License-Identifier: Apache-2.0
//
// Any sequence of operations does the same to a DirStore as to the store in memory.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <vector>

#include "thaw/store/dir_store.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/object_store_conformance.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

/// Few keys, so that operations meet; none begins another at a '/'.
const std::vector<std::string> kKeys = {"a-b/x", "a.b",  "a/x",   "a/y-z", "a/y/z",
                                        "a/y0",  "a0/0", "b/c/d", "b/c-d", "B"};
const std::vector<std::string> kPrefixes = {"", "a/", "a/y/", "b/c/", "none/", "a-b/"};

template <typename T>
std::string outcome(const Result<T>& result) {
  return result ? "done" : to_string(result.error().code);
}

RC_GTEST_PROP(ObjectStoreProp, DirStoreIsTheStoreInMemory, ()) {
  const TempDir dir(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  const auto disk = std::move(
      *DirStore::create(dir.file("store"), {.unnamed_files = *rc::gen::arbitrary<bool>()}));
  MemoryStore memory;
  const int operations = *rc::gen::inRange(1, 60);
  for (int i = 0; i < operations; ++i) {
    const std::string key = *rc::gen::elementOf(kKeys);
    const Bytes data =
        sample_bytes(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<size_t>(0, 300));
    switch (*rc::gen::inRange(0, 6)) {
      case 0: {
        const auto chosen =
            *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(kKeys));
        std::vector<PutRequest> group;
        for (const std::string& each : chosen) group.push_back({each, data});
        const auto disk_outcomes = disk->put_if_absent(group);
        RC_ASSERT(disk_outcomes.has_value());
        RC_ASSERT(*disk_outcomes == *memory.put_if_absent(group));
        break;
      }
      case 1:
        RC_ASSERT(outcome(disk->replace(key, data)) == outcome(memory.replace(key, data)));
        break;
      case 2: {
        const uint64_t limit = *rc::gen::inRange<uint64_t>(0, 400);
        const auto disk_bytes = disk->get(key, limit);
        const auto memory_bytes = memory.get(key, limit);
        RC_ASSERT(outcome(disk_bytes) == outcome(memory_bytes));
        RC_ASSERT(disk_bytes.value_or(Bytes()) == memory_bytes.value_or(Bytes()));
        break;
      }
      case 3:
        RC_ASSERT(*disk->exists(key) == *memory.exists(key));
        break;
      case 4:
        RC_ASSERT(outcome(disk->remove(key)) == outcome(memory.remove(key)));
        break;
      default: {
        const std::string prefix = *rc::gen::elementOf(kPrefixes);
        RC_ASSERT(*list_all(*disk, prefix) == *list_all(memory, prefix));
      }
    }
  }
  RC_ASSERT(*list_all(*disk) == *list_all(memory));
}

}  // namespace
}  // namespace thaw
