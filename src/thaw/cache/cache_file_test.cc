// SPDX-License-Identifier: Apache-2.0
//
// Everything that a cache may find at its path.
#include "thaw/cache/cache_file.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "thaw/cache/disk_cache_test.h"

namespace thaw {
namespace {

class CacheFileTest : public DiskCacheTest {
 protected:
  Error open_error() {
    cache_.reset();
    Result<std::unique_ptr<DiskCache>> cache = DiskCache::open(options_);
    EXPECT_FALSE(cache);
    if (cache) return Error{ErrorCode::kInvalid, ""};
    EXPECT_NE(cache.error().message.find(options_.path), std::string::npos)
        << cache.error().message;
    return cache.error();
  }
  static bool mentions(const Error& error, const std::string& text) {
    return error.message.find(text) != std::string::npos;
  }
  uint64_t size_of_file() const { return std::filesystem::file_size(options_.path); }
  void overwrite(uint64_t offset, ByteSpan bytes) const {
    const Fd fd = *open_file(options_.path, O_RDWR);
    ASSERT_TRUE(write_all_at(fd.get(), offset, bytes, options_.path));
    ASSERT_EQ(::fsync(fd.get()), 0);
  }
};

TEST_F(CacheFileTest, AMissingDirectory) {
  options_.path = dir_.file("none/cache");
  const Error error = open_error();
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_TRUE(mentions(error, "make its directory first")) << error.message;
}

TEST_F(CacheFileTest, ADirectoryAtThePath) {
  options_.path = dir_.path();
  EXPECT_EQ(open_error().code, ErrorCode::kInvalid);
}

TEST_F(CacheFileTest, ASpecialFileAtThePath) {
  ASSERT_EQ(::mkfifo(options_.path.c_str(), 0600), 0);
  const Error error = open_error();
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_TRUE(mentions(error, "not a regular file")) << error.message;
}

TEST_F(CacheFileTest, AForeignFileIsLeftAlone) {
  for (const size_t bytes : {1u, 4096u, 100'000u}) {
    const Bytes content(bytes, std::byte{0});  // as a disk image may begin
    ASSERT_TRUE(replace_file(options_.path, content, 0600));
    for (const bool recreate : {false, true}) {
      options_.recreate = recreate;
      const Error error = open_error();
      EXPECT_EQ(error.code, ErrorCode::kInvalid);
      EXPECT_TRUE(mentions(error, "no disk cache")) << error.message;
      EXPECT_EQ(*read_file(options_.path, kMiB), content);
    }
  }
}

TEST_F(CacheFileTest, AnotherVersionIsRefusedOrEmptied) {
  open_cache();
  fill(1);
  cache_.reset();
  const Bytes two(1, std::byte{2});
  overwrite(8, two);
  EXPECT_EQ(open_error().code, ErrorCode::kUnsupported);
  options_.recreate = true;
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kEmptied);
  EXPECT_FALSE(hits(1));
  EXPECT_EQ(fill(1), FillOutcome::kWritten);
}

TEST_F(CacheFileTest, AnotherSlotSizeIsRefusedOrEmptied) {
  open_cache();
  fill(1);
  options_.slot_bytes = kSlotBytes * 2;
  const Error error = open_error();
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_TRUE(mentions(error, "64.0 KiB, not 128.0 KiB")) << error.message;
  options_.slot_bytes = kSlotBytes;
  open_cache();
  EXPECT_TRUE(hits(1));
  options_.slot_bytes = kSlotBytes * 2;
  options_.recreate = true;
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kEmptied);
  EXPECT_FALSE(hits(1));
  EXPECT_EQ(cache_->status().slot_bytes, kSlotBytes * 2);
  EXPECT_EQ(fill(1), FillOutcome::kWritten);
  EXPECT_TRUE(hits(1));
}

TEST_F(CacheFileTest, ADamagedSuperblockEmptiesTheCache) {
  open_cache();
  fill(1);
  cache_.reset();
  const Bytes wrong(1, std::byte{0xee});
  overwrite(21, wrong);
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kEmptied);
  EXPECT_FALSE(hits(1));
}

TEST_F(CacheFileTest, AnUnfinishedFileIsMadeAnew) {
  open_cache();
  fill(1);
  cache_.reset();
  std::array<std::byte, kPageBytes> page;
  encode_superblock({{kSlotBytes, kSlots}, {}, false}, page);
  overwrite(0, page);
  ASSERT_EQ(::truncate(options_.path.c_str(), 5000), 0);
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kEmptied);
  EXPECT_EQ(size_of_file(), CacheGeometry({kSlotBytes, kSlots}).file_bytes());
  EXPECT_FALSE(hits(1));
}

TEST_F(CacheFileTest, AnEmptyFileIsTaken) {
  ASSERT_TRUE(replace_file(options_.path, {}, 0600));
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kMade);
  EXPECT_EQ(fill(1), FillOutcome::kWritten);
}

TEST_F(CacheFileTest, GrowsAndShrinksInPlace) {
  open_cache();
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
  set_slots(kSlots * 2);
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kResized);
  EXPECT_EQ(size_of_file(), options_.bytes_max);
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_TRUE(hits(chunk));
  for (uint64_t chunk = kSlots; chunk < kSlots * 2; ++chunk) fill(chunk);
  EXPECT_EQ(cache_->status().evictions, 0u);

  set_slots(kSlots + 3);
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kResized);
  EXPECT_EQ(size_of_file(), options_.bytes_max);
  EXPECT_EQ(cache_->status().slots_used, kSlots + 3);
  uint64_t there = 0;
  for (uint64_t chunk = 0; chunk < kSlots * 2; ++chunk) there += hits(chunk) ? 1 : 0;
  EXPECT_EQ(there, kSlots + 3);

  // What was cut off does not come back.
  set_slots(kSlots * 2);
  open_cache();
  EXPECT_EQ(cache_->status().slots_used, kSlots + 3);
}

TEST_F(CacheFileTest, ACutFileIsFilledUp) {
  open_cache();
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
  cache_.reset();
  const CacheGeometry geometry{kSlotBytes, kSlots};
  ASSERT_EQ(::truncate(options_.path.c_str(), static_cast<off_t>(geometry.slot_offset(10) + 5000)),
            0);
  open_cache();
  EXPECT_EQ(size_of_file(), geometry.file_bytes());
  uint64_t there = 0;
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) there += hits(chunk) ? 1 : 0;
  EXPECT_GE(there, 10u);
  EXPECT_LE(there, 11u);  // the chunk of the slot that was cut may fit into what is left
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_TRUE(hits(chunk));
}

TEST_F(CacheFileTest, AllBlocksAreReserved) {
  open_cache();
  struct stat status{};
  ASSERT_EQ(::stat(options_.path.c_str(), &status), 0);
  EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, options_.bytes_max);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
}

TEST_F(CacheFileTest, OneProcessAtATime) {
  open_cache();
  fill(1);
  // A second opener in this process is told so too.
  const auto second = DiskCache::open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(mentions(second.error(), "in use by pid " + std::to_string(::getpid())))
      << second.error().message;
  cache_.reset();

  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto held = CacheFile::open({.path = options_.path,
                                       .bytes_max = options_.bytes_max,
                                       .slot_bytes = options_.slot_bytes});
    const char byte = held ? 'y' : 'n';
    static_cast<void>(::write(ready[1], &byte, 1));
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  const Error error = open_error();
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_TRUE(mentions(error, "in use by pid " + std::to_string(child))) << error.message;
  EXPECT_EQ(inspect_disk_cache(options_.path)->owner_pid, static_cast<uint32_t>(child));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  open_cache();  // the lock went with the process
  EXPECT_TRUE(hits(1));
}

/// With a file system of its own, small and easily filled.
class CacheFileMountTest : public CacheFileTest {
 protected:
  void SetUp() override {
    // In a mount namespace of our own, so that nothing stays mounted whatever happens.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "mode=0700,size=4m") != 0) {
      GTEST_SKIP() << "mounting a tmpfs is not permitted: " << std::strerror(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    cache_.reset();
    if (mounted_) {
      EXPECT_EQ(::umount2(dir_.path().c_str(), 0), 0) << std::strerror(errno);
    }
  }
  bool mounted_ = false;
};

TEST_F(CacheFileMountTest, ADiskThatIsTooSmall) {
  options_.bytes_max = 8 * kMiB;
  const Error error = open_error();
  EXPECT_EQ(error.code, ErrorCode::kExhausted);
  EXPECT_TRUE(mentions(error, "set a smaller cache")) << error.message;
  EXPECT_EQ(size_of_file(), 0u);
  set_slots(kSlots);
  open_cache();
  fill(1);
  EXPECT_TRUE(hits(1));
  const uint64_t before = options_.bytes_max;
  options_.bytes_max = 8 * kMiB;
  EXPECT_EQ(open_error().code, ErrorCode::kExhausted);
  EXPECT_EQ(size_of_file(), before);
  set_slots(kSlots);
  open_cache();
  EXPECT_TRUE(hits(1));
}

TEST_F(CacheFileMountTest, ADiskThatIsFullAllTheSame) {
  options_.write_errors_max = 2;
  options_.write_pause = std::chrono::hours(1);
  open_cache();
  fill(1);
  // The reserved blocks are taken away, and all that is free is taken by others.
  const CacheGeometry geometry{kSlotBytes, kSlots};
  const Fd fd = *open_file(options_.path, O_RDWR);
  ASSERT_EQ(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(geometry.slot_offset(1)),
                        static_cast<off_t>(geometry.stride() * (kSlots - 1))),
            0);
  const Fd other = *open_file(dir_.file("other"), O_RDWR | O_CREAT);
  const Bytes block(kPageBytes);
  while (write_all(other.get(), block, "other")) {
  }
  const AlignedBuffer chunk = chunk_bytes(2, kPagesMax);
  for (int i = 0; i < 2; ++i) {
    const auto outcome = cache_->write(id_of(2), chunk.span());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kExhausted);
  }
  EXPECT_EQ(fill(2), FillOutcome::kPaused);
  EXPECT_TRUE(hits(1));
  EXPECT_FALSE(hits(2));
  EXPECT_TRUE(cache_->status().writes_paused);
}

TEST_F(CacheFileMountTest, AReadOnlyFileSystem) {
  open_cache();
  fill(1);
  cache_.reset();
  ASSERT_EQ(::mount(nullptr, dir_.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0)
      << std::strerror(errno);
  const Error error = open_error();
  EXPECT_EQ(error.code, ErrorCode::kDenied);
  EXPECT_TRUE(mentions(error, "mount it writable")) << error.message;
  const auto inspection = inspect_disk_cache(options_.path);
  ASSERT_TRUE(inspection) << inspection.error().message;
  EXPECT_EQ(inspection->slots_used, 1u);
}

}  // namespace
}  // namespace thaw
