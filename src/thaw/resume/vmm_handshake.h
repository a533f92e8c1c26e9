// SPDX-License-Identifier: Apache-2.0
//
// The first and only message of a VMM: a JSON array of guest memory regions with the userfaultfd in
// SCM_RIGHTS, as Firecracker v1.1 to HEAD sends it and as its forks vary it. Everything in it is
// hostile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/uffd.h"

namespace thaw {

/// One contiguous range of guest memory, in bytes.
struct MemoryRegion {
  uint64_t address = 0;  // in the VMM's address space
  uint64_t bytes = 0;
  uint64_t offset = 0;      // in the memory image
  uint64_t page_bytes = 0;  // 4096, or 2 MiB for hugetlb memory
  friend bool operator==(const MemoryRegion&, const MemoryRegion&) = default;
};

inline constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;
inline constexpr size_t kRegionsMax = 256;
/// Room for kRegionsMax regions several times over; an array of 8 takes about 1 KiB.
inline constexpr size_t kHandshakeBytesMax = 256 * 1024;
static_assert(kHandshakeBytesMax >= 64 * 1024);

struct ParsedRegions {
  std::vector<MemoryRegion> regions;
  // v1.12 and later name `page_size` and keep the socket open for the VMM's life; before, a hang-up
  // right after the handshake is normal.
  bool keeps_socket = false;
};

struct Handshake {
  std::vector<MemoryRegion> regions;  // ascending by address, all of one page size
  bool keeps_socket = false;
  Uffd uffd;
};

/// Parses the array. Field names per version: base_host_virt_addr, size, offset (v1.1 to v1.6);
/// page_size_kib, whose value is bytes (v1.7); page_size (v1.12). Unknown fields are ignored.
/// kInvalid names the element and the field; kUnsupported refuses guest_memfd (secret-free) VMMs
/// and typed envelopes.
Result<ParsedRegions> parse_regions(std::string_view json);

/// kInvalid unless the regions are non-empty, aligned, of one page size, disjoint in address and in
/// offset, and cover exactly `image_bytes` of the image. Sorts them by address.
Result<void> validate_regions(std::vector<MemoryRegion>& regions, uint64_t image_bytes);

/// Collects one client's handshake, piece by piece. One thread.
class HandshakeReceiver {
 public:
  enum class State { kIncomplete, kComplete };

  /// Takes what `socket` has, without blocking. An error is final: refuse the client.
  Result<State> receive(int socket);
  /// After kComplete: the handshake for an image of that size.
  Result<Handshake> finish(uint64_t image_bytes);
  /// True if a userfaultfd has come: a VMM waits for its pages, so that to refuse it is to end it.
  bool has_uffd() const;

 private:
  Result<State> scan();

  std::string text_;
  std::vector<Fd> fds_;
  // Where the scan for the end of the array stands.
  size_t scanned_ = 0;
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace thaw
