// SPDX-License-Identifier: Apache-2.0
//
// A slot is pinned from the moment it is looked up until its bytes were compared, and a pinned slot
// is never filled, so a reader meets a torn slot only if a crash or the disk tore it. A drop takes
// effect at once in the table; its header is erased while the slot is still pinned, so that the
// erasing cannot hit the slot's next chunk.
#include "thaw/cache/disk_cache.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/base/stage_clock.h"

namespace thaw {
namespace {

/// A header on the stack, aligned for direct I/O.
struct alignas(kPageBytes) HeaderBuffer {
  std::array<std::byte, kSlotHeaderBytesMax> bytes;
  MutableByteSpan first(uint32_t count) { return std::span(bytes).first(count); }
};

bool is_page_aligned(const std::byte* at) {
  // SAFETY: the address is only tested.
  return reinterpret_cast<uintptr_t>(at) % kPageBytes == 0;
}

/// Logging each of the failures of a dying disk would bury everything else: the 1st, 2nd, 4th,
/// 8th...
bool worth_a_line(uint64_t count) { return is_power_of_two(count); }

uint64_t hash_seed_of(const CacheFileId& id) {
  uint64_t seed = 0;
  std::memcpy(&seed, id.data(), sizeof seed);
  return seed;
}

}  // namespace

Result<void> DiskCacheOptions::validate() const {
  if (path.empty()) {
    return fail(ErrorCode::kInvalid, "the disk cache has no path; give the path of a file");
  }
  if (write_errors_max == 0 || write_pause.count() < 0) {
    return fail(ErrorCode::kInvalid,
                "the disk cache needs write_errors_max of at least 1 and a write_pause that is "
                "not negative");
  }
  ASSIGN_OR_RETURN([[maybe_unused]] const CacheGeometry geometry,
                   geometry_for(bytes_max, slot_bytes));
  return {};
}

Result<std::unique_ptr<DiskCache>> DiskCache::open(const DiskCacheOptions& options) {
  TRY(options.validate());
  ASSIGN_OR_RETURN(std::unique_ptr<CacheFile> file, CacheFile::open({
                                                        .path = options.path,
                                                        .bytes_max = options.bytes_max,
                                                        .slot_bytes = options.slot_bytes,
                                                        .direct_io = options.direct_io,
                                                        .recreate = options.recreate,
                                                    }));
  std::unique_ptr<BlockFile> wrapped;
  if (options.wrap_file) wrapped = options.wrap_file(file->blocks());
  auto cache =
      std::unique_ptr<DiskCache>(new DiskCache(options, std::move(file), std::move(wrapped)));
  cache->load();
  return cache;
}

DiskCache::DiskCache(const DiskCacheOptions& options, std::unique_ptr<CacheFile> file,
                     std::unique_ptr<BlockFile> wrapped)
    : options_(options),
      file_(std::move(file)),
      wrapped_(std::move(wrapped)),
      blocks_(wrapped_ ? *wrapped_ : file_->blocks()) {}

DiskCache::~DiskCache() = default;

void DiskCache::load() {
  std::vector<SlotTable::Found> found;
  uint64_t damaged = 0;
  uint64_t unreadable = 0;
  uint64_t sequence_max = 0;
  const auto visit = [&](uint32_t slot, ByteSpan bytes) {
    if (bytes.empty()) {
      ++unreadable;
      return;
    }
    const std::optional<SlotHeader> header = decode_slot_header(place_of(slot), bytes);
    if (!header) {
      damaged += is_empty_slot(bytes) ? 0 : 1;
      return;
    }
    sequence_max = std::max(sequence_max, header->sequence);
    found.push_back({slot, header->id, header->pages, header->sequence});
  };
  // A file made just now has nothing but zeros.
  if (file_->outcome() == CacheFile::Outcome::kOpened ||
      file_->outcome() == CacheFile::Outcome::kResized) {
    scan_headers(blocks_, file_->geometry(), options_.scan, visit);
  }
  if (unreadable > 0) {
    log_warning("the disk cache " + options_.path + " has " + std::to_string(unreadable) +
                " slots that cannot be read");
  }
  state_ = std::make_unique<Guarded<State>>(State(SlotTable(
      file_->geometry().slots, options_.policy, hash_seed_of(file_->file_id()), std::move(found))));
  state_->with([&](State& state) {
    state.next_sequence = sequence_max + 1;
    state.counts.headers_damaged = damaged;
    state.counts.read_errors = unreadable;
  });
}

bool DiskCache::contains(const ChunkId& id) const {
  return state_->with([&](const State& state) { return state.table.contains(id); });
}

std::optional<AlignedBuffer> DiskCache::read(const ChunkId& id, uint32_t pages) {
  const std::optional<SlotTable::Lease> lease = begin_read(id, pages);
  if (!lease) return std::nullopt;
  // Made only now: a miss should not cost an allocation.
  AlignedBuffer buffer(size_t{pages} * kPageBytes);
  if (!finish_read(*lease, 0, buffer.span())) return std::nullopt;
  return buffer;
}

bool DiskCache::read_into(const ChunkId& id, MutableByteSpan out) {
  CHECK(is_page_aligned(out.data()) && out.size() % kPageBytes == 0);
  const std::optional<SlotTable::Lease> lease = begin_read(id, out.size() / kPageBytes);
  return lease && finish_read(*lease, 0, out);
}

std::optional<AlignedBuffer> DiskCache::read_part(const ChunkId& id, uint32_t pages, PageRun part) {
  CHECK(part.count > 0 && part.end() <= pages);
  const std::optional<SlotTable::Lease> lease = begin_read(id, pages);
  if (!lease) return std::nullopt;
  AlignedBuffer buffer(part.count * kPageBytes);
  if (!finish_read(*lease, static_cast<uint32_t>(part.page), buffer.span())) return std::nullopt;
  return buffer;
}

std::optional<SlotTable::Lease> DiskCache::begin_read(const ChunkId& id, uint64_t pages) {
  return state_->with([&](State& state) {
    std::optional<SlotTable::Lease> lease = state.table.pin(id);
    if (lease && lease->pages != pages) {
      state.table.unpin(lease->slot);
      lease.reset();
    }
    if (!lease) ++state.counts.misses;
    return lease;
  });
}

bool DiskCache::finish_read(const SlotTable::Lease& lease, uint32_t first, MutableByteSpan out) {
  const Result<ReadOutcome> read = read_slot(lease, first, out);
  const ReadOutcome outcome = read ? *read : ReadOutcome::kError;
  if (outcome != ReadOutcome::kWhole) {
    drop_bad(lease, outcome, read ? "its bytes are not what was written" : read.error().message);
  }
  return state_->with([&](State& state) {
    const bool whole = outcome == ReadOutcome::kWhole;
    ++(whole ? state.counts.hits : state.counts.misses);
    state.table.unpin(lease.slot);
    return whole;
  });
}

Result<DiskCache::ReadOutcome> DiskCache::read_slot(const SlotTable::Lease& lease, uint32_t first,
                                                    MutableByteSpan out) {
  HeaderBuffer buffer;
  const MutableByteSpan bytes = buffer.first(file_->geometry().header_bytes());
  const uint64_t offset = file_->geometry().slot_offset(lease.slot);
  if (first == 0) {
    TRY(blocks_.read(offset, bytes, out));
  } else {
    TRY(blocks_.read(offset, bytes, {}));
    TRY(blocks_.read(offset + bytes.size() + uint64_t{first} * kPageBytes, out, {}));
  }
  const StageClock clock(&verify_ns_);
  const std::optional<SlotHeader> header = decode_slot_header(place_of(lease.slot), bytes);
  const bool whole = header && header->id == lease.id && header->pages == lease.pages &&
                     header->matches_part(first, out);
  return whole ? ReadOutcome::kWhole : ReadOutcome::kCorrupt;
}

bool DiskCache::drop_bad(const SlotTable::Lease& lease, ReadOutcome outcome,
                         const std::string& why) {
  const uint64_t count = state_->with([&](State& state) -> uint64_t {
    // Dropped by another meanwhile: then its header may be erased already, and this is no damage.
    if (!state.table.drop(lease.slot)) return 0;
    const bool corrupt = outcome == ReadOutcome::kCorrupt;
    return ++(corrupt ? state.counts.corrupt : state.counts.read_errors);
  });
  if (count == 0) return false;
  erase_header(lease.slot);
  if (worth_a_line(count)) {
    log_warning("the disk cache " + options_.path + " dropped chunk " + lease.id.hex() +
                ", number " + std::to_string(count) + ": " + why);
  }
  return true;
}

void DiskCache::erase_header(uint32_t slot) {
  HeaderBuffer zeros;
  const MutableByteSpan bytes = zeros.first(file_->geometry().header_bytes());
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  const Result<void> written = blocks_.write(file_->geometry().slot_offset(slot), bytes, {});
  if (!written) state_->with([](State& state) { ++state.counts.write_errors; });
}

Result<FillOutcome> DiskCache::write(const ChunkId& id, ByteSpan ciphertext) {
  CHECK(!ciphertext.empty() && ciphertext.size() % kPageBytes == 0);
  const auto pages = static_cast<uint32_t>(ciphertext.size() / kPageBytes);
  uint32_t slot = 0;
  uint64_t sequence = 0;
  const FillOutcome begun = state_->with([&](State& state) {
    if (ciphertext.size() > file_->geometry().slot_bytes) {
      ++state.counts.too_large;
      return FillOutcome::kTooLarge;
    }
    if (state.paused_until) {
      if (std::chrono::steady_clock::now() < *state.paused_until) {
        ++state.counts.paused;
        return FillOutcome::kPaused;
      }
      state.paused_until.reset();
    }
    const SlotTable::Fill fill = state.table.begin_fill(id, pages);
    if (fill.status == SlotTable::Fill::Status::kPresent) return FillOutcome::kPresent;
    if (fill.status == SlotTable::Fill::Status::kNoVictim) {
      ++state.counts.refused;
      return FillOutcome::kRefused;
    }
    state.counts.evictions += fill.evicted ? 1 : 0;
    slot = fill.slot;
    sequence = state.next_sequence++;
    return FillOutcome::kWritten;
  });
  if (begun != FillOutcome::kWritten) return begun;
  Result<void> written = write_slot(slot, id, sequence, ciphertext);
  state_->with([&](State& state) {
    state.table.end_fill(slot, written.has_value());
    if (written) {
      ++state.counts.inserts;
      state.write_errors_in_row = 0;
    } else {
      note_write_error(state, written.error());
    }
  });
  if (!written) return fail(std::move(written).error());
  return FillOutcome::kWritten;
}

Result<void> DiskCache::write_slot(uint32_t slot, const ChunkId& id, uint64_t sequence,
                                   ByteSpan ciphertext) {
  HeaderBuffer buffer;
  const MutableByteSpan header = buffer.first(file_->geometry().header_bytes());
  AlignedBuffer copy;
  if (!is_page_aligned(ciphertext.data())) {
    copy = AlignedBuffer(ciphertext.size());
    std::copy(ciphertext.begin(), ciphertext.end(), copy.data());
    ciphertext = copy.span();
  }
  encode_slot_header(place_of(slot), id, sequence, ciphertext, header);
  return blocks_.write(file_->geometry().slot_offset(slot), header, ciphertext);
}

void DiskCache::note_write_error(State& state, const Error& error) {
  ++state.counts.write_errors;
  if (++state.write_errors_in_row < options_.write_errors_max) return;
  state.write_errors_in_row = 0;
  state.paused_until = std::chrono::steady_clock::now() + options_.write_pause;
  log_warning("the disk cache " + options_.path + " keeps nothing new for " +
              std::to_string(options_.write_pause.count()) +
              " ms: " + std::to_string(options_.write_errors_max) +
              " writes in a row failed, the last one: " + error.message);
}

void DiskCache::drop(const ChunkId& id) {
  const auto dropped = state_->with([&](State& state) {
    std::optional<SlotTable::Lease> lease = state.table.pin_quietly(id);
    if (lease) CHECK(state.table.drop(lease->slot));
    if (lease) ++state.counts.dropped;
    return lease;
  });
  if (!dropped) return;
  erase_header(dropped->slot);
  state_->with([&](State& state) { state.table.unpin(dropped->slot); });
}

ScrubReport DiskCache::scrub(const ScrubOptions& options) {
  ScrubReport report;
  Sha256 hasher;
  AlignedBuffer buffer(file_->geometry().slot_bytes);
  const uint32_t slots = file_->geometry().slots;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    const auto lease = state_->with([&](State& state) { return state.table.pin_slot(slot); });
    if (lease) {
      const MutableByteSpan out = buffer.span().first(size_t{lease->pages} * kPageBytes);
      const Result<ReadOutcome> read = read_slot(*lease, 0, out);
      ReadOutcome outcome = read ? *read : ReadOutcome::kError;
      if (outcome == ReadOutcome::kWhole && options.verify_names &&
          !verify_chunk(hasher, lease->id, out)) {
        outcome = ReadOutcome::kCorrupt;
      }
      if (outcome == ReadOutcome::kWhole) {
        ++report.chunks;
        report.bytes += out.size();
      } else if (drop_bad(*lease, outcome, read ? "found by a scrub" : read.error().message)) {
        ++(outcome == ReadOutcome::kCorrupt ? report.corrupt : report.read_errors);
      }
      state_->with([&](State& state) { state.table.unpin(slot); });
    }
    ++report.slots_done;
    if (options.progress && !options.progress({report.slots_done, slots})) break;
  }
  report.finished = report.slots_done == slots;
  return report;
}

DiskCacheStatus DiskCache::status() const {
  DiskCacheStatus status = state_->with([](const State& state) {
    DiskCacheStatus counts = state.counts;
    counts.slots_used = state.table.resident();
    counts.chunk_bytes = state.table.resident_pages() * kPageBytes;
    counts.writes_paused =
        state.paused_until && std::chrono::steady_clock::now() < *state.paused_until;
    return counts;
  });
  status.verify_ns = verify_ns_;
  status.slots = file_->geometry().slots;
  status.slot_bytes = file_->geometry().slot_bytes;
  status.file_bytes = file_->geometry().file_bytes();
  status.direct_io = file_->direct_io();
  status.in_place = file_->in_place();
  status.opened = file_->outcome();
  return status;
}

Result<DiskCacheInspection> inspect_disk_cache(const std::string& path) {
  ASSIGN_OR_RETURN(CacheFileGlance glance, glance_at_cache_file(path));
  DiskCacheInspection inspection{.geometry = glance.superblock.geometry,
                                 .locked = glance.locked,
                                 .owner_pid = glance.owner_pid};
  FdBlockFile blocks(std::move(glance.fd), path);
  SlotPlace place{glance.superblock.geometry, glance.superblock.file_id, 0};
  scan_headers(blocks, inspection.geometry, {}, [&](uint32_t slot, ByteSpan bytes) {
    place.slot = slot;
    const auto header = bytes.empty() ? std::nullopt : decode_slot_header(place, bytes);
    if (header) {
      ++inspection.slots_used;
      inspection.chunk_bytes += uint64_t{header->pages} * kPageBytes;
    } else if (bytes.empty() || !is_empty_slot(bytes)) {
      ++inspection.headers_damaged;
    }
  });
  return inspection;
}

}  // namespace thaw
