// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/pagemap_scan.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>

#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

// linux/fs.h of 6.7, under own names so that newer headers do not clash.
struct PageRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
struct ScanRequest {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
static_assert(sizeof(ScanRequest) == 96 && sizeof(PageRegion) == 24);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanRequest);

constexpr size_t kRegionsAtOnce = 512;
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr uint64_t kSmapsBytesMax = uint64_t{256} << 20;

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

/// Takes a number in hexadecimal and the character behind it off the front.
bool take_hex(std::string_view& text, char behind, uint64_t& out) {
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, out, 16);
  if (error != std::errc() || rest == end || *rest != behind) return false;
  text = {rest + 1, end};
  return true;
}

std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

/// "7f00-7f10 rw-p 00000000 08:01 1234   /path": true, and the mapping, if the line begins one.
bool parse_header(std::string_view line, MappedRange& mapped) {
  if (!take_hex(line, '-', mapped.begin) || !take_hex(line, ' ', mapped.end)) return false;
  const std::string_view permissions = take_word(line);
  if (permissions.size() != 4) return false;
  mapped.is_shared = permissions[3] == 's';
  take_word(line);  // offset
  take_word(line);  // device
  const std::string_view inode = take_word(line);
  if (inode.empty()) return false;
  mapped.has_file = inode != "0";
  return true;
}

/// "VmFlags: rd wr mr um": "um", "uw" and "ui" are the modes of userfaultfd.
bool has_userfault_flag(std::string_view flags) {
  while (!flags.empty()) {
    const std::string_view flag = take_word(flags);
    if (flag == "um" || flag == "uw" || flag == "ui") return true;
  }
  return false;
}

}  // namespace

Result<std::vector<MappedRange>> parse_smaps(std::string_view text) {
  constexpr std::string_view kFlags = "VmFlags:";
  std::vector<MappedRange> mapped;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    MappedRange range;
    if (parse_header(line, range)) {
      if (range.end <= range.begin || (!mapped.empty() && range.begin < mapped.back().end)) {
        return fail(ErrorCode::kInvalid, "not an smaps file: its mappings are out of order");
      }
      mapped.push_back(range);
    } else if (mapped.empty()) {
      return fail(ErrorCode::kInvalid, "not an smaps file: it does not begin with a mapping");
    } else if (line.starts_with(kFlags)) {
      mapped.back().has_userfault = has_userfault_flag(line.substr(kFlags.size()));
    }
  }
  return mapped;
}

Result<std::vector<MappedRange>> mapped_ranges(pid_t pid) {
  const std::string path = proc_path(pid, "smaps");
  ASSIGN_OR_RETURN(const Fd fd, open_file(path, O_RDONLY));
  Bytes bytes;  // the file says that it has no size, so it is read until it ends
  for (size_t size = 0, got = kReadBytes; got == kReadBytes; size += got) {
    if (size > kSmapsBytesMax) return fail(ErrorCode::kExhausted, path + " has no end");
    bytes.resize(size + kReadBytes);
    ASSIGN_OR_RETURN(got,
                     read_some_at(fd.get(), size, MutableByteSpan(bytes).last(kReadBytes), path));
    bytes.resize(size + got);
  }
  if (bytes.empty()) {
    return fail(ErrorCode::kGone, "process " + std::to_string(pid) + " has no memory any more");
  }
  return parse_smaps(as_text(bytes));
}

Result<PageScanner> PageScanner::open(pid_t pid) {
  ASSIGN_OR_RETURN(Fd fd, open_file(proc_path(pid, "pagemap"), O_RDONLY));
  PageScanner scanner(std::move(fd));
  const auto probe = scanner.populated(0, 0);
  if (!probe) return fail(probe.error());
  return scanner;
}

Result<std::vector<ScannedRange>> PageScanner::populated(uint64_t begin, uint64_t end) const {
  std::vector<ScannedRange> found;
  std::array<PageRegion, kRegionsAtOnce> regions;
  do {
    ScanRequest request{};
    request.size = sizeof request;
    request.start = begin;
    request.end = end;
    // SAFETY: the kernel writes at most vec_len regions there.
    request.vec = reinterpret_cast<uint64_t>(regions.data());
    request.vec_len = regions.size();
    request.category_anyof_mask = kPagePresent | kPageSwapped;
    request.return_mask = kPageWpAllowed | kPageWritten | kPageFile | kPagePresent | kPageSwapped;
    const int count = ::ioctl(fd_.get(), kPagemapScan, &request);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == ENOTTY) {
        return fail(ErrorCode::kUnsupported,
                    "this kernel has no PAGEMAP_SCAN (Linux 6.7); freeze the memory file that the "
                    "VMM writes instead");
      }
      return fail_errno("cannot scan the pages of the process", errno);
    }
    for (int i = 0; i < count; ++i) {
      const PageRegion& region = regions[static_cast<size_t>(i)];
      found.push_back({region.start, region.end, region.categories});
    }
    if (request.walk_end <= begin)
      break;  // nothing is left, and a kernel that stands still ends it
    begin = request.walk_end;
  } while (begin < end);
  return found;
}

}  // namespace thaw
