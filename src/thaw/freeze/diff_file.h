// SPDX-License-Identifier: Apache-2.0
//
// A diff of guest memory as Firecracker writes it (docs/snapshotting, "diff snapshots"): a file of
// the memory's full size in which a hole is an unchanged page and data is a dirty one, an all-zero
// page of data included. So the file means nothing without its holes exactly as they were written,
// and some writers put the pages where they do not belong.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/freeze/image_file.h"
#include "thaw/image/page_runs.h"
#include "thaw/sys/file_io.h"

namespace thaw {

/// The file, whose data runs are the dirty pages. kInvalid if it has not `memory_bytes`, if its
/// data is not whole pages, or if its file system does not tell holes from data.
Result<std::unique_ptr<ImageFile>> open_diff(const std::string& path, uint64_t memory_bytes);

/// The pages of data extents; kInvalid ("unaligned") if one is not whole pages of a file of
/// `bytes`.
Result<PageRuns> whole_pages_of(std::span<const DataExtent> extents, uint64_t bytes,
                                const std::string& path);

/// kInvalid if the diff of a memory of `memory_bytes` comes, or may come, from a writer that puts
/// pages at wrong places: Firecracker 1.14.0 and 1.14.1 seek relative to where they are and do not
/// step over the clean end of a memory slot, so that all slots behind the first are wrong. A memory
/// above 3 GiB has more than one slot. `writer` is what the user says ("firecracker-1.14.2"), empty
/// if nothing; `vmstate` the first bytes of the device state that was written with the diff, empty
/// if there is none.
Result<void> check_diff_writer(std::string_view writer, ByteSpan vmstate, uint64_t memory_bytes);

/// The format version in a vmstate's header, as Firecracker 1.7 to 1.14 write it ("8.0.0");
/// nullopt for any other bytes.
std::optional<std::string> vmstate_version(ByteSpan vmstate);

/// How many bytes of a vmstate check_diff_writer() wants to see.
inline constexpr size_t kVmstateHeadBytes = 64;
/// Above it a memory has more than one slot (x86-64: the gap below 4 GiB).
inline constexpr uint64_t kOneSlotBytesMax = 3 * kGiB;

}  // namespace thaw
