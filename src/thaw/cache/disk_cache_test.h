// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the disk cache share: chunks whose content follows from a number, so that every
// byte that is read can be told right or wrong, and a file on the disk in trouble.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "thaw/cache/disk_cache.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {

/// The pages of chunk `number`: 1 to `pages_max`.
inline uint32_t pages_of(uint64_t number, uint32_t pages_max) {
  return static_cast<uint32_t>(1 + number * 7 % pages_max);
}

inline AlignedBuffer chunk_bytes(uint64_t number, uint32_t pages) {
  AlignedBuffer bytes(size_t{pages} * kPageBytes);
  uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (size_t at = 0; at < bytes.size(); at += sizeof state) {
    state = state * 6364136223846793005 + 1442695040888963407;
    std::memcpy(bytes.data() + at, &state, sizeof state);
  }
  return bytes;
}

/// A stand-in for the name, quickly made; true names are used where names are verified.
inline ChunkId id_of(uint64_t number) {
  ChunkId id;
  std::mt19937_64 random(number);
  for (size_t at = 0; at < id.digest.size(); at += sizeof number) {
    const uint64_t part = random();
    std::memcpy(id.digest.data() + at, &part, sizeof part);
  }
  return id;
}

inline bool equal_bytes(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Passes everything on, unless a test wants otherwise. The hooks run on the thread that does I/O,
/// before it, and are set while nobody does; an error that they return is the outcome.
class FaultyBlockFile final : public BlockFile {
 public:
  struct Hooks {
    std::function<Result<void>(uint64_t offset)> before_read;
    std::function<Result<void>(uint64_t offset)> before_write;
  };

  FaultyBlockFile(BlockFile& real, const Hooks& hooks) : real_(real), hooks_(hooks) {}

  Result<void> read(uint64_t offset, MutableByteSpan first, MutableByteSpan second) override {
    if (hooks_.before_read) TRY(hooks_.before_read(offset));
    return real_.read(offset, first, second);
  }
  Result<void> write(uint64_t offset, ByteSpan first, ByteSpan second) override {
    if (hooks_.before_write) TRY(hooks_.before_write(offset));
    return real_.write(offset, first, second);
  }
  int descriptor() const override { return -1; }

 private:
  BlockFile& real_;
  const Hooks& hooks_;
};

class DiskCacheTest : public testing::Test {
 protected:
  static constexpr uint32_t kSlotBytes = 64 * 1024;
  static constexpr uint32_t kPagesMax = kSlotBytes / kPageBytes;
  static constexpr uint32_t kSlots = 32;

  DiskCacheTest() : dir_(place()) {
    options_.path = dir_.file("cache");
    options_.slot_bytes = kSlotBytes;
    set_slots(kSlots);
  }
  /// The disk, if the machine's temporary directory is on one: direct I/O is what is meant.
  static std::string place() { return std::filesystem::temp_directory_path(); }

  void set_slots(uint32_t slots) {
    options_.bytes_max = CacheGeometry{options_.slot_bytes, slots}.file_bytes();
  }
  /// From the next open on, I/O goes through hooks_.
  void use_hooks() {
    options_.wrap_file = [this](BlockFile& real) -> std::unique_ptr<BlockFile> {
      return std::make_unique<FaultyBlockFile>(real, hooks_);
    };
  }

  /// Closes the cache that is open, if one is.
  void open_cache() {
    cache_.reset();
    Result<std::unique_ptr<DiskCache>> cache = DiskCache::open(options_);
    ASSERT_TRUE(cache) << cache.error().message;
    cache_ = std::move(*cache);
  }
  FillOutcome fill(uint64_t chunk) {
    const Result<FillOutcome> outcome =
        cache_->write(id_of(chunk), chunk_bytes(chunk, pages_of(chunk, kPagesMax)).span());
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome.value_or(FillOutcome::kRefused);
  }
  /// True for a hit; fails the test if a byte of it is wrong.
  bool hits(uint64_t chunk) {
    const uint32_t pages = pages_of(chunk, kPagesMax);
    const std::optional<AlignedBuffer> read = cache_->read(id_of(chunk), pages);
    if (!read) return false;
    EXPECT_TRUE(equal_bytes(read->span(), chunk_bytes(chunk, pages).span()))
        << "wrong bytes of chunk " << chunk;
    return true;
  }

  const TempDir dir_;
  FaultyBlockFile::Hooks hooks_;
  DiskCacheOptions options_;
  std::unique_ptr<DiskCache> cache_;
};

}  // namespace thaw
