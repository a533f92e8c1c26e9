// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/replay_memory.h"

#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "thaw/base/units.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

// What FaaSnap maps along rather than cut a region in two.
constexpr uint64_t kRegionGapBytes = 32 * kPageBytes;

constexpr char kFreeHugePages[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

// MAP_NORESERVE, as Firecracker maps, lets mmap succeed without free pages and the first touch die
// of SIGBUS; a test wants to hear of it before.
Result<void> check_huge_pages(uint64_t pages) {
  uint64_t free = 0;
  std::ifstream(kFreeHugePages) >> free;  // stays 0 where the kernel has no such pages
  if (free >= pages) return {};
  return fail(ErrorCode::kUnsupported,
              "needs " + std::to_string(pages) + " free huge pages of 2 MiB, the machine has " +
                  std::to_string(free) + "; reserve them with sysctl vm.nr_hugepages");
}

Result<Mapping> map_image(const std::string& path, const std::vector<ReplayRegion>& regions) {
  ASSIGN_OR_RETURN(const Fd file, open_file(path, O_RDONLY));
  ASSIGN_OR_RETURN(const uint64_t bytes, file_size(file.get(), path));
  for (const ReplayRegion& region : regions) {
    if (region.offset + region.bytes > bytes) {
      return fail(ErrorCode::kInvalid, path + " is shorter than the regions");
    }
  }
  ASSIGN_OR_RETURN(const std::vector<DataExtent> extents, data_extents(file.get(), bytes, path));
  // SAFETY: a new mapping; nobody shortens an image while it serves as the oracle.
  void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) return fail_errno("cannot map " + path, errno);
  Mapping image(address, bytes);
  // Populated, so that a comparison costs no faults of its own. Not the holes: on a tmpfs each
  // would become a page of memory. Before Linux 5.14 it costs them.
  for (const DataExtent& data : extents) {
    ::madvise(static_cast<std::byte*>(address) + data.offset, data.bytes, MADV_POPULATE_READ);
  }
  return image;
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (bytes_ != 0) ::munmap(address_, bytes_);
}

Result<ReplayMemory> ReplayMemory::map(const ReplayVmmOptions& options, const GuestLayout& layout) {
  ReplayMemory memory(layout);
  if (!options.image_path.empty()) {
    ASSIGN_OR_RETURN(memory.image_, map_image(options.image_path, layout.regions()));
  }
  const bool served = options.backing == ReplayBacking::kUserfaultfd;
  TRY(served ? memory.map_served(options) : memory.map_unserved(options));
  return memory;
}

Result<void> ReplayMemory::map_served(const ReplayVmmOptions& options) {
  map_flags_ = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (options.page_bytes != kPageBytes && options.hugetlb) {
    TRY(check_huge_pages(layout_->page_count() / layout_->pages_in_vmm_page()));
    map_flags_ |= MAP_HUGETLB | MAP_HUGE_2MB;
  }
  ASSIGN_OR_RETURN(uffd_, Uffd::create((options.event_remove ? UFFD_FEATURE_EVENT_REMOVE : 0) |
                                       (options.thread_id ? UFFD_FEATURE_THREAD_ID : 0)));
  for (const ReplayRegion& region : layout_->regions()) {
    TRY(add_region(region, map_flags_, -1));
    TRY(uffd_.register_missing(base_of(regions_.size() - 1), region.bytes));
  }
  return {};
}

Result<void> ReplayMemory::map_unserved(const ReplayVmmOptions& options) {
  if (options.backing == ReplayBacking::kPresent) {
    for (const ReplayRegion& region : layout_->regions()) {
      TRY(add_region(region, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
      std::memcpy(regions_.back().data(), image_.data() + region.offset, region.bytes);
    }
    return {};
  }
  const std::string& path = options.mapped_path.empty() ? options.image_path : options.mapped_path;
  // For writing too, as VMMs open it; nothing is written.
  ASSIGN_OR_RETURN(const Fd file, open_file(path, O_RDWR));
  ASSIGN_OR_RETURN(const uint64_t bytes, file_size(file.get(), path));
  for (const ReplayRegion& region : layout_->regions()) {
    if (region.offset + region.bytes > bytes) {
      return fail(ErrorCode::kInvalid, path + " is shorter than the regions");
    }
    if (options.backing == ReplayBacking::kPrivateFile) {
      TRY(add_region(region, MAP_PRIVATE | MAP_NORESERVE, file.get()));
      if (!options.overlay_path.empty())
        TRY(map_overlay(regions_.size() - 1, options.overlay_path));
      continue;
    }
    TRY(add_region(region, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
    ASSIGN_OR_RETURN(const std::vector<DataExtent> extents, data_extents(file.get(), bytes, path));
    TRY(map_data_over(regions_.size() - 1, file.get(), extents, kRegionGapBytes));
  }
  return {};
}

Result<void> ReplayMemory::map_overlay(size_t region, const std::string& path) {
  ASSIGN_OR_RETURN(const Fd file, open_file(path, O_RDWR));
  ASSIGN_OR_RETURN(const uint64_t bytes, file_size(file.get(), path));
  ASSIGN_OR_RETURN(const std::vector<DataExtent> extents, data_extents(file.get(), bytes, path));
  return map_data_over(region, file.get(), extents, 0);
}

Result<void> ReplayMemory::map_data_over(size_t region, int file,
                                         std::span<const DataExtent> extents, uint64_t gap_bytes) {
  const ReplayRegion& place = layout_->regions()[region];
  const uint64_t place_end = place.offset + place.bytes;
  for (size_t i = 0; i < extents.size();) {
    const uint64_t begin = std::max(align_down(extents[i].offset, kPageBytes), place.offset);
    uint64_t end = 0;
    do {
      end = extents[i].offset + extents[i].bytes;
      ++i;
    } while (i < extents.size() && extents[i].offset <= end + gap_bytes);
    end = std::min(pages_for(end) * kPageBytes, place_end);
    if (begin >= end) continue;
    // SAFETY: inside this region's own mapping, of which it replaces a part.
    void* address = ::mmap(regions_[region].data() + (begin - place.offset), end - begin,
                           PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file,
                           static_cast<off_t>(begin));
    if (address == MAP_FAILED) return fail_errno("cannot map a region's data", errno);
  }
  return {};
}

Result<void> ReplayMemory::add_region(const ReplayRegion& region, int flags, int file) {
  const off_t offset = file < 0 ? 0 : static_cast<off_t>(region.offset);
  // SAFETY: a new private mapping.
  void* address = ::mmap(nullptr, region.bytes, PROT_READ | PROT_WRITE, flags, file, offset);
  if (address == MAP_FAILED) return fail_errno("cannot map guest memory", errno);
  regions_.emplace_back(address, region.bytes);
  return {};
}

uint64_t ReplayMemory::base_of(size_t region) const {
  // SAFETY: the address as a number, for the handshake.
  return reinterpret_cast<uint64_t>(regions_[region].data());
}

std::byte* ReplayMemory::page(uint64_t guest_page) const {
  const size_t region = layout_->region_of(guest_page);
  return regions_[region].data() + (guest_page - layout_->first_page_of(region)) * kPageBytes;
}

const std::byte* ReplayMemory::original(uint64_t guest_page) const {
  return image_.data() + layout_->image_page_of(guest_page) * kPageBytes;
}

Result<MemoryUse> ReplayMemory::use() const {
  std::ostringstream smaps;
  smaps << std::ifstream("/proc/self/smaps").rdbuf();
  if (smaps.str().empty()) return fail(ErrorCode::kUnsupported, "cannot read /proc/self/smaps");
  MemoryUse use;
  for (const Mapping& region : regions_) {
    const auto begin = reinterpret_cast<uint64_t>(region.data());
    use = use + memory_use(smaps.str(), begin, begin + region.bytes());
  }
  return use;
}

bool ReplayMemory::remove(uint64_t guest_page, uint64_t count) const {
  return ::madvise(page(guest_page), count * kPageBytes, MADV_DONTNEED) == 0;
}

bool ReplayMemory::remove_by_map(uint64_t guest_page, uint64_t count) const {
  // SAFETY: replaces part of a region of this object; its bytes are the caller's to give up.
  return ::mmap(page(guest_page), count * kPageBytes, PROT_READ | PROT_WRITE,
                map_flags_ | MAP_FIXED, -1, 0) != MAP_FAILED;
}

bool ReplayMemory::unmap(uint64_t guest_page, uint64_t count) const {
  // To the page server the range has gone (ENOENT). Here it is kept by a mapping that cannot be
  // touched, because a bare hole could be taken by an allocation, which the region's own munmap
  // would destroy. SAFETY: replaces part of a region of this object.
  return ::mmap(page(guest_page), count * kPageBytes, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

}  // namespace thaw
