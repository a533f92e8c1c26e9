// SPDX-License-Identifier: Apache-2.0
//
// DiskCache: chunks kept on a local disk as ciphertext, in slots of one size in one preallocated
// file (FORMAT.md). A hit is one preadv, or two of a part of a chunk; every page of it is compared
// with its checksum. There is no journal and no sync: what a crash or a power cut tore is found by
// the checksums and is a miss. The checksums (XXH3) stand for the disk and not against an attacker:
// whoever does not trust the disk verifies the chunk by its name as well.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/cache/cache_file.h"
#include "thaw/cache/slot_scan.h"
#include "thaw/cache/slot_table.h"

namespace thaw {

struct DiskCacheOptions {
  std::string path;                          // of the file; its directory exists
  uint64_t bytes_max = 0;                    // of the file
  uint32_t slot_bytes = kChunkBytesDefault;  // 16 KiB to 4 MiB; the largest chunk that is kept
  PolicyKind policy = PolicyKind::kS3Fifo;
  /// Past the page cache, where the file system can: chunks are kept in memory by a tier of their
  /// own.
  bool direct_io = true;
  /// Empties a cache file of another slot size or format version instead of refusing it.
  bool recreate = false;
  /// After so many writes in a row that failed, none is tried for write_pause.
  uint32_t write_errors_max = 8;
  std::chrono::milliseconds write_pause{60'000};
  SlotScanOptions scan;
  /// Puts another file before the real one: for tests, which have disks fail.
  std::function<std::unique_ptr<BlockFile>(BlockFile&)> wrap_file;

  Result<void> validate() const;
};

struct DiskCacheStatus {
  uint64_t slots = 0;
  uint64_t slots_used = 0;
  uint32_t slot_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t chunk_bytes = 0;  // of ciphertext in the used slots
  uint64_t hits = 0;
  uint64_t misses = 0;     // whatever the reason
  uint64_t verify_ns = 0;  // of the threads that read: comparing with headers and checksums
  uint64_t inserts = 0;
  uint64_t evictions = 0;
  uint64_t corrupt = 0;      // slots dropped because their bytes were not what was written
  uint64_t read_errors = 0;  // slots dropped because they could not be read
  uint64_t write_errors = 0;
  uint64_t refused = 0;    // chunks not kept because every slot was being read or written
  uint64_t too_large = 0;  // chunks not kept because they are larger than a slot
  uint64_t paused = 0;     // chunks not kept because writes were paused
  uint64_t dropped = 0;    // by drop()
  bool writes_paused = false;
  bool direct_io = false;
  bool in_place = true;  // false: the file was removed or replaced; its space is lost until close
  CacheFile::Outcome opened = CacheFile::Outcome::kOpened;
  uint64_t headers_damaged = 0;  // met by open(), neither empty nor whole: free slots
};

enum class FillOutcome {
  kWritten,
  kPresent,   // it is there already, or being written
  kTooLarge,  // larger than a slot
  kRefused,   // every slot is being read or written
  kPaused,    // the disk failed too often of late
};

struct ScrubProgress {
  uint64_t slots_done = 0;
  uint64_t slots = 0;
};
struct ScrubOptions {
  /// Compares each chunk with its name (SHA-256) too, not only with its checksums.
  bool verify_names = false;
  /// Called after each slot; false ends the scrub. A place to sleep, if the disk is wanted for
  /// more.
  std::function<bool(const ScrubProgress&)> progress;
};
struct ScrubReport {
  uint64_t slots_done = 0;
  uint64_t chunks = 0;       // read and found whole
  uint64_t bytes = 0;        // of them
  uint64_t corrupt = 0;      // dropped
  uint64_t read_errors = 0;  // dropped
  bool finished = false;
};

/// Thread-safe. No lock is held during I/O, so reads and writes go side by side. Calls must have
/// returned before the destructor runs.
///
/// Memory: about 100 bytes a slot (slot_table.h); a write of unaligned bytes copies them.
///
/// Measured by disk_cache_bench.cc on a virtual disk with two cores, while others were using both
/// (medians of 9 to 25 rounds in turns, MiB/s, 512 KiB chunks in random order, page cache cold):
///
///   threads or requests under way        1            2            4
///   O_DIRECT pread, nothing else       960 to 1100   1100         1060
///   read_into, direct_io               820 to 1060   1070         1060    <- the default
///   read, direct_io                    720 to 910    1050         1040
///   io_uring, O_DIRECT, one thread     930 to 1120    960         1320
///   buffered pread                     580            850         1030
///   read_into, no direct_io            470            610          840
///
/// So direct I/O wins. io_uring is ahead with four requests under way, by less than these runs
/// differ, and the threads that read also check and decrypt: so reads are pread. Where nothing but
/// the disk counts, at opening, the scan of the headers uses io_uring: 60,000 slots a second over
/// 45,000 with threads. Comparing 512 KiB with their checksums takes 30 us
/// with SSE2, less with what newer processors have.
class DiskCache {
 public:
  /// Opens or makes the file (cache_file.h says with which errors) and reads the headers of all
  /// slots, 64 at a time: a slot costs one random read of a page.
  static Result<std::unique_ptr<DiskCache>> open(const DiskCacheOptions& options);
  ~DiskCache();
  DiskCache(const DiskCache&) = delete;
  DiskCache& operator=(const DiskCache&) = delete;

  bool contains(const ChunkId& id) const;

  /// The ciphertext of `id`, which has `pages` pages; nullopt if it is not here, or not with so
  /// many pages. A slot that is damaged or cannot be read is counted, dropped, and a miss: whatever
  /// is wrong with this disk, the caller's way on is the next tier.
  std::optional<AlignedBuffer> read(const ChunkId& id, uint32_t pages);
  /// The same into `out`, page-aligned and of whole pages, which is undefined after a miss. With
  /// memory that was used before it is a third faster on one thread: an allocation of 512 KiB is
  /// mapped, cleared and unmapped each time, unless malloc is told otherwise (M_MMAP_THRESHOLD).
  bool read_into(const ChunkId& id, MutableByteSpan out);
  /// Some of the chunk's `pages` pages, `part` being within them: two reads, of the header and of
  /// the part. Else as read().
  std::optional<AlignedBuffer> read_part(const ChunkId& id, uint32_t pages, PageRun part);

  /// Keeps a verified chunk: `ciphertext` is whole pages, at least one. One pwritev, without a copy
  /// if it is page-aligned. An error says that the disk failed, which is counted here too: the
  /// chunk is not kept, and nothing else is lost.
  Result<FillOutcome> write(const ChunkId& id, ByteSpan ciphertext);

  /// Forgets `id`, on disk too. For callers who found that the bytes are not the chunk.
  void drop(const ChunkId& id);

  /// Reads every slot and drops what is damaged. One thread; reads go on meanwhile.
  ScrubReport scrub(const ScrubOptions& options);

  DiskCacheStatus status() const;
  const std::string& path() const { return options_.path; }

 private:
  enum class ReadOutcome { kWhole, kCorrupt, kError };
  struct State {
    explicit State(SlotTable slots) : table(std::move(slots)) {}
    SlotTable table;
    DiskCacheStatus counts;  // the counters only
    uint64_t next_sequence = 1;
    uint32_t write_errors_in_row = 0;
    std::optional<std::chrono::steady_clock::time_point> paused_until;
  };

  DiskCache(const DiskCacheOptions& options, std::unique_ptr<CacheFile> file,
            std::unique_ptr<BlockFile> wrapped);
  void load();

  SlotPlace place_of(uint32_t slot) const { return {file_->geometry(), file_->file_id(), slot}; }
  /// Pins; counts a miss if there is nothing to pin.
  std::optional<SlotTable::Lease> begin_read(const ChunkId& id, uint64_t pages);
  /// Reads whole pages from page `first` of the chunk, counts, drops if it is bad, unpins.
  bool finish_read(const SlotTable::Lease& lease, uint32_t first, MutableByteSpan out);
  /// Reads and compares; the slot is pinned by the caller.
  Result<ReadOutcome> read_slot(const SlotTable::Lease& lease, uint32_t first, MutableByteSpan out);
  /// Drops and counts a slot, pinned by the caller, that was read with such an outcome. False if
  /// another did before.
  bool drop_bad(const SlotTable::Lease& lease, ReadOutcome outcome, const std::string& why);
  void erase_header(uint32_t slot);
  /// Writes header and ciphertext into a slot being filled.
  Result<void> write_slot(uint32_t slot, const ChunkId& id, uint64_t sequence, ByteSpan ciphertext);
  /// Counts a failed write; begins a pause if it is one too many.
  void note_write_error(State& state, const Error& error);

  const DiskCacheOptions options_;
  const std::unique_ptr<CacheFile> file_;
  const std::unique_ptr<BlockFile> wrapped_;
  BlockFile& blocks_;
  std::atomic<uint64_t> verify_ns_{0};
  std::unique_ptr<Guarded<State>> state_;
};

/// A cache file looked at from outside, also while another process has it open: what it reads may
/// then be changing.
struct DiskCacheInspection {
  CacheGeometry geometry;
  uint64_t slots_used = 0;
  uint64_t chunk_bytes = 0;
  uint64_t headers_damaged = 0;  // or being written
  bool locked = false;
  uint32_t owner_pid = 0;  // 0: not known
};
/// Reads the superblock and all headers. Errors as of CacheFile::open.
Result<DiskCacheInspection> inspect_disk_cache(const std::string& path);

}  // namespace thaw
