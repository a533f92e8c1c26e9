// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/temp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "thaw/crypto/secret.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

std::string random_name(const std::string& directory) {
  std::array<std::byte, 8> random;
  fill_random(random);
  return directory + "/.thaw-tmp-" + to_hex(random);
}

/// sync_file_range() is a hint about writeback; a file system without it has nothing to wait for.
bool has_no_writeback(int error) {
  return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == ESPIPE;
}

/// Names the file behind `fd`; 0 or errno.
int link_fd(int fd, const std::string& path) {
  if (::linkat(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOENT && errno != EPERM && errno != EINVAL) return errno;
  // Without CAP_DAC_READ_SEARCH older kernels want the way through /proc (open(2), O_TMPFILE).
  const std::string by_number = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, by_number.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0)
    return 0;
  return errno;
}

}  // namespace

Result<TempFile> TempFile::create(const std::string& directory, bool allow_unnamed) {
  if (allow_unnamed) {
    Result<Fd> fd = open_file(directory, O_TMPFILE | O_RDWR, 0600);
    if (fd) return TempFile(std::move(*fd), directory, "");
    // EOPNOTSUPP from a file system that cannot, EISDIR (an "invalid" input) from a kernel that
    // cannot.
    if (fd.error().code != ErrorCode::kUnsupported && fd.error().code != ErrorCode::kInvalid) {
      return fail(std::move(fd).error());
    }
  }
  std::string name = random_name(directory);
  ASSIGN_OR_RETURN(Fd fd, open_file(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return TempFile(std::move(fd), directory, std::move(name));
}

TempFile& TempFile::operator=(TempFile&& other) noexcept {
  std::swap(fd_, other.fd_);  // `other` removes what was here
  std::swap(directory_, other.directory_);
  std::swap(name_, other.name_);
  return *this;
}

TempFile::~TempFile() {
  if (fd_ && !name_.empty()) ::unlink(name_.c_str());
}

Result<void> TempFile::write(ByteSpan data, const std::string& path) {
  return write_all(fd_.get(), data, path);
}

void TempFile::start_writeback() {
  ::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);  // a failure shows in wait_writeback()
}

Result<void> TempFile::wait_writeback(const std::string& path) {
  constexpr unsigned kAll =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  while (::sync_file_range(fd_.get(), 0, 0, kAll) != 0) {
    if (errno == EINTR) continue;
    if (has_no_writeback(errno)) break;
    return fail_errno("cannot write back " + path, errno);
  }
  return {};
}

Result<bool> TempFile::link_as(const std::string& path) {
  const int error = name_.empty()                              ? link_fd(fd_.get(), path)
                    : ::link(name_.c_str(), path.c_str()) == 0 ? 0
                                                               : errno;
  if (error == EEXIST) return false;
  if (error != 0) return fail_errno("cannot give " + path + " its name", error);
  return true;  // a dot-name goes with the destructor
}

Result<void> TempFile::rename_to(const std::string& path) {
  if (name_.empty()) {
    std::string name = random_name(directory_);
    const int error = link_fd(fd_.get(), name);
    if (error != 0) return fail_errno("cannot give " + path + " a temporary name", error);
    name_ = std::move(name);
  }
  if (::rename(name_.c_str(), path.c_str()) != 0)
    return fail_errno("cannot replace " + path, errno);
  name_.clear();
  return {};
}

}  // namespace thaw
