// SPDX-License-Identifier: Apache-2.0
//
// freeze against SIGKILL at every step and against disks that fill up, on a real directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cstring>

#include "thaw/freeze/seal_pipeline.h"
#include "thaw/freeze/snapshot_export.h"
#include "thaw/freeze/snapshot_verify.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/dir_store.h"
#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

/// Pages that all differ, so that there are as many chunks as windows.
void write_different_pages(const std::string& path, uint64_t pages) {
  const Fd fd = *open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  Bytes block = page_of(2);
  for (uint64_t page = 0; page < pages; ++page) {
    std::memcpy(block.data(), &page, sizeof page);
    ASSERT_TRUE(write_all(fd.get(), block, path));
  }
}

FreezeOptions small_chunks() {
  FreezeOptions options;
  options.chunk_bytes = kChunkBytesMin;
  options.threads = 2;
  return options;
}

void expect_good(const FreezeFixture& fixture, std::string_view name) {
  Progress progress;
  const auto verdict = verify_snapshot(fixture.catalog, fixture.keys, name, {}, progress);
  ASSERT_TRUE(verdict) << verdict.error().message;
  EXPECT_TRUE(verdict->good()) << verdict->bad.front().error.message;
}

void expect_exports_as(const FreezeFixture& fixture, std::string_view name,
                       const std::string& source, const std::string& path) {
  const Manifest manifest = fixture.load(name);
  Progress progress;
  ASSERT_TRUE(export_image(fixture.store, manifest, manifest.images[0], path, {}, progress));
  EXPECT_EQ(whole_file(path), whole_file(source));
}

/// Freezes in a child that kills itself when it reaches `step` for the `nth` time.
void freeze_and_die(const std::string& store_path, const SourcePaths& paths, std::string_view step,
                    int nth) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = DirStore::open(store_path);
    FreezeFixture fixture(**store);
    FreezeOptions options = small_chunks();
    options.on_step = [&](std::string_view reached) {
      if (reached == step && --nth == 0) ::raise(SIGKILL);
    };
    const auto result = fixture.freeze_paths("snap", paths, options);
    ::_exit(result ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the step " << step << " was not reached";
  ASSERT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(FreezeCrash, KilledAtAnyStepItCanBeRepeatedAndUploadsNothingTwice) {
  const TempDir directory("/dev/shm");
  const SourcePaths paths{directory.file("memory"), "", {}};
  constexpr uint64_t kChunks = 700;  // three groups at least
  constexpr uint64_t kChunkPages = 4;
  write_different_pages(paths.memory, kChunks * kChunkPages);
  const std::pair<const char*, int> places[] = {
      {"opened", 1},      {"group_put", 1},    {"group_put", 2}, {"group_put", 3},
      {"chunks_done", 1}, {"manifest_put", 1}, {"name_bound", 1}};
  int round = 0;
  for (const auto& [step, nth] : places) {
    SCOPED_TRACE(std::string(step) + " " + std::to_string(nth));
    const std::string store_path = directory.file("store" + std::to_string(round++));
    const auto store = DirStore::create(store_path);
    ASSERT_TRUE(store);
    FreezeFixture fixture(**store);
    freeze_and_die(store_path, paths, step, nth);

    const size_t uploaded = fixture.objects("chunks").size();
    if (std::string_view(step) == "group_put") {
      EXPECT_GE(uploaded, static_cast<size_t>(nth) * (kGroupBytesMin / (kChunkPages * kPageBytes)));
    }
    const bool bound = std::string_view(step) == "name_bound";
    EXPECT_EQ(fixture.has("snap"), bound);
    if (bound) expect_good(fixture, "snap");

    const auto again = fixture.freeze_paths(bound ? "again" : "snap", paths, small_chunks());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->stats.chunks_existed, uploaded);
    EXPECT_EQ(again->stats.chunks_created, kChunks - uploaded);
    const std::string name = bound ? "again" : "snap";
    expect_good(fixture, name);
    expect_exports_as(fixture, name, paths.memory, directory.file("out" + std::to_string(round)));
  }
}

TEST(FreezeCrash, KilledWhileItReplacesTheOldSnapshotStays) {
  const TempDir directory("/dev/shm");
  const SourcePaths paths{directory.file("memory"), "", {}};
  write_different_pages(paths.memory, 40);
  const auto store = DirStore::create(directory.file("store"));
  ASSERT_TRUE(store);
  FreezeFixture fixture(**store);
  ASSERT_TRUE(fixture.freeze_paths("snap", paths, small_chunks()));
  const NameTarget old = *fixture.catalog.resolve("test", "snap");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    FreezeOptions options = small_chunks();
    options.replace = true;
    options.on_step = [](std::string_view step) {
      if (step == "manifest_put") ::raise(SIGKILL);
    };
    (void)fixture.freeze_paths("snap", paths, options);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(*fixture.catalog.resolve("test", "snap"), old);
  expect_good(fixture, "snap");
}

/// A file system that is full after `bytes`.
class TinyDisk {
 public:
  explicit TinyDisk(uint64_t bytes) { mounted_ = mount(0, bytes); }
  ~TinyDisk() {
    if (mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void resize(uint64_t bytes) { ASSERT_TRUE(mount(MS_REMOUNT, bytes)); }
  std::string file(const std::string& name) const { return directory_.file(name); }
  const std::string& path() const { return directory_.path(); }

 private:
  bool mount(unsigned long flags, uint64_t bytes) {
    const std::string size = "size=" + std::to_string(bytes);
    return ::mount("thaw-test", directory_.path().c_str(), "tmpfs", flags, size.c_str()) == 0;
  }
  const TempDir directory_;
  bool mounted_ = false;
};

TEST(FreezeDiskFull, AtAnyPointNothingIsBoundAndARepetitionWorks) {
  const TempDir directory("/dev/shm");
  const SourcePaths paths{directory.file("memory"), "", {}};
  write_different_pages(paths.memory, 40);  // ten chunks of four pages
  int full = 0;
  for (uint64_t pages = 2;; pages += 3) {
    TinyDisk disk(pages * kPageBytes);
    if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
    const auto store = DirStore::create(disk.file("store"));
    ASSERT_TRUE(store);
    FreezeFixture fixture(**store);
    const auto result = fixture.freeze_paths("snap", paths, small_chunks());
    if (result) break;
    ++full;
    EXPECT_EQ(result.error().code, ErrorCode::kExhausted) << result.error().message;
    EXPECT_FALSE(fixture.has("snap"));
    disk.resize(kMiB);
    ASSERT_TRUE(fixture.freeze_paths("snap", paths, small_chunks()));
    expect_good(fixture, "snap");
  }
  EXPECT_GT(full, 10);
}

TEST(ExportDiskFull, LeavesNothingBehind) {
  const TempDir directory("/dev/shm");
  const SourcePaths paths{directory.file("memory"), "", {}};
  write_different_pages(paths.memory, 40);
  MemoryStore store;
  FreezeFixture fixture(store);
  ASSERT_TRUE(fixture.freeze_paths("snap", paths, small_chunks()));
  const Manifest manifest = fixture.load("snap");
  for (uint64_t pages = 1; pages < 40; pages += 6) {
    const TinyDisk disk(pages * kPageBytes);
    if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
    Progress progress;
    const auto result =
        export_image(store, manifest, manifest.images[0], disk.file("out"), {}, progress);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kExhausted) << result.error().message;
    EXPECT_TRUE(std::filesystem::is_empty(disk.path()));
  }
}

}  // namespace
}  // namespace thaw
