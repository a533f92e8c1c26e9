// SPDX-License-Identifier: Apache-2.0
//
// Names come and go while a mount is served; inodes follow the content.
#include <sys/mount.h>

#include <chrono>
#include <filesystem>
#include <functional>

#include "thaw/mount/mounted_store_test.h"

namespace thaw {
namespace {

SnapshotFixtureOptions named(const std::string& name, uint64_t seed) {
  SnapshotFixtureOptions options;
  options.name = name;
  options.seed = seed;
  options.memory_pages = 200;
  return options;
}

bool exists(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0;
}

// Has the kernel give up every name and inode of the mount that is not in use: as it does under
// memory pressure, without bothering the rest of the machine.
void shrink_caches(const std::string& path) {
  ASSERT_EQ(::mount(nullptr, path.c_str(), nullptr,
                    MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, nullptr),
            0)
      << ::strerror(errno);
}

// Forgets are messages without an answer, so they may be on their way.
bool comes_to_be(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

TEST(SnapshotMountNames, ANewSnapshotAppears) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  EXPECT_FALSE(exists(mounted.file("late/memory")));
  const SnapshotFixture late = make_snapshot(mounted.store, named("late", 1));
  EXPECT_TRUE(same(TestFile(mounted.file("late/memory")).read_all(), late.oracles[0]));
}

TEST(SnapshotMountNames, ARemovedOneGoesAndItsOpenFilesStay) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  const SnapshotFixture fixture = make_snapshot(mounted.store, named("old", 1));
  const TestFile file(mounted.file("old/memory"));
  const TestMapping mapping(file, PROT_READ, MAP_PRIVATE);
  ASSERT_TRUE(mounted.catalog.unbind(fixture.options.tenant, "old"));
  EXPECT_FALSE(exists(mounted.file("old")));
  EXPECT_FALSE(exists(mounted.file("old/memory")));
  EXPECT_TRUE(std::filesystem::is_empty(mounted.path()));
  EXPECT_TRUE(same(file.read_all(), fixture.oracles[0]));
  EXPECT_TRUE(same(mapping.bytes(), fixture.oracles[0]));
}

TEST(SnapshotMountNames, AReplacedOneIsAnotherFile) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  const SnapshotFixture first = make_snapshot(mounted.store, named("web", 1));
  const TestFile old_file(mounted.file("web/memory"));
  const TestMapping old_mapping(old_file, PROT_READ, MAP_PRIVATE);
  EXPECT_TRUE(same(old_file.read_all(), first.oracles[0]));
  const SnapshotFixture second = make_snapshot(mounted.store, named("web", 2));
  const TestFile new_file(mounted.file("web/memory"));
  EXPECT_TRUE(same(new_file.read_all(), second.oracles[0]));
  EXPECT_NE(new_file.status().st_ino, old_file.status().st_ino);
  old_file.drop_cache();
  EXPECT_TRUE(same(old_file.read_all(), first.oracles[0]));
  EXPECT_TRUE(same(old_mapping.bytes(), first.oracles[0]));

  // And back again, while the old one is still open.
  ASSERT_TRUE(mounted.catalog.rebind(first.options.tenant, "web", first.target));
  const TestFile again(mounted.file("web/memory"));
  EXPECT_EQ(again.status().st_ino, old_file.status().st_ino);
  EXPECT_TRUE(same(again.read_all(), first.oracles[0]));
}

TEST(SnapshotMountNames, AWorkingDirectoryInAReplacedOneKeepsShowingIt) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  const SnapshotFixture first = make_snapshot(mounted.store, named("web", 1));
  const Fd directory(::open(mounted.file("web").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(static_cast<bool>(directory));
  const SnapshotFixture second = make_snapshot(mounted.store, named("web", 2));
  EXPECT_TRUE(same(TestFile(mounted.file("web/memory")).read_all(), second.oracles[0]));
  const std::string inside = "/proc/self/fd/" + std::to_string(directory.get()) + "/memory";
  EXPECT_TRUE(same(TestFile(inside).read_all(), first.oracles[0]));
}

TEST(SnapshotMountNames, TwoNamesOfOneSnapshotShareThePageCache) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  const SnapshotFixture fixture = make_snapshot(mounted.store, named("a", 1));
  ASSERT_TRUE(mounted.catalog.rebind(fixture.options.tenant, "b", fixture.target));
  const TestMapping a(TestFile(mounted.file("a/memory")), PROT_READ, MAP_SHARED | MAP_LOCKED);
  EXPECT_TRUE(same(a.bytes(), fixture.oracles[0]));
  const uint64_t reads = mounted.mount->counters().reads;
  EXPECT_TRUE(same(TestFile(mounted.file("b/memory")).read_all(), fixture.oracles[0]));
  EXPECT_EQ(mounted.mount->counters().reads, reads);
}

TEST(SnapshotMountNames, NamesAreBelievedForTheTimeout) {
  SKIP_WITHOUT_FUSE();
  MountOptions options;
  options.name_timeout_s = 3600;
  MountedStore mounted(options);
  const SnapshotFixture fixture = make_snapshot(mounted.store, named("web", 1));
  EXPECT_TRUE(exists(mounted.file("web")));
  ASSERT_TRUE(mounted.catalog.unbind(fixture.options.tenant, "web"));
  EXPECT_TRUE(exists(mounted.file("web")));
}

TEST(SnapshotMountNames, AnotherTenantsNamesAreNotThere) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  SnapshotFixtureOptions options = named("foreign", 1);
  options.tenant = "other";
  make_snapshot(mounted.store, options);
  EXPECT_FALSE(exists(mounted.file("foreign")));
  EXPECT_TRUE(std::filesystem::is_empty(mounted.path()));
}

TEST(SnapshotMountNames, NothingLeaks) {
  SKIP_WITHOUT_FUSE();
  const size_t descriptors = open_descriptors();
  {
    MountedStore mounted;
    std::vector<SnapshotFixture> fixtures;
    for (uint64_t i = 0; i < 5; ++i) {
      fixtures.push_back(make_snapshot(mounted.store, named("s" + std::to_string(i), i)));
    }
    EXPECT_TRUE(comes_to_be([&] { return mounted.mount->inodes() == 1; }));
    for (int round = 0; round < 3; ++round) {
      for (const SnapshotFixture& fixture : fixtures) {
        const TestFile file(mounted.file(fixture.options.name + "/memory"));
        EXPECT_TRUE(same(file.read_all(), fixture.oracles[0]));
      }
      EXPECT_GE(mounted.mount->inodes(), 1 + 2 * fixtures.size());
      const TestFile held(mounted.file("s3/memory"));
      shrink_caches(mounted.path());
      EXPECT_TRUE(comes_to_be([&] { return mounted.mount->inodes() <= 4; }))
          << mounted.mount->inodes();
      EXPECT_TRUE(same(held.read_all(), fixtures[3].oracles[0]));
    }
    shrink_caches(mounted.path());
    EXPECT_TRUE(comes_to_be([&] { return mounted.mount->inodes() == 1; }))
        << mounted.mount->inodes();
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace thaw
