// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/cache_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "thaw/base/log.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

/// Somebody who only looks holds the lock for a moment: tries, and the time between them.
constexpr int kLockTries = 5;
constexpr std::chrono::milliseconds kLockRetry{20};
/// The unit of st_blocks.
constexpr uint64_t kStatBlockBytes = 512;

struct alignas(kPageBytes) Page {
  std::array<std::byte, kPageBytes> bytes{};
};

std::string others_of(const std::string& path) {
  return "remove " + path + " or give the disk cache another path";
}

Result<struct stat> status_of(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail_errno("cannot stat " + path, errno);
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kInvalid,
                path + " is not a regular file; give the disk cache the path of a file");
  }
  return status;
}

/// The errors that people make most, said with what to do about them.
Error open_error(const std::string& path, int error_number) {
  std::string what = "cannot open the disk cache " + path;
  Error error = errno_error(std::move(what), error_number);
  if (error_number == ENOENT) error.message += " (make its directory first)";
  if (error_number == EROFS) error.message += " (mount it writable or choose another path)";
  if (error_number == EACCES || error_number == EPERM) {
    error.message += " (make the file and its directory writable for this user)";
  }
  return error;
}

bool read_page(int fd, uint64_t offset, Page& page) {
  return ::pread(fd, page.bytes.data(), page.bytes.size(), static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(page.bytes.size());
}

uint32_t owner_of(int fd) {
  Page page;
  return read_page(fd, kOwnerOffset, page) ? decode_owner(page.bytes) : 0;
}

Result<void> lock_file(int fd, const std::string& path) {
  for (int attempt = 1; ::flock(fd, LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno("cannot lock the disk cache " + path, errno);
    if (attempt < kLockTries) {
      std::this_thread::sleep_for(kLockRetry);
      continue;
    }
    const uint32_t pid = owner_of(fd);
    return fail(ErrorCode::kUnavailable,
                "the disk cache " + path + " is in use by " +
                    (pid == 0 ? "another process" : "pid " + std::to_string(pid)) +
                    "; stop it or choose another path");
  }
  return {};
}

/// The superblock, or what stands in its way as an error.
Result<Superblock> read_superblock(int fd, const std::string& path, SuperblockFault* fault) {
  Page page;
  auto decoded = read_page(fd, kSuperblockOffset, page) ? decode_superblock(page.bytes)
                                                        : tl::unexpected(SuperblockFault::kForeign);
  if (decoded) return *decoded;
  *fault = decoded.error();
  switch (*fault) {
    case SuperblockFault::kForeign:
      return fail(ErrorCode::kInvalid, path + " is no disk cache; " + others_of(path));
    case SuperblockFault::kOtherVersion:
      return fail(ErrorCode::kUnsupported, path + " is a disk cache of another version than " +
                                               std::to_string(kCacheVersion) + "; " +
                                               others_of(path));
    case SuperblockFault::kDamaged:
      break;
  }
  return fail(ErrorCode::kCorrupt,
              path + " is a disk cache with a damaged superblock; " + others_of(path));
}

}  // namespace

Result<std::unique_ptr<CacheFile>> CacheFile::open(const CacheFileOptions& options) {
  ASSIGN_OR_RETURN(const CacheGeometry wanted, geometry_for(options.bytes_max, options.slot_bytes));
  // Not through open_file(): the message is another.
  Fd fd(::open(options.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!fd) return fail(open_error(options.path, errno));
  auto file = std::unique_ptr<CacheFile>(new CacheFile(std::move(fd), options));
  TRY(status_of(file->fd(), options.path));
  TRY(lock_file(file->fd(), options.path));
  if (!file->in_place()) {
    return fail(ErrorCode::kUnavailable,
                options.path + " was removed or replaced while it was being opened; try again");
  }
  TRY(file->adopt(options, wanted));
  if (options.direct_io) file->use_direct_io();
  Page page;
  encode_owner(static_cast<uint32_t>(::getpid()), page.bytes);
  TRY(file->blocks_.write(kOwnerOffset, page.bytes, {}));
  return file;
}

CacheFile::~CacheFile() {
  if (!superblock_.ready) return;  // never ours
  Page page;
  encode_owner(0, page.bytes);
  // The page is for messages only, so its failure is nobody's concern.
  static_cast<void>(blocks_.write(kOwnerOffset, page.bytes, {}));
}

bool CacheFile::in_place() const {
  struct stat opened{};
  struct stat named{};
  return ::fstat(fd(), &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

Result<void> CacheFile::adopt(const CacheFileOptions& options, const CacheGeometry& wanted) {
  ASSIGN_OR_RETURN(const struct stat status, status_of(fd(), path_));
  if (status.st_size == 0) {
    outcome_ = Outcome::kMade;
    return make(wanted);
  }
  SuperblockFault fault{};
  Result<Superblock> found = read_superblock(fd(), path_, &fault);
  std::string why_empty;  // empty: it is kept
  if (!found) {
    if (fault == SuperblockFault::kDamaged) why_empty = "its superblock is damaged";
    if (fault == SuperblockFault::kOtherVersion && options.recreate) {
      why_empty = "it is of another version";
    }
    if (why_empty.empty()) return fail(std::move(found).error());
  } else if (found->geometry.slot_bytes != wanted.slot_bytes) {
    const std::string sizes = "slots of " + human_bytes(found->geometry.slot_bytes) + ", not " +
                              human_bytes(wanted.slot_bytes);
    if (!options.recreate) {
      return fail(ErrorCode::kInvalid, path_ + " is a disk cache with " + sizes +
                                           "; change the slot size back, or " + others_of(path_));
    }
    why_empty = "it has " + sizes;
  } else if (!found->ready) {
    why_empty = "it was not finished";
  }
  if (!why_empty.empty()) {
    log_warning("the disk cache " + path_ + " is emptied: " + why_empty);
    outcome_ = Outcome::kEmptied;
    return make(wanted);
  }
  superblock_ = *found;
  return resize(wanted, static_cast<uint64_t>(status.st_size));
}

Result<void> CacheFile::make(const CacheGeometry& wanted) {
  superblock_.geometry = wanted;
  if (::getrandom(superblock_.file_id.data(), superblock_.file_id.size(), 0) !=
      static_cast<ssize_t>(superblock_.file_id.size())) {
    return fail_errno("cannot make an id for " + path_, errno);
  }
  if (::ftruncate(fd(), 0) != 0) return fail_errno("cannot empty " + path_, errno);
  // Says whose file it is before it has a size worth mentioning: a crash from here on leaves a
  // file that the next open may empty.
  Result<void> made = write_superblock(false);
  if (made) made = allocate(wanted.file_bytes());
  if (made) made = write_superblock(true);
  // The space goes back to whoever needs it, and an empty file is in nobody's way.
  if (!made && ::ftruncate(fd(), 0) != 0) log_warning("cannot empty " + path_);
  return made;
}

Result<void> CacheFile::resize(const CacheGeometry& wanted, uint64_t file_bytes) {
  const CacheGeometry found = superblock_.geometry;
  if (file_bytes < found.file_bytes()) {
    log_warning("the disk cache " + path_ + " was cut to " + human_bytes(file_bytes) +
                "; what is missing is filled up with free slots");
  }
  if (wanted == found) return allocate(wanted.file_bytes());
  outcome_ = Outcome::kResized;
  superblock_.geometry = wanted;
  // The superblock never promises more than is there: first the blocks, then the word, and the
  // other way round for a shorter file.
  if (wanted.slots > found.slots) {
    Result<void> grown = allocate(wanted.file_bytes());
    if (!grown) {
      superblock_.ready = false;  // not taken over: nothing is written any more
      if (::ftruncate(fd(), static_cast<off_t>(file_bytes)) != 0) {
        log_warning("cannot cut " + path_ + " back");
      }
      return grown;
    }
    return write_superblock(true);
  }
  TRY(write_superblock(true));
  if (::ftruncate(fd(), static_cast<off_t>(wanted.file_bytes())) != 0) {
    return fail_errno("cannot shorten " + path_, errno);
  }
  return {};
}

Result<void> CacheFile::allocate(uint64_t file_bytes) {
  ASSIGN_OR_RETURN(const struct stat status, status_of(fd(), path_));
  struct statvfs space{};
  if (::fstatvfs(fd(), &space) != 0) return fail_errno("cannot stat " + path_, errno);
  const uint64_t free_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  const uint64_t have = static_cast<uint64_t>(status.st_blocks) * kStatBlockBytes;
  const auto too_small = [&] {
    return fail(ErrorCode::kExhausted, "the disk cache " + path_ + " takes " +
                                           human_bytes(file_bytes) + ", has " + human_bytes(have) +
                                           ", and its file system has " + human_bytes(free_bytes) +
                                           " free; free some space or set a smaller cache");
  };
  // Asked first: fallocate takes all the space there is before it fails.
  if (file_bytes > have && file_bytes - have > free_bytes) return too_small();
  int outcome = 0;
  do {
    outcome = ::fallocate(fd(), 0, 0, static_cast<off_t>(file_bytes));
  } while (outcome != 0 && errno == EINTR);
  if (outcome != 0 && errno == EOPNOTSUPP) {
    log_warning("the file system of " + path_ +
                " cannot reserve space; the disk cache may meet a full disk later");
    outcome = static_cast<uint64_t>(status.st_size) >= file_bytes
                  ? 0
                  : ::ftruncate(fd(), static_cast<off_t>(file_bytes));
  }
  if (outcome != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) return too_small();
  if (outcome != 0) return fail_errno("cannot allocate the blocks of " + path_, errno);
  return {};
}

Result<void> CacheFile::write_superblock(bool ready) {
  superblock_.ready = ready;
  Page page;
  encode_superblock(superblock_, page.bytes);
  Result<void> written = blocks_.write(kSuperblockOffset, page.bytes, {});
  if (written && ::fdatasync(fd()) != 0) written = fail_errno("cannot sync " + path_, errno);
  if (!written) superblock_.ready = false;
  return written;
}

void CacheFile::use_direct_io() {
  const int flags = ::fcntl(fd(), F_GETFL);
  if (flags < 0 || ::fcntl(fd(), F_SETFL, flags | O_DIRECT) != 0) return;
  // A disk with blocks of more than a page accepts the flag and refuses the reads.
  Page page;
  direct_io_ = blocks_.read(kSuperblockOffset, page.bytes, {}).has_value();
  if (!direct_io_) static_cast<void>(::fcntl(fd(), F_SETFL, flags));
}

Result<CacheFileGlance> glance_at_cache_file(const std::string& path) {
  CacheFileGlance glance;
  ASSIGN_OR_RETURN(glance.fd, open_file(path, O_RDONLY | O_NONBLOCK));
  TRY(status_of(glance.fd.get(), path));
  SuperblockFault fault{};
  ASSIGN_OR_RETURN(glance.superblock, read_superblock(glance.fd.get(), path, &fault));
  glance.locked = ::flock(glance.fd.get(), LOCK_SH | LOCK_NB) != 0;
  if (!glance.locked) static_cast<void>(::flock(glance.fd.get(), LOCK_UN));
  if (glance.locked) glance.owner_pid = owner_of(glance.fd.get());
  return glance;
}

}  // namespace thaw
