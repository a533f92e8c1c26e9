// SPDX-License-Identifier: Apache-2.0
//
// What a disk cache does for its callers; the disk behaves, or fails at a call that the test
// chooses.
#include "thaw/cache/disk_cache_test.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace thaw {
namespace {

TEST_F(DiskCacheTest, WhatWasWrittenIsReadBack) {
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kMade);
  for (uint64_t chunk = 0; chunk < 10; ++chunk) {
    EXPECT_FALSE(hits(chunk));
    EXPECT_FALSE(cache_->contains(id_of(chunk)));
    EXPECT_EQ(fill(chunk), FillOutcome::kWritten);
    EXPECT_EQ(fill(chunk), FillOutcome::kPresent);
    EXPECT_TRUE(cache_->contains(id_of(chunk)));
    EXPECT_TRUE(hits(chunk));
  }
  const DiskCacheStatus status = cache_->status();
  EXPECT_EQ(status.slots, kSlots);
  EXPECT_EQ(status.slots_used, 10u);
  EXPECT_EQ(status.hits, 10u);
  EXPECT_EQ(status.misses, 10u);
  EXPECT_EQ(status.inserts, 10u);
  EXPECT_EQ(status.evictions, 0u);
  uint64_t pages = 0;
  for (uint64_t chunk = 0; chunk < 10; ++chunk) pages += pages_of(chunk, kPagesMax);
  EXPECT_EQ(status.chunk_bytes, pages * kPageBytes);
  EXPECT_TRUE(status.in_place);
}

TEST_F(DiskCacheTest, ReadsIntoTheCallersPages) {
  open_cache();
  fill(3);
  const uint32_t pages = pages_of(3, kPagesMax);
  AlignedBuffer out(size_t{pages} * kPageBytes);
  ASSERT_TRUE(cache_->read_into(id_of(3), out.span()));
  EXPECT_TRUE(equal_bytes(out.span(), chunk_bytes(3, pages).span()));
  EXPECT_FALSE(cache_->read_into(id_of(4), out.span()));
}

TEST_F(DiskCacheTest, APartIsReadFromItsPlace) {
  open_cache();
  ASSERT_EQ(*cache_->write(id_of(1), chunk_bytes(1, kPagesMax).span()), FillOutcome::kWritten);
  const AlignedBuffer whole = chunk_bytes(1, kPagesMax);
  for (uint64_t first = 0; first < kPagesMax; ++first) {
    for (const uint64_t count : {uint64_t{1}, kPagesMax - first}) {
      const auto part = cache_->read_part(id_of(1), kPagesMax, {first, count});
      ASSERT_TRUE(part) << first;
      EXPECT_TRUE(
          equal_bytes(part->span(), whole.span().subspan(first * kPageBytes, count * kPageBytes)));
    }
  }
  EXPECT_EQ(cache_->status().hits, 2u * kPagesMax);
  EXPECT_FALSE(cache_->read_part(id_of(2), kPagesMax, {0, 1}));
  EXPECT_FALSE(cache_->read_part(id_of(1), kPagesMax - 1, {0, 1}));
  EXPECT_EQ(cache_->status().corrupt, 0u);
}

TEST_F(DiskCacheTest, APartIsComparedWithItsOwnChecksums) {
  options_.direct_io = false;  // the file is edited through the page cache
  set_slots(1);
  open_cache();
  ASSERT_EQ(*cache_->write(id_of(1), chunk_bytes(1, kPagesMax).span()), FillOutcome::kWritten);
  const CacheGeometry geometry{kSlotBytes, 1};
  const Fd file = *open_file(options_.path, O_RDWR);
  const Bytes wrong(1, std::byte{7});
  ASSERT_TRUE(write_all_at(file.get(),
                           geometry.slot_offset(0) + geometry.header_bytes() + 5 * kPageBytes,
                           wrong, options_.path));
  // The pages beside the damage are as they were written.
  for (const PageRun part : {PageRun{0, 5}, PageRun{6, kPagesMax - 6}}) {
    const auto read = cache_->read_part(id_of(1), kPagesMax, part);
    ASSERT_TRUE(read);
    EXPECT_TRUE(equal_bytes(
        read->span(),
        chunk_bytes(1, kPagesMax).span().subspan(part.page * kPageBytes, part.count * kPageBytes)));
  }
  EXPECT_FALSE(cache_->read_part(id_of(1), kPagesMax, {4, 3}));
  EXPECT_EQ(cache_->status().corrupt, 1u);
  EXPECT_FALSE(cache_->contains(id_of(1)));
}

TEST_F(DiskCacheTest, AnotherSizeThanAskedForIsAMiss) {
  open_cache();
  fill(3);
  EXPECT_EQ(cache_->read(id_of(3), pages_of(3, kPagesMax) + 1), std::nullopt);
  EXPECT_TRUE(hits(3));
  EXPECT_EQ(cache_->status().corrupt, 0u);
}

TEST_F(DiskCacheTest, UnalignedBytesAreKept) {
  open_cache();
  const AlignedBuffer chunk = chunk_bytes(1, pages_of(1, kPagesMax));
  Bytes shifted(chunk.size() + 1);
  std::copy(chunk.span().begin(), chunk.span().end(), shifted.begin() + 1);
  ASSERT_EQ(*cache_->write(id_of(1), ByteSpan(shifted).subspan(1)), FillOutcome::kWritten);
  EXPECT_TRUE(hits(1));
}

TEST_F(DiskCacheTest, AChunkLargerThanASlotIsNotKept) {
  open_cache();
  const AlignedBuffer large = chunk_bytes(1, kPagesMax + 1);
  EXPECT_EQ(*cache_->write(id_of(1), large.span()), FillOutcome::kTooLarge);
  EXPECT_EQ(cache_->status().too_large, 1u);
  EXPECT_FALSE(cache_->contains(id_of(1)));
  const AlignedBuffer fits = chunk_bytes(1, kPagesMax);
  EXPECT_EQ(*cache_->write(id_of(1), fits.span()), FillOutcome::kWritten);
}

TEST_F(DiskCacheTest, EverySlotSizeWorks) {
  for (uint32_t slot_bytes = kChunkBytesMin; slot_bytes <= kChunkBytesMax; slot_bytes *= 2) {
    options_.slot_bytes = slot_bytes;
    options_.recreate = true;
    set_slots(2);
    open_cache();
    const uint32_t pages = slot_bytes / static_cast<uint32_t>(kPageBytes);
    const AlignedBuffer chunk = chunk_bytes(slot_bytes, pages);
    ASSERT_EQ(*cache_->write(id_of(1), chunk.span()), FillOutcome::kWritten);
    open_cache();
    const auto read = cache_->read(id_of(1), pages);
    ASSERT_TRUE(read) << slot_bytes;
    EXPECT_TRUE(equal_bytes(read->span(), chunk.span()));
  }
}

TEST_F(DiskCacheTest, AFullCacheEvictsAndStaysRight) {
  for (const PolicyKind policy : {PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo}) {
    options_.policy = policy;
    std::filesystem::remove(options_.path);
    open_cache();
    constexpr uint64_t kChunks = kSlots * 3;
    for (uint64_t chunk = 0; chunk < kChunks; ++chunk) {
      EXPECT_EQ(fill(chunk), FillOutcome::kWritten);
      EXPECT_TRUE(hits(chunk));
    }
    uint64_t there = 0;
    for (uint64_t chunk = 0; chunk < kChunks; ++chunk) there += hits(chunk) ? 1 : 0;
    EXPECT_EQ(there, kSlots);
    EXPECT_EQ(cache_->status().evictions, kChunks - kSlots);
  }
}

TEST_F(DiskCacheTest, ReopensWithItsChunksAndTheirAge) {
  options_.policy = PolicyKind::kLru;
  open_cache();
  for (uint64_t chunk = 0; chunk < kSlots + 5; ++chunk) fill(chunk);
  open_cache();
  EXPECT_EQ(cache_->status().opened, CacheFile::Outcome::kOpened);
  EXPECT_EQ(cache_->status().slots_used, kSlots);
  for (uint64_t chunk = 100; chunk < 110; ++chunk) fill(chunk);
  // The ten oldest of those that were left made room.
  for (uint64_t chunk = 0; chunk < kSlots + 5; ++chunk) EXPECT_EQ(hits(chunk), chunk >= 15);
}

TEST_F(DiskCacheTest, ThreadsScanWhereIoUringIsForbidden) {
  options_.scan.io_uring = false;
  open_cache();
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
  open_cache();
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_TRUE(hits(chunk));
}

TEST_F(DiskCacheTest, BufferedWorksLikeDirect) {
  options_.direct_io = false;
  open_cache();
  EXPECT_FALSE(cache_->status().direct_io);
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) fill(chunk);
  options_.direct_io = true;
  open_cache();
  for (uint64_t chunk = 0; chunk < kSlots; ++chunk) EXPECT_TRUE(hits(chunk));
}

TEST_F(DiskCacheTest, ADroppedChunkStaysAwayAfterReopening) {
  open_cache();
  fill(1);
  fill(2);
  cache_->drop(id_of(1));
  cache_->drop(id_of(7));
  EXPECT_FALSE(hits(1));
  EXPECT_EQ(cache_->status().dropped, 1u);
  open_cache();
  EXPECT_FALSE(hits(1));
  EXPECT_TRUE(hits(2));
  EXPECT_EQ(fill(1), FillOutcome::kWritten);
  EXPECT_TRUE(hits(1));
}

TEST_F(DiskCacheTest, ASlotBeingReadIsNotFilled) {
  set_slots(1);
  use_hooks();
  open_cache();
  fill(1);
  hooks_.before_read = [this](uint64_t) -> Result<void> {
    EXPECT_EQ(fill(2), FillOutcome::kRefused);
    return {};
  };
  EXPECT_TRUE(hits(1));
  EXPECT_EQ(cache_->status().refused, 1u);
  hooks_.before_read = nullptr;
  EXPECT_EQ(fill(2), FillOutcome::kWritten);
  EXPECT_TRUE(hits(2));
  EXPECT_FALSE(hits(1));
}

TEST_F(DiskCacheTest, ASlotDroppedUnderAReaderIsAMissAndNoDamage) {
  set_slots(1);
  use_hooks();
  open_cache();
  fill(1);
  hooks_.before_read = [this](uint64_t) -> Result<void> {
    cache_->drop(id_of(1));
    // Its only slot is still being read.
    EXPECT_EQ(fill(2), FillOutcome::kRefused);
    return {};
  };
  EXPECT_FALSE(hits(1));
  hooks_.before_read = nullptr;
  EXPECT_EQ(cache_->status().corrupt, 0u);
  EXPECT_EQ(cache_->status().dropped, 1u);
  EXPECT_EQ(fill(2), FillOutcome::kWritten);
  EXPECT_TRUE(hits(2));
}

TEST_F(DiskCacheTest, AChunkBeingWrittenIsNotThereYetAndNotWrittenTwice) {
  use_hooks();
  open_cache();
  bool inside = false;
  hooks_.before_write = [&](uint64_t) -> Result<void> {
    EXPECT_FALSE(std::exchange(inside, true)) << "written twice";
    EXPECT_FALSE(hits(1));
    EXPECT_FALSE(cache_->contains(id_of(1)));
    EXPECT_EQ(fill(1), FillOutcome::kPresent);
    cache_->drop(id_of(1));  // nothing to drop
    return {};
  };
  EXPECT_EQ(fill(1), FillOutcome::kWritten);
  hooks_.before_write = nullptr;
  EXPECT_TRUE(hits(1));
}

TEST_F(DiskCacheTest, AReadErrorIsAMissAndDropsTheSlot) {
  use_hooks();
  open_cache();
  fill(1);
  fill(2);
  hooks_.before_read = [](uint64_t) -> Result<void> { return fail_errno("read", EIO); };
  EXPECT_FALSE(hits(1));
  hooks_.before_read = nullptr;
  EXPECT_FALSE(cache_->contains(id_of(1)));
  EXPECT_TRUE(hits(2));
  const DiskCacheStatus status = cache_->status();
  EXPECT_EQ(status.read_errors, 1u);
  EXPECT_EQ(status.corrupt, 0u);
  EXPECT_EQ(status.slots_used, 1u);
  EXPECT_EQ(fill(1), FillOutcome::kWritten);
  EXPECT_TRUE(hits(1));
}

TEST_F(DiskCacheTest, WritesPauseAfterErrorsInARowAndGoOn) {
  options_.write_errors_max = 3;
  options_.write_pause = std::chrono::hours(1);
  use_hooks();
  open_cache();
  fill(100);
  hooks_.before_write = [](uint64_t) -> Result<void> { return fail_errno("write", ENOSPC); };
  const AlignedBuffer chunk = chunk_bytes(1, 1);
  for (uint64_t i = 0; i < 2; ++i) {
    const auto outcome = cache_->write(id_of(i), chunk.span());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kExhausted);
  }
  hooks_.before_write = nullptr;
  EXPECT_EQ(fill(5), FillOutcome::kWritten);  // not in a row any more
  hooks_.before_write = [](uint64_t) -> Result<void> { return fail_errno("write", EIO); };
  for (uint64_t i = 0; i < 3; ++i) EXPECT_FALSE(cache_->write(id_of(i), chunk.span()));
  hooks_.before_write = nullptr;
  EXPECT_EQ(fill(7), FillOutcome::kPaused);
  EXPECT_TRUE(cache_->status().writes_paused);
  EXPECT_EQ(cache_->status().paused, 1u);
  EXPECT_EQ(cache_->status().write_errors, 5u);
  EXPECT_TRUE(hits(100));  // reads go on
  EXPECT_TRUE(hits(5));

  options_.write_pause = std::chrono::milliseconds(0);
  open_cache();
  hooks_.before_write = [](uint64_t) -> Result<void> { return fail_errno("write", EIO); };
  for (uint64_t i = 0; i < 3; ++i) EXPECT_FALSE(cache_->write(id_of(i), chunk.span()));
  hooks_.before_write = nullptr;
  EXPECT_EQ(fill(7), FillOutcome::kWritten);
  EXPECT_FALSE(cache_->status().writes_paused);
  EXPECT_TRUE(hits(7));
}

TEST_F(DiskCacheTest, AFailedWriteTriesAnotherSlotNext) {
  use_hooks();
  open_cache();
  uint64_t bad = 0;
  hooks_.before_write = [&](uint64_t offset) -> Result<void> {
    if (bad == 0) bad = offset;
    if (offset == bad) return fail_errno("write", EIO);
    return {};
  };
  const AlignedBuffer chunk = chunk_bytes(1, pages_of(1, kPagesMax));
  EXPECT_FALSE(cache_->write(id_of(1), chunk.span()));
  EXPECT_FALSE(cache_->contains(id_of(1)));
  for (uint64_t i = 1; i < kSlots; ++i) EXPECT_EQ(fill(i), FillOutcome::kWritten);
  EXPECT_TRUE(hits(1));
}

TEST_F(DiskCacheTest, ScrubDropsWhatIsDamagedAndNothingElse) {
  open_cache();
  for (uint64_t chunk = 0; chunk < 10; ++chunk) fill(chunk);
  const Fd fd = *open_file(options_.path, O_RDWR);
  const CacheGeometry geometry{kSlotBytes, kSlots};
  // The slots are filled in order.
  for (const uint32_t slot : {2u, 5u}) {
    const Bytes wrong(1, std::byte{0x77});
    ASSERT_TRUE(write_all_at(fd.get(), geometry.slot_offset(slot) + geometry.header_bytes() + 9,
                             wrong, options_.path));
  }
  ASSERT_EQ(::fsync(fd.get()), 0);
  uint64_t calls = 0;
  const ScrubReport report = cache_->scrub({.progress = [&](const ScrubProgress& progress) {
    EXPECT_EQ(progress.slots_done, ++calls);
    return true;
  }});
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(calls, kSlots);
  EXPECT_EQ(report.chunks, 8u);
  EXPECT_EQ(report.corrupt, 2u);
  EXPECT_EQ(report.read_errors, 0u);
  for (uint64_t chunk = 0; chunk < 10; ++chunk) EXPECT_EQ(hits(chunk), chunk != 2 && chunk != 5);
  const ScrubReport again = cache_->scrub({});
  EXPECT_EQ(again.chunks, 8u);
  EXPECT_EQ(again.corrupt, 0u);
  const ScrubReport stopped =
      cache_->scrub({.progress = [](const ScrubProgress& p) { return p.slots_done < 3; }});
  EXPECT_FALSE(stopped.finished);
  EXPECT_EQ(stopped.slots_done, 3u);
}

TEST_F(DiskCacheTest, ScrubTellsAFalseName) {
  open_cache();
  Sha256 hasher;
  const AlignedBuffer chunk = chunk_bytes(1, 4);
  const ChunkId name = name_chunk(hasher, chunk.span());
  ASSERT_EQ(*cache_->write(name, chunk.span()), FillOutcome::kWritten);
  fill(2);  // whose name is none
  EXPECT_EQ(cache_->scrub({}).chunks, 2u);
  const ScrubReport report = cache_->scrub({.verify_names = true});
  EXPECT_EQ(report.chunks, 1u);
  EXPECT_EQ(report.corrupt, 1u);
  EXPECT_TRUE(cache_->contains(name));
  EXPECT_FALSE(cache_->contains(id_of(2)));
}

TEST_F(DiskCacheTest, InspectionSeesItOpenAndClosed) {
  open_cache();
  for (uint64_t chunk = 0; chunk < 10; ++chunk) fill(chunk);
  const auto open = inspect_disk_cache(options_.path);
  ASSERT_TRUE(open) << open.error().message;
  EXPECT_TRUE(open->locked);
  EXPECT_EQ(open->owner_pid, static_cast<uint32_t>(::getpid()));
  EXPECT_EQ(open->slots_used, 10u);
  EXPECT_EQ(open->chunk_bytes, cache_->status().chunk_bytes);
  EXPECT_EQ(open->headers_damaged, 0u);
  cache_.reset();
  const auto closed = inspect_disk_cache(options_.path);
  ASSERT_TRUE(closed) << closed.error().message;
  EXPECT_FALSE(closed->locked);
  EXPECT_EQ(closed->owner_pid, 0u);
  EXPECT_EQ(closed->slots_used, 10u);
  EXPECT_EQ(inspect_disk_cache(dir_.file("none")).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(inspect_disk_cache(dir_.path()));
}

TEST_F(DiskCacheTest, OptionsAreChecked) {
  EXPECT_TRUE(options_.validate());
  DiskCacheOptions wrong = options_;
  wrong.path.clear();
  EXPECT_EQ(DiskCache::open(wrong).error().code, ErrorCode::kInvalid);
  wrong = options_;
  wrong.slot_bytes = 5000;
  EXPECT_EQ(wrong.validate().error().code, ErrorCode::kInvalid);
  wrong = options_;
  wrong.bytes_max = kSlotBytes;
  EXPECT_EQ(wrong.validate().error().code, ErrorCode::kInvalid);
  wrong = options_;
  wrong.write_errors_max = 0;
  EXPECT_EQ(wrong.validate().error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace thaw
