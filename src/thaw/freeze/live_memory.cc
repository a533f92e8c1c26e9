// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/live_memory.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "thaw/base/check.h"

namespace thaw {
namespace {

Result<void> validate_regions(std::span<const LiveRegion> regions, uint64_t memory_bytes) {
  uint64_t covered = 0;
  for (const LiveRegion& region : regions) {
    const bool whole = region.address % kPageBytes == 0 && region.bytes % kPageBytes == 0 &&
                       region.bytes != 0 && region.address + region.bytes > region.address;
    if (!whole) {
      return fail(ErrorCode::kInvalid, "a region of " + std::to_string(region.bytes) +
                                           " bytes at address " + std::to_string(region.address) +
                                           " is not whole pages of 4,096 bytes");
    }
    if (region.offset != covered || region.bytes > memory_bytes - covered) {
      return fail(ErrorCode::kInvalid,
                  "the regions do not cover the memory of " + std::to_string(memory_bytes) +
                      " bytes once: one begins at offset " + std::to_string(region.offset) +
                      " where " + std::to_string(covered) +
                      " is due; give every region of the handshake");
    }
    covered += region.bytes;
  }
  if (covered == memory_bytes) return {};
  return fail(ErrorCode::kInvalid, "the regions cover " + std::to_string(covered) + " of " +
                                       std::to_string(memory_bytes) +
                                       " bytes of memory; give every region of the handshake");
}

/// Collects the pages of one region that can differ.
class RegionScan {
 public:
  RegionScan(const PageScanner& scanner, const LiveRegion& region, LiveTracking& tracking,
             PageRuns& found)
      : scanner_(scanner), region_(region), tracking_(tracking), found_(found) {}

  Result<void> add(const MappedRange& mapped) {
    const uint64_t begin = std::max(mapped.begin, region_.address);
    const uint64_t end = std::min(mapped.end, region_.address + region_.bytes);
    if (begin >= end) return {};
    covered_ += end - begin;
    if (mapped.is_shared || (!mapped.has_file && !mapped.has_userfault)) {
      note(begin, end, tracking_.untracked);
      return {};
    }
    ASSIGN_OR_RETURN(const std::vector<ScannedRange> ranges, scanner_.populated(begin, end));
    uint64_t absent = end - begin;
    for (const ScannedRange& range : ranges) {
      judge(mapped, range);
      absent -= range.end - range.begin;
    }
    if (mapped.has_userfault && !mapped.has_file) absent_of_userfault_ += absent;
    return {};
  }
  bool complete() const { return covered_ == region_.bytes; }
  uint64_t absent_of_userfault() const { return absent_of_userfault_; }

 private:
  void judge(const MappedRange& mapped, const ScannedRange& range) {
    const auto is = [&](PageCategory category) { return (range.categories & category) != 0; };
    if (is(kPageWpAllowed)) {
      if (is(kPageWritten)) note(range.begin, range.end, tracking_.written);
    } else if (mapped.has_file) {
      if (!is(kPageFile)) note(range.begin, range.end, tracking_.private_copies);
    } else {
      note(range.begin, range.end, tracking_.present);
    }
  }
  void note(uint64_t begin, uint64_t end, uint64_t& counter) {
    const uint64_t page = (region_.offset + (begin - region_.address)) / kPageBytes;
    const uint64_t count = (end - begin) / kPageBytes;
    counter += count;
    append_run(found_, {page, count});
  }

  const PageScanner& scanner_;
  const LiveRegion& region_;
  LiveTracking& tracking_;
  PageRuns& found_;
  uint64_t covered_ = 0;
  uint64_t absent_of_userfault_ = 0;  // bytes
};

}  // namespace

std::string LiveTracking::describe() const {
  std::string text;
  const auto add = [&text](uint64_t pages, const char* what) {
    if (pages == 0) return;
    text += (text.empty() ? "" : ", ") + std::to_string(pages) + " " + what;
  };
  add(private_copies, "private copies of file pages");
  add(written, "pages written by write tracking");
  add(present, "present pages of userfault memory");
  add(untracked, "pages of memory without tracking");
  return text.empty() ? "no page can differ" : text;
}

Result<std::unique_ptr<LiveMemory>> LiveMemory::open(pid_t pid, std::vector<LiveRegion> regions,
                                                     uint64_t memory_bytes, bool gives_none_back) {
  std::ranges::sort(regions, {}, &LiveRegion::offset);
  TRY(validate_regions(regions, memory_bytes));
  ASSIGN_OR_RETURN(PageScanner scanner, PageScanner::open(pid));
  std::unique_ptr<LiveMemory> memory(
      new LiveMemory(pid, std::move(regions), memory_bytes, gives_none_back, std::move(scanner)));
  ASSIGN_OR_RETURN(memory->candidates_, memory->find_candidates(memory->tracking_));
  return memory;
}

Result<PageRuns> LiveMemory::find_candidates(LiveTracking& tracking) const {
  ASSIGN_OR_RETURN(const std::vector<MappedRange> mapped, mapped_ranges(pid_));
  PageRuns found;
  for (const LiveRegion& region : regions_) {
    RegionScan scan(scanner_, region, tracking, found);
    for (const MappedRange& range : mapped) TRY(scan.add(range));
    if (!scan.complete()) {
      return fail(ErrorCode::kInvalid, description_ + ": the region at address " +
                                           std::to_string(region.address) +
                                           " is not mapped in whole; give the regions of its "
                                           "handshake");
    }
    if (scan.absent_of_userfault() > 0 && !gives_none_back_) {
      return fail(ErrorCode::kInvalid,
                  description_ + ": " + human_bytes(scan.absent_of_userfault()) +
                      " of its userfault memory are absent, which are the parent's if they were "
                      "never faulted in and zero if the guest gave them back, and the kernel does "
                      "not tell which; if the VM has no balloon and reports no free pages, say so "
                      "with --no-balloon, else freeze a full memory file");
    }
  }
  return found;
}

Result<void> LiveMemory::read_pages(PageRun run, MutableByteSpan out) const {
  while (run.count > 0) {
    const uint64_t offset = run.page * kPageBytes;
    const auto after = std::ranges::upper_bound(regions_, offset, {}, &LiveRegion::offset);
    CHECK(after != regions_.begin());
    const LiveRegion& region = *std::prev(after);
    const uint64_t into = offset - region.offset;
    const size_t bytes =
        static_cast<size_t>(std::min<uint64_t>(run.count * kPageBytes, region.bytes - into));
    // SAFETY: the address is the other process's; the kernel checks it.
    const iovec local{out.data(), bytes};
    const iovec remote{reinterpret_cast<void*>(region.address + into), bytes};
    const ssize_t got = ::process_vm_readv(pid_, &local, 1, &remote, 1, 0);
    if (got < 0) {
      return fail_errno(description_ + ": cannot read " + std::to_string(bytes) +
                            " bytes at address " + std::to_string(region.address + into),
                        errno);
    }
    const uint64_t pages = static_cast<uint64_t>(got) / kPageBytes;
    if (pages == 0) {
      return fail(ErrorCode::kInvalid, description_ + " changed while it was read: page " +
                                           std::to_string(run.page) +
                                           " has gone; pause the VM until the snapshot is frozen");
    }
    out = out.subspan(static_cast<size_t>(pages) * kPageBytes);
    run = {run.page + pages, run.count - pages};
  }
  return {};
}

Result<void> LiveMemory::check_unchanged() const {
  LiveTracking tracking;
  ASSIGN_OR_RETURN(const PageRuns now, find_candidates(tracking));
  if (now == candidates_) return {};
  return fail(ErrorCode::kInvalid, description_ +
                                       " changed while it was read: other pages can differ now; "
                                       "pause the VM until the snapshot is frozen");
}

}  // namespace thaw
