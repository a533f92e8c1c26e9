// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "thaw/base/check.h"

namespace thaw {
namespace {

Result<void> validate_size(uint64_t bytes, ImageKind kind, const std::string& path) {
  if (pages_for(bytes) > kImagePagesMax) {
    return fail(ErrorCode::kInvalid,
                path + " has " + std::to_string(bytes) + " bytes; an image has at most 16 TiB");
  }
  if (kind != ImageKind::kMemory) return {};
  if (bytes == 0 || bytes % kPageBytes != 0) {
    return fail(ErrorCode::kInvalid,
                path + " has " + std::to_string(bytes) +
                    " bytes; guest memory is a multiple of 4096 bytes and not empty: give the "
                    "memory file that the VMM wrote");
  }
  return {};
}

/// The pages that the extents touch. A file system with blocks below 4 KiB may tell extents that
/// share a page.
std::vector<PageRun> pages_of(const std::vector<DataExtent>& extents) {
  std::vector<PageRun> runs;
  for (const DataExtent& extent : extents) {
    const uint64_t begin = extent.offset / kPageBytes;
    const uint64_t end = pages_for(extent.offset + extent.bytes);
    if (!runs.empty() && begin <= runs.back().end()) {
      runs.back().count = std::max(runs.back().end(), end) - runs.back().page;
    } else {
      runs.push_back({begin, end - begin});
    }
  }
  return runs;
}

}  // namespace

Result<std::unique_ptr<ImageFile>> ImageFile::open(const std::string& path, ImageKind kind,
                                                   const ExtentCheck& check) {
  ASSIGN_OR_RETURN(Fd fd, open_file(path, O_RDONLY));
  std::unique_ptr<ImageFile> file(new ImageFile(path, std::move(fd)));
  ASSIGN_OR_RETURN(file->version_, file->version_now());
  TRY(validate_size(file->bytes(), kind, path));
  ASSIGN_OR_RETURN(const std::vector<DataExtent> extents,
                   data_extents(file->fd_.get(), file->bytes(), path));
  if (check) TRY(check(file->fd_.get(), extents, file->bytes()));
  file->data_runs_ = pages_of(extents);
  // Advice: a refusal changes nothing but the readahead.
  ::posix_fadvise(file->fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

Result<void> ImageFile::read_pages(PageRun run, MutableByteSpan out) const {
  DCHECK(out.size() == run.count * kPageBytes && run.end() <= pages_for(bytes()));
  const uint64_t offset = run.page * kPageBytes;
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), bytes() - offset));
  ASSIGN_OR_RETURN(const size_t got, read_some_at(fd_.get(), offset, out.first(wanted), path_));
  if (got != wanted) return changed("it ends at byte " + std::to_string(offset + got) + " now");
  std::fill(out.begin() + static_cast<ptrdiff_t>(wanted), out.end(), std::byte{0});
  return {};
}

Result<void> ImageFile::check_unchanged() const {
  ASSIGN_OR_RETURN(const Version now, version_now());
  if (now.bytes != version_.bytes) {
    return changed("it had " + std::to_string(version_.bytes) + " bytes and has " +
                   std::to_string(now.bytes) + " now");
  }
  if (now != version_) return changed("it was written to");
  return {};
}

Result<ImageFile::Version> ImageFile::version_now() const {
  ASSIGN_OR_RETURN(const uint64_t bytes, file_size(fd_.get(), path_));
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return fail_errno("cannot stat " + path_, errno);
  if (!S_ISREG(status.st_mode)) return Version{bytes, 0};
  return Version{bytes, int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

tl::unexpected<Error> ImageFile::changed(const std::string& how) const {
  return fail(ErrorCode::kInvalid, path_ + " changed while it was read: " + how +
                                       "; pause the VM until the snapshot is frozen");
}

}  // namespace thaw
