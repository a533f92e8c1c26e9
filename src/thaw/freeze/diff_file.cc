// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/diff_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "thaw/base/name.h"

namespace thaw {
namespace {

constexpr std::string_view kFirecracker = "firecracker-";
constexpr uint64_t kMagicX86 = 0x0710'1984'8664'0000;
constexpr uint64_t kMagicArm = 0x0710'1984'AAAA'0000;
/// Written by 1.13, which seeks right, and by 1.14, of which two versions do not.
constexpr std::string_view kUndecidedVersion = "8.0.0";
constexpr size_t kStatBlockBytes = 512;

constexpr char kWhy[] =
    "Firecracker 1.14.0 and 1.14.1 write the pages of a memory above 3 GiB at wrong places";

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  friend bool operator==(const Version&, const Version&) = default;
};

std::optional<Version> parse_version(std::string_view text) {
  Version version;
  const std::array<unsigned*, 3> parts{&version.major, &version.minor, &version.patch};
  for (size_t i = 0; i < parts.size(); ++i) {
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, *parts[i]);
    if (error != std::errc()) return std::nullopt;
    text = {rest, end};
    if (i + 1 == parts.size()) break;
    if (!text.starts_with('.')) return std::nullopt;
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return version;
}

/// A file system without SEEK_HOLE says "data" everywhere, which would turn every unchanged page
/// into zeros.
Result<void> require_holes_known(int fd, std::span<const DataExtent> extents, uint64_t bytes,
                                 const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail_errno("cannot stat " + path, errno);
  const bool all_data = extents.size() == 1 && extents[0].bytes == bytes;
  const uint64_t allocated = static_cast<uint64_t>(status.st_blocks) * kStatBlockBytes;
  if (all_data && S_ISREG(status.st_mode) && allocated < bytes) {
    return fail(ErrorCode::kInvalid,
                path + ": its file system reports no holes although only " +
                    human_bytes(allocated) + " of " + human_bytes(bytes) +
                    " are allocated, so unchanged pages cannot be told from zero pages; have the "
                    "VMM write the diff to ext4, xfs or tmpfs");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ImageFile>> open_diff(const std::string& path, uint64_t memory_bytes) {
  const auto check = [&](int fd, std::span<const DataExtent> extents,
                         uint64_t bytes) -> Result<void> {
    if (bytes != memory_bytes) {
      return fail(ErrorCode::kInvalid,
                  path + " has " + std::to_string(bytes) + " bytes and the parent's memory has " +
                      std::to_string(memory_bytes) +
                      "; a diff has the full size of the memory: give the diff of this VM, or its "
                      "own parent");
    }
    TRY(whole_pages_of(extents, bytes, path));
    return require_holes_known(fd, extents, bytes, path);
  };
  return ImageFile::open(path, ImageKind::kMemory, check);
}

Result<PageRuns> whole_pages_of(std::span<const DataExtent> extents, uint64_t bytes,
                                const std::string& path) {
  PageRuns pages;
  for (const DataExtent& extent : extents) {
    const uint64_t end = extent.offset + extent.bytes;
    if (extent.offset % kPageBytes != 0 || (end % kPageBytes != 0 && end != bytes)) {
      return fail(ErrorCode::kInvalid,
                  path + ": its data from byte " + std::to_string(extent.offset) + " to " +
                      std::to_string(end) +
                      " is unaligned: part of a page would be data and part a hole, which means "
                      "nothing in a diff; have the VMM write it to a file system with blocks of "
                      "4 KiB");
    }
    append_run(pages, {extent.offset / kPageBytes, pages_for(extent.bytes)});
  }
  return pages;
}

std::optional<std::string> vmstate_version(ByteSpan vmstate) {
  ByteReader reader(vmstate);
  const uint64_t magic = reader.get<uint64_t>();
  if (magic != kMagicX86 && magic != kMagicArm) return std::nullopt;
  const uint64_t length = reader.get<uint64_t>();
  if (length > kVmstateHeadBytes) return std::nullopt;
  const std::string text(as_text(reader.get_bytes(length)));
  if (!reader.ok() || !parse_version(text)) return std::nullopt;
  return text;
}

Result<void> check_diff_writer(std::string_view writer, ByteSpan vmstate, uint64_t memory_bytes) {
  std::optional<Version> version;
  if (writer.starts_with(kFirecracker)) {
    version = parse_version(writer.substr(kFirecracker.size()));
    if (!version) {
      return fail(ErrorCode::kInvalid,
                  "the writer " + quote(writer) + " is no version; write it as firecracker-1.14.2");
    }
  }
  if (memory_bytes <= kOneSlotBytesMax) return {};
  if (version && (*version == Version{1, 14, 0} || *version == Version{1, 14, 1})) {
    return fail(ErrorCode::kInvalid,
                "this diff is corrupt: " + std::string(kWhy) +
                    "; use 1.14.2 or newer, or freeze a full memory file instead");
  }
  if (!writer.empty()) return {};
  const std::optional<std::string> format = vmstate_version(vmstate);
  if (!vmstate.empty() && format != kUndecidedVersion) return {};
  return fail(ErrorCode::kInvalid,
              std::string(kWhy) + ", and " +
                  (vmstate.empty() ? "without a vmstate nothing says who wrote this diff"
                                   : "a vmstate of format " + *format + " is of 1.13 or of 1.14") +
                  "; say it with --writer firecracker-VERSION");
}

}  // namespace thaw
