// SPDX-License-Identifier: Apache-2.0
//
// What crashes and rotten disks do to the file of a cache: never a wrong byte, only misses.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "thaw/cache/disk_cache_test.h"

namespace thaw {
namespace {

class DiskCacheFaultTest : public DiskCacheTest {
 protected:
  Bytes read_whole_file() const { return *read_file(options_.path, kGiB); }
  void write_whole_file(ByteSpan bytes) const {
    const Fd fd = *open_file(options_.path, O_WRONLY);
    ASSERT_TRUE(write_all_at(fd.get(), 0, bytes, options_.path));
  }
};

TEST_F(DiskCacheFaultTest, AWriteTornAtAnySectorIsAMiss) {
  set_slots(1);
  options_.direct_io = false;  // the files are edited through the page cache
  const CacheGeometry geometry{kSlotBytes, 1};
  const AlignedBuffer old_chunk = chunk_bytes(1, kPagesMax);
  const AlignedBuffer new_chunk = chunk_bytes(2, kPagesMax);
  open_cache();
  ASSERT_EQ(*cache_->write(id_of(1), old_chunk.span()), FillOutcome::kWritten);
  cache_.reset();
  const Bytes before = read_whole_file();
  open_cache();
  ASSERT_EQ(*cache_->write(id_of(2), new_chunk.span()), FillOutcome::kWritten);
  cache_.reset();
  const Bytes after = read_whole_file();
  ASSERT_EQ(before.size(), after.size());

  constexpr size_t kSector = 512;
  const auto begin = static_cast<size_t>(geometry.slot_offset(0));
  // From the front, as a disk writes; then from the back, as it may too.
  for (const bool from_front : {true, false}) {
    for (size_t torn = 0; torn <= geometry.stride(); torn += kSector) {
      Bytes file = from_front ? before : after;
      const Bytes& other = from_front ? after : before;
      std::copy_n(other.begin() + static_cast<ptrdiff_t>(begin), torn,
                  file.begin() + static_cast<ptrdiff_t>(begin));
      write_whole_file(file);
      open_cache();
      const auto old_read = cache_->read(id_of(1), kPagesMax);
      const auto new_read = cache_->read(id_of(2), kPagesMax);
      EXPECT_TRUE(!old_read || equal_bytes(old_read->span(), old_chunk.span()));
      EXPECT_TRUE(!new_read || equal_bytes(new_read->span(), new_chunk.span()));
      const bool nothing = torn == 0;
      const bool everything = torn == geometry.stride();
      EXPECT_EQ(old_read.has_value(), from_front ? nothing : everything) << torn;
      EXPECT_EQ(new_read.has_value(), from_front ? everything : nothing) << torn;
      // A damaged slot is usable again at once.
      EXPECT_TRUE(torn != kSector || fill(7) == FillOutcome::kWritten);
    }
  }
}

TEST_F(DiskCacheFaultTest, AWriteOfWhichAnyPagesAreMissingIsAMiss) {
  set_slots(1);
  options_.direct_io = false;
  const CacheGeometry geometry{kSlotBytes, 1};
  const AlignedBuffer chunk = chunk_bytes(2, kPagesMax);
  open_cache();
  const Bytes before = read_whole_file();
  ASSERT_EQ(*cache_->write(id_of(2), chunk.span()), FillOutcome::kWritten);
  cache_.reset();
  const Bytes after = read_whole_file();
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    Bytes file = before;
    const uint64_t pages = random() & random();  // about a quarter arrived
    for (uint32_t page = 0; page <= kPagesMax; ++page) {
      if ((pages >> page & 1) == 0) continue;
      const auto at = static_cast<ptrdiff_t>(geometry.slot_offset(0) + page * kPageBytes);
      std::copy_n(after.begin() + at, kPageBytes, file.begin() + at);
    }
    write_whole_file(file);
    open_cache();
    const uint64_t all = (uint64_t{2} << kPagesMax) - 1;
    EXPECT_EQ(cache_->read(id_of(2), kPagesMax).has_value(), (pages & all) == all);
  }
}

RC_GTEST_FIXTURE_PROP(DiskCacheFaultTest, BitFlipsAnywhereAreNeverAWrongByte, ()) {
  options_.slot_bytes = kChunkBytesMin;
  constexpr uint32_t kPages = kChunkBytesMin / kPageBytes;
  constexpr uint64_t kChunks = 6;
  set_slots(kChunks);
  options_.direct_io = false;
  std::filesystem::remove(options_.path);
  open_cache();
  for (uint64_t chunk = 0; chunk < kChunks; ++chunk) {
    const AlignedBuffer bytes = chunk_bytes(chunk, pages_of(chunk, kPages));
    RC_ASSERT(*cache_->write(id_of(chunk), bytes.span()) == FillOutcome::kWritten);
  }
  cache_.reset();
  Bytes file = read_whole_file();
  const Bytes intact = file;
  const auto flips = *rc::gen::nonEmpty(rc::gen::container<std::vector<uint64_t>>(
      rc::gen::resize(1000, rc::gen::arbitrary<uint64_t>())));
  const bool in_headers = *rc::gen::arbitrary<bool>();
  const CacheGeometry geometry{kChunkBytesMin, kChunks};
  for (const uint64_t flip : flips) {
    // Headers are small; bits of the whole file would hardly ever hit one.
    uint64_t bit = flip % (file.size() * 8);
    const auto slot = static_cast<uint32_t>(flip % kChunks);
    if (in_headers) bit = geometry.slot_offset(slot) * 8 + (flip >> 32) % (128 * 8);
    file[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  write_whole_file(file);
  Result<std::unique_ptr<DiskCache>> cache = DiskCache::open(options_);
  if (!cache) {
    RC_ASSERT(cache.error().code == ErrorCode::kInvalid ||
              cache.error().code == ErrorCode::kUnsupported);
    return;
  }
  cache_ = std::move(*cache);
  const bool emptied = cache_->status().opened == CacheFile::Outcome::kEmptied;
  for (uint64_t chunk = 0; chunk < kChunks; ++chunk) {
    const uint32_t pages = pages_of(chunk, kPages);
    const auto read = cache_->read(id_of(chunk), pages);
    const auto slot = static_cast<uint32_t>(chunk);
    const size_t used = kSlotHeaderFixedBytes + (pages + 1) * kChecksumBytes;
    const auto same = [&](uint64_t offset, size_t size) {
      const auto at = static_cast<ptrdiff_t>(offset);
      return std::equal(file.begin() + at, file.begin() + at + static_cast<ptrdiff_t>(size),
                        intact.begin() + at);
    };
    const bool whole =
        same(geometry.slot_offset(slot), used) &&
        same(geometry.slot_offset(slot) + geometry.header_bytes(), size_t{pages} * kPageBytes);
    RC_ASSERT(read.has_value() == (whole && !emptied));
    RC_ASSERT(!read || equal_bytes(read->span(), chunk_bytes(chunk, pages).span()));
  }
  cache_.reset();
}

TEST_F(DiskCacheFaultTest, SlotsThatChangedPlacesAreMisses) {
  options_.direct_io = false;
  open_cache();
  const AlignedBuffer chunks[] = {chunk_bytes(0, kPagesMax), chunk_bytes(1, kPagesMax)};
  for (uint64_t i = 0; i < 2; ++i) {
    ASSERT_EQ(*cache_->write(id_of(i), chunks[i].span()), FillOutcome::kWritten);
  }
  cache_.reset();
  Bytes file = read_whole_file();
  const CacheGeometry geometry{kSlotBytes, kSlots};
  const auto first = static_cast<ptrdiff_t>(geometry.slot_offset(0));
  const auto second = static_cast<ptrdiff_t>(geometry.slot_offset(1));
  std::swap_ranges(file.begin() + first, file.begin() + second, file.begin() + second);
  write_whole_file(file);
  open_cache();
  EXPECT_EQ(cache_->status().slots_used, 0u);
  EXPECT_EQ(cache_->status().headers_damaged, 2u);
}

TEST_F(DiskCacheFaultTest, SlotsOfAnEarlierFileAreNotBelieved) {
  options_.direct_io = false;
  open_cache();
  fill(1);
  const Bytes earlier = read_whole_file();
  cache_.reset();
  std::filesystem::remove(options_.path);
  open_cache();
  cache_.reset();
  Bytes file = read_whole_file();
  std::copy(earlier.begin() + kSlotsOffset, earlier.end(), file.begin() + kSlotsOffset);
  write_whole_file(file);
  open_cache();
  EXPECT_FALSE(hits(1));
}

TEST_F(DiskCacheFaultTest, AFileCutWhileItIsOpenGivesMisses) {
  for (const bool direct_io : {false, true}) {
    options_.direct_io = direct_io;
    std::filesystem::remove(options_.path);
    open_cache();
    for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
    const CacheGeometry geometry{kSlotBytes, kSlots};
    ASSERT_EQ(::truncate(options_.path.c_str(), static_cast<off_t>(geometry.slot_offset(4))), 0);
    for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_EQ(hits(chunk), chunk < 4);
    // The first erased header made the file longer again, so later slots read as zeros.
    const DiskCacheStatus status = cache_->status();
    EXPECT_EQ(status.read_errors + status.corrupt, kSlots - 4);
    EXPECT_GE(status.read_errors, 1u);
    for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
    for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_TRUE(hits(chunk));
    ASSERT_EQ(::truncate(options_.path.c_str(), 0), 0);
    for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_FALSE(hits(chunk));
  }
}

TEST_F(DiskCacheFaultTest, AFileRemovedWhileItIsOpenServesOn) {
  open_cache();
  for (uint64_t chunk = 0; chunk < 10; ++chunk) fill(chunk);
  std::filesystem::remove(options_.path);
  EXPECT_FALSE(cache_->status().in_place);
  for (uint64_t chunk = 0; chunk < 10; ++chunk) EXPECT_TRUE(hits(chunk));
  EXPECT_EQ(fill(20), FillOutcome::kWritten);
  EXPECT_TRUE(hits(20));
  // Another process may begin anew meanwhile; the two do not meet.
  const auto second = DiskCache::open(options_);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE((*second)->contains(id_of(1)));
  EXPECT_TRUE(hits(1));
}

TEST_F(DiskCacheFaultTest, AKilledFillerLeavesWholeChunksOnly) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr uint64_t kRounds = 20;
  constexpr uint64_t kChunks = 200;
  uint64_t found = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    options_.direct_io = round % 2 == 0;
    cache_.reset();
    int progress[2];
    ASSERT_EQ(::pipe(progress), 0);
    const uint64_t child_seed = random();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      options_.scan.threads = 1;
      auto cache = DiskCache::open(options_);
      if (!cache) ::_exit(1);
      std::mt19937_64 chunks(child_seed);
      while (true) {
        const uint64_t chunk = chunks() % kChunks;
        const AlignedBuffer bytes = chunk_bytes(chunk, pages_of(chunk, kPagesMax));
        if (!(*cache)->write(id_of(chunk), bytes.span())) ::_exit(2);
        if (chunk % 5 == 0) (*cache)->drop(id_of(chunk));
        if (::write(progress[1], "", 1) != 1) ::_exit(3);
      }
    }
    ::close(progress[1]);
    char byte = 0;
    ASSERT_EQ(::read(progress[0], &byte, 1), 1);
    ::usleep(static_cast<useconds_t>(random() % 15'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ::close(progress[0]);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    open_cache();
    for (uint64_t chunk = 0; chunk < kChunks; ++chunk) found += hits(chunk) ? 1 : 0;
  }
  EXPECT_GT(found, kRounds) << "the fillers never got to fill";
}

}  // namespace
}  // namespace thaw
