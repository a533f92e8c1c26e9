// SPDX-License-Identifier: Apache-2.0
//
// ReplayMemory: the memory of a replay VMM as Firecracker sets it up - private, anonymous,
// registered for missing pages with a userfaultfd - or as one without a page server has it, and the
// image that says what its pages must hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/replay/memory_use.h"
#include "thaw/replay/replay_vmm_options.h"
#include "thaw/replay/touch_plan.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/uffd.h"

namespace thaw {

/// Owns one mapping. Empty if `bytes` is 0.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, size_t bytes) : address_(address), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::byte* data() const { return static_cast<std::byte*>(address_); }
  size_t bytes() const { return bytes_; }

 private:
  void* address_ = nullptr;
  size_t bytes_ = 0;
};

/// Immutable after map() but for what the kernel maps; its users share it by owning distinct pages.
class ReplayMemory {
 public:
  /// kUnsupported if the machine lacks userfaultfd or free huge pages, with what to do; kInvalid if
  /// the image is shorter than the regions.
  static Result<ReplayMemory> map(const ReplayVmmOptions& options, const GuestLayout& layout);

  /// Empty unless the backing is ReplayBacking::kUserfaultfd.
  const Uffd& uffd() const { return uffd_; }
  uint64_t base_of(size_t region) const;

  /// The guest page's place in memory.
  std::byte* page(uint64_t guest_page) const;
  /// The 4 KiB it held when the snapshot was taken. Only with an image.
  const std::byte* original(uint64_t guest_page) const;

  /// What the guest memory takes now, of all mappings in its place. Walks page tables: a
  /// millisecond or so.
  Result<MemoryUse> use() const;

  /// Each takes whole VMM pages of one region; false, with errno, if the kernel refuses.
  bool remove(uint64_t guest_page, uint64_t count) const;
  bool remove_by_map(uint64_t guest_page, uint64_t count) const;
  bool unmap(uint64_t guest_page, uint64_t count) const;

 private:
  explicit ReplayMemory(const GuestLayout& layout) : layout_(&layout) {}

  Result<void> map_served(const ReplayVmmOptions& options);
  Result<void> map_unserved(const ReplayVmmOptions& options);
  Result<void> map_data_over(size_t region, int file, std::span<const DataExtent> extents,
                             uint64_t gap_bytes);
  Result<void> map_overlay(size_t region, const std::string& path);
  Result<void> add_region(const ReplayRegion& region, int flags, int file);

  const GuestLayout* layout_;  // outlives this
  int map_flags_ = 0;
  std::vector<Mapping> regions_;
  Mapping image_;
  Uffd uffd_;
};

}  // namespace thaw
