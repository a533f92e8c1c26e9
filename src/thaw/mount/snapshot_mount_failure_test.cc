// SPDX-License-Identifier: Apache-2.0
//
// What a mount does when the store, the keys, the server or the user fails it.
#include <signal.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "thaw/base/units.h"
#include "thaw/mount/mounted_store_test.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// errno of looking at a path; 0 if it is there.
int look_at(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? 0 : errno;
}

bool is_mounted(const std::string& path) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" " + path + " ") != std::string::npos) return true;
  }
  return false;
}

/// A store in memory that keeps no chunk in RAM, so that every damage is seen.
std::unique_ptr<MountedStore> uncached() {
  return std::make_unique<MountedStore>(MountedStore::quick(), 0);
}

// Reads every page alone and compares; the number of pages that could not be read.
size_t check_pages(const TestFile& file, const Image& image, const Bytes& oracle,
                   uint32_t damaged_chunk) {
  size_t failed = 0;
  for (uint64_t page = 0; page < image.map.page_count(); ++page) {
    const PageLocation location = image.map.locate(page);
    const Bytes got = file.read(page * kPageBytes, kPageBytes);
    if (!location.zero && location.chunk == damaged_chunk) {
      EXPECT_EQ(errno, EIO);
      EXPECT_TRUE(got.empty());
      ++failed;
    } else {
      EXPECT_TRUE(same(got, ByteSpan(oracle).subspan(page * kPageBytes, kPageBytes)))
          << "page " << page << ": " << ::strerror(errno);
    }
  }
  return failed;
}

class SnapshotMountCorruption : public testing::TestWithParam<Layout> {};

TEST_P(SnapshotMountCorruption, ACorruptChunkFailsItsPagesAndNoOthers) {
  SKIP_WITHOUT_FUSE();
  const std::unique_ptr<MountedStore> mounted = uncached();
  SnapshotFixtureOptions options;
  options.layout = GetParam();
  const SnapshotFixture fixture = make_snapshot(mounted->store, options);
  const Image& memory = fixture.image(ImageKind::kMemory);
  const uint32_t damaged = fixture.chunk_of(memory, memory.map.extents()[100].page);
  flip_bit(mounted->store, fixture.chunk_key_of(damaged), 5000);

  CaptureStderr();
  const TestFile file(mounted->file("snapshot/memory"));
  EXPECT_GT(check_pages(file, memory, fixture.oracles[0], damaged), 0u);
  file.drop_cache();
  // Through readahead, which asks for good pages and bad ones at once.
  const Bytes all = file.read_all();
  EXPECT_EQ(errno, EIO);
  EXPECT_TRUE(same(all, ByteSpan(fixture.oracles[0]).first(all.size())));
  EXPECT_GT(check_pages(file, memory, fixture.oracles[0], damaged), 0u);
  const std::string said = GetCapturedStderr();
  EXPECT_GE(count_of(said, "of snapshot/memory; the reader gets EIO"), 1u);
  EXPECT_EQ(count_of(said, "the reader gets EIO"), mounted->mount->counters().read_errors);
  EXPECT_NE(said.find(fixture.manifest.clear.chunks[damaged].id.hex()), std::string::npos);
  EXPECT_TRUE(same(TestFile(mounted->file("snapshot/vmstate")).read_all(), fixture.oracles[1]));

  // Healed in the store, it is healed in the mount.
  flip_bit(mounted->store, fixture.chunk_key_of(damaged), 5000);
  EXPECT_TRUE(same(file.read_all(), fixture.oracles[0]));
}

INSTANTIATE_TEST_SUITE_P(Layouts, SnapshotMountCorruption,
                         testing::Values(Layout::kLinear, Layout::kHot));

TEST(SnapshotMountFailure, AMappingOfACorruptChunkGetsABusError) {
  SKIP_WITHOUT_FUSE();
  const std::unique_ptr<MountedStore> mounted = uncached();
  const SnapshotFixture fixture = make_snapshot(mounted->store, {});
  const Extent first = fixture.manifest.images[0].map.extents()[0];
  flip_bit(mounted->store, fixture.chunk_key_of(first.chunk));
  CaptureStderr();
  const TestFile file(mounted->file("snapshot/memory"));
  const TestMapping mapping(file, PROT_READ, MAP_PRIVATE);
  // In a process of its own, which also does not serve the page that it waits for.
  const pid_t reader = ::fork();
  ASSERT_GE(reader, 0);
  if (reader == 0) {
    ::signal(SIGBUS, SIG_DFL);
    const volatile std::byte* const page = mapping.bytes().data() + first.page * kPageBytes;
    ::_exit(static_cast<int>(*page));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(reader, &status, 0), reader);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS) << status;
  EXPECT_GE(count_of(GetCapturedStderr(), "the reader gets EIO"), 1u);
}

TEST(SnapshotMountFailure, AMissingChunkIsAnErrorNotZeros) {
  SKIP_WITHOUT_FUSE();
  const std::unique_ptr<MountedStore> mounted = uncached();
  const SnapshotFixture fixture = make_snapshot(mounted->store, {});
  const Extent first = fixture.manifest.images[0].map.extents()[0];
  ASSERT_TRUE(mounted->store.remove(fixture.chunk_key_of(first.chunk)));
  CaptureStderr();
  const TestFile file(mounted->file("snapshot/memory"));
  EXPECT_TRUE(file.read(first.page * kPageBytes, 10).empty());
  EXPECT_EQ(errno, EIO);
  EXPECT_GE(count_of(GetCapturedStderr(), "the reader gets EIO"), 1u);
}

TEST(SnapshotMountFailure, ManifestsThatCannotBeOpened) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  SnapshotFixtureOptions options;
  options.name = "good";
  const SnapshotFixture good = make_snapshot(mounted.store, options);
  const std::string tenant = options.tenant;
  const auto bind = [&](const std::string& name, const Bytes& manifest) {
    const NameTarget target{1, manifest_id(manifest)};
    ASSERT_TRUE(mounted.catalog.write_manifest(target, manifest));
    ASSERT_TRUE(mounted.catalog.rebind(tenant, name, target));
  };
  Bytes newer = *mounted.catalog.read_manifest(good.target);
  newer[8] = std::byte{9};
  bind("newer", newer);
  bind("noise", Bytes(1000, std::byte{'x'}));
  const Bytes lost(1000, std::byte{'y'});
  bind("dangling", lost);
  ASSERT_TRUE(mounted.store.remove(manifest_key(1, manifest_id(lost))));
  options.tenant = "other";
  options.name = "foreign";
  const SnapshotFixture foreign = make_snapshot(mounted.store, options);
  ASSERT_TRUE(mounted.catalog.rebind(tenant, "foreign", foreign.target));
  options.tenant = tenant;
  options.name = "rotten";
  options.seed = 2;
  const SnapshotFixture rotten = make_snapshot(mounted.store, options);
  flip_bit(mounted.store, manifest_key(1, rotten.target.manifest), 40);

  const std::pair<const char*, int> expected[] = {
      {"newer", EIO}, {"noise", EIO}, {"dangling", EIO}, {"foreign", EACCES}, {"rotten", EIO}};
  for (const auto& [name, number] : expected) {
    CaptureStderr();
    EXPECT_EQ(look_at(mounted.file(std::string(name) + "/memory")), number) << name;
    EXPECT_EQ(count_of(GetCapturedStderr(), std::string("snapshot ") + name), 1u) << name;
    CaptureStderr();
    std::error_code error;
    const std::filesystem::directory_iterator listing(mounted.file(name), error);
    EXPECT_EQ(error.value(), number) << name;
    EXPECT_EQ(count_of(GetCapturedStderr(), std::string("snapshot ") + name), 1u) << name;
  }
  EXPECT_TRUE(same(TestFile(mounted.file("good/memory")).read_all(), good.oracles[0]));

  // A failure is not remembered.
  flip_bit(mounted.store, manifest_key(1, rotten.target.manifest), 40);
  EXPECT_TRUE(same(TestFile(mounted.file("rotten/memory")).read_all(), rotten.oracles[0]));
}

TEST(SnapshotMountFailure, StopWithNothingOpenUnmountsQuietly) {
  SKIP_WITHOUT_FUSE();
  CaptureStderr();
  {
    MountedStore mounted;
    make_snapshot(mounted.store, {});
    EXPECT_EQ(look_at(mounted.file("snapshot/memory")), 0);
    EXPECT_TRUE(is_mounted(mounted.path()));
    mounted.stop();
    EXPECT_FALSE(is_mounted(mounted.path()));
    EXPECT_TRUE(std::filesystem::is_empty(mounted.path()));
  }
  EXPECT_EQ(GetCapturedStderr(), "");
}

TEST(SnapshotMountFailure, StopWhileFilesAreOpenAndMapped) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  const SnapshotFixture fixture = make_snapshot(mounted.store, {});
  const TestFile file(mounted.file("snapshot/memory"));
  const TestMapping mapping(file, PROT_READ, MAP_PRIVATE);
  EXPECT_EQ(mapping.bytes()[0], fixture.oracles[0][0]);
  CaptureStderr();
  mounted.stop();
  EXPECT_EQ(count_of(GetCapturedStderr(), "is in use and is detached"), 1u);
  EXPECT_FALSE(is_mounted(mounted.path()));
  EXPECT_EQ(mapping.bytes()[0], fixture.oracles[0][0]);  // cached: still there
  file.drop_cache();
  EXPECT_TRUE(file.read(500 * kPageBytes, 4096).empty());
  EXPECT_EQ(errno, ENOTCONN);
}

TEST(SnapshotMountFailure, StopWhileReadersAreReading) {
  SKIP_WITHOUT_FUSE();
  const std::unique_ptr<MountedStore> mounted = uncached();
  const SnapshotFixture fixture = make_snapshot(mounted->store, {});
  std::vector<std::thread> readers;
  std::atomic<int> under_way{0};
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      const TestFile file(mounted->file("snapshot/memory"));
      for (uint64_t page = 0;; page = (page + 37) % fixture.options.memory_pages) {
        if (page % 8 == 0) file.drop_cache();
        const Bytes got = file.read(page * kPageBytes, kPageBytes);
        ++under_way;
        if (got.empty()) break;
        ASSERT_TRUE(same(got, ByteSpan(fixture.oracles[0]).subspan(page * kPageBytes, kPageBytes)));
      }
      EXPECT_TRUE(errno == ENOTCONN || errno == ECONNABORTED) << ::strerror(errno);
    });
  }
  while (under_way < 100) std::this_thread::yield();
  CaptureStderr();
  mounted->stop();
  for (std::thread& reader : readers) reader.join();
  GetCapturedStderr();
  EXPECT_FALSE(is_mounted(mounted->path()));
}

TEST(SnapshotMountFailure, UnmountedFromOutsideRunReturns) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  ASSERT_EQ(look_at(mounted.path()), 0);
  // Busy as long as the server itself looks at it to set the readahead.
  int outcome = ::umount2(mounted.path().c_str(), 0);
  for (int i = 0; i < 1000 && outcome != 0 && errno == EBUSY; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    outcome = ::umount2(mounted.path().c_str(), 0);
  }
  ASSERT_EQ(outcome, 0);
  mounted.join();
  EXPECT_FALSE(is_mounted(mounted.path()));
}

TEST(SnapshotMountFailure, ACutConnectionIsUnmounted) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  const Result<dev_t> device = mounted_device(mounted.path());
  ASSERT_TRUE(device);
  const TempDir connections;
  ASSERT_EQ(::mount("fusectl", connections.path().c_str(), "fusectl", 0, nullptr), 0);
  const std::string abort_file = connections.file(std::to_string(minor(*device)) + "/abort");
  {
    const Result<Fd> control = open_file(abort_file, O_WRONLY);
    ASSERT_TRUE(control) << control.error().message;
    EXPECT_TRUE(write_all(control->get(), as_bytes("1"), abort_file));
  }
  EXPECT_EQ(::umount2(connections.path().c_str(), 0), 0);
  mounted.join();
  EXPECT_FALSE(is_mounted(mounted.path()));
}

TEST(SnapshotMountFailure, NeverRunOrStoppedBefore) {
  SKIP_WITHOUT_FUSE();
  const TempDir directory;
  MemoryStore store;
  const Catalog catalog(store);
  const FixedKeys keys;
  WorkerPool workers(1, 10);
  const auto tiers = *TierStack::create(store, workers, {});
  for (const bool run : {false, true}) {
    auto mount = SnapshotMount::create({}, catalog, keys, tiers->top(), directory.path());
    ASSERT_TRUE(mount) << mount.error().message;
    EXPECT_TRUE(is_mounted(directory.path()));
    (*mount)->stop();
    if (run) {
      EXPECT_TRUE((*mount)->run());
    }
    mount->reset();
    EXPECT_FALSE(is_mounted(directory.path()));
  }
}

TEST(SnapshotMountFailure, AKilledServerLeavesErrorsNotHangs) {
  SKIP_WITHOUT_FUSE();
  const TempDir directory;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t server = ::fork();
  ASSERT_GE(server, 0);
  if (server == 0) {
    MemoryStore store;
    make_snapshot(store, {});
    const Catalog catalog(store);
    const FixedKeys keys;
    WorkerPool workers(1, 1000);
    const auto tiers = *TierStack::create(store, workers, {});
    auto mount = SnapshotMount::create({}, catalog, keys, tiers->top(), directory.path());
    if (!mount || ::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::_exit((*mount)->run() ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  {
    const TestFile file(directory.file("snapshot/memory"));
    EXPECT_EQ(file.read(0, 100).size(), 100u);
    ASSERT_EQ(::kill(server, SIGKILL), 0);
    ASSERT_EQ(::waitpid(server, nullptr, 0), server);
    EXPECT_TRUE(file.read(900 * kPageBytes, 4096).empty());
    EXPECT_EQ(errno, ENOTCONN);
    EXPECT_EQ(look_at(directory.file("other")), ENOTCONN);
  }
  const Result<std::string> dead = check_mountpoint(directory.path());
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().code, ErrorCode::kInvalid);
  EXPECT_NE(dead.error().message.find("has died"), std::string::npos);
  EXPECT_EQ(::umount2(directory.path().c_str(), 0), 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(SnapshotMountFailure, BadMountpointsAndOptions) {
  SKIP_WITHOUT_FUSE();
  const TempDir directory;
  MemoryStore store;
  const Catalog catalog(store);
  const FixedKeys keys;
  WorkerPool workers(1, 10);
  const auto tiers = *TierStack::create(store, workers, {});
  const auto refused = [&](const std::string& mountpoint, const std::string& why,
                           const MountOptions& options = {}) {
    const auto mount = SnapshotMount::create(options, catalog, keys, tiers->top(), mountpoint);
    ASSERT_FALSE(mount) << mountpoint;
    EXPECT_EQ(mount.error().code, ErrorCode::kInvalid) << mount.error().message;
    EXPECT_NE(mount.error().message.find(why), std::string::npos) << mount.error().message;
  };
  std::ofstream(directory.file("file")) << "x";
  refused(directory.file("missing"), "does not exist");
  refused(directory.file("file"), "is not a directory");
  refused(directory.file("file/below"), "no directory");
  refused(directory.path(), "is not empty");
  MountOptions options;
  options.threads = 0;
  refused(directory.path(), "threads", options);
  options = {};
  options.name_timeout_s = -1;
  refused(directory.path(), "timeout", options);
  MountedStore mounted;
  refused(mounted.path(), "mounted on it already");
}

}  // namespace
}  // namespace thaw
