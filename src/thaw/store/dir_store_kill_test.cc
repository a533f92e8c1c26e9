// SPDX-License-Identifier: Apache-2.0
//
// A writer that is killed at any moment leaves whole objects and nothing else.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <random>

#include "thaw/store/dir_store.h"
#include "thaw/testing/object_store_conformance.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

constexpr size_t kObjectsMax = 1'000'000;
constexpr size_t kGroup = 6;

std::string key_of(uint64_t object) {
  return "chunks/" + std::to_string(object % 16) + "/" + std::to_string(object);
}
Bytes content_of(uint64_t object) { return sample_bytes(object, object * 7919 % 60'000); }
/// The name "pointer" goes through versions; each has a content of its own.
Bytes version(uint64_t number) { return sample_bytes(~number, 100 + number % 5000); }

/// Writes a byte to `progress` after each group. Never returns.
[[noreturn]] void write_until_killed(DirStore& store, uint64_t seed, int progress) {
  for (uint64_t round = 0; round < kObjectsMax; ++round) {
    std::vector<Bytes> contents;
    std::vector<PutRequest> group;
    for (uint64_t i = 0; i < kGroup; ++i) {
      const uint64_t object = (seed * 1000 + round * kGroup + i) % kObjectsMax;
      contents.push_back(content_of(object));
      group.push_back({key_of(object), {}});
    }
    for (size_t i = 0; i < kGroup; ++i) group[i].data = contents[i];
    if (!store.put_if_absent(group)) ::_exit(1);
    if (::write(progress, "", 1) != 1) ::_exit(4);
    Bytes numbered = version(round);
    ByteWriter(numbered).put(round);
    if (!store.replace("names/t/pointer", numbered)) ::_exit(2);
  }
  ::_exit(3);
}

struct Place {
  std::string parent;  // empty: the system's temporary directory
  bool unnamed_files;
};

class DirStoreKillTest : public testing::TestWithParam<Place> {};

INSTANTIATE_TEST_SUITE_P(All, DirStoreKillTest,
                         testing::Values(Place{"", true}, Place{"", false}, Place{"/dev/shm", true},
                                         Place{"/dev/shm", false}),
                         [](const auto& param_info) {
                           return std::string(param_info.param.parent.empty() ? "Disk" : "Memory") +
                                  (param_info.param.unnamed_files ? "Unnamed" : "DotFiles");
                         });

TEST_P(DirStoreKillTest, LeavesWholeObjectsOnly) {
  const Place& place = GetParam();
  if (!place.parent.empty() && ::access(place.parent.c_str(), W_OK) != 0) {
    GTEST_SKIP() << "cannot write to " << place.parent;
  }
  const TempDir dir(place.parent.empty() ? std::filesystem::temp_directory_path().string()
                                         : place.parent);
  const std::unique_ptr<DirStore> store =
      std::move(*DirStore::create(dir.file("store"), {.unnamed_files = place.unnamed_files}));
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::map<std::string, uint64_t> before;  // all read again in the last round
  constexpr uint64_t kRounds = 20;
  for (uint64_t round = 0; round < kRounds; ++round) {
    int progress[2];
    ASSERT_EQ(::pipe(progress), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(*store, round, progress[1]);
    ::close(progress[1]);  // a writer that ends by itself is then seen by the read
    // Every other writer may die before its first group; the rest get somewhere on any machine.
    char byte = 0;
    if (round % 2 == 0) {
      ASSERT_EQ(::read(progress[0], &byte, 1), 1);
    }
    ::usleep(static_cast<useconds_t>(random() % 15'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ::close(progress[0]);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;

    std::map<std::string, uint64_t> listed;
    const auto found = list_all(*store);
    ASSERT_TRUE(found) << found.error().message;
    for (const auto& [key, bytes] : *found) {
      listed[key] = bytes;
      if (before.contains(key) && key != "names/t/pointer" && round + 1 < kRounds) continue;
      const Result<Bytes> content = store->get(key, kMiB);
      ASSERT_TRUE(content) << content.error().message;
      if (key == "names/t/pointer") {
        ASSERT_GE(content->size(), sizeof(uint64_t));
        ByteReader number(ByteSpan(*content).last(sizeof(uint64_t)));
        const uint64_t which = number.get<uint64_t>();
        ASSERT_EQ(Bytes(content->begin(), content->end() - sizeof(uint64_t)), version(which));
      } else {
        ASSERT_EQ(*content, content_of(std::stoull(key.substr(key.rfind('/') + 1)))) << key;
      }
    }
    // What was there stays there.
    for (const auto& [key, bytes] : before) ASSERT_TRUE(listed.contains(key)) << key;
    before = listed;
    // Every file is a listed object or, where files need names, one that is recognised as garbage.
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.file("store"))) {
      if (entry.is_directory()) continue;
      const std::string name = entry.path().filename();
      if (name.starts_with(".thaw-tmp-")) continue;
      ASSERT_TRUE(listed.contains(entry.path().lexically_relative(dir.file("store")))) << entry;
    }
  }
  EXPECT_GT(before.size(), kGroup) << "the writers never got to write";
  // The store still works, for the keys that were under way as well.
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t object = round * 1000;
    const Bytes content = content_of(object);
    const PutRequest request{key_of(object), content};
    ASSERT_TRUE(store->put_if_absent({&request, 1}));
    EXPECT_EQ(*store->get(key_of(object), kMiB), content);
  }
}

}  // namespace
}  // namespace thaw
