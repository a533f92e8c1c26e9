// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

namespace thaw {
namespace {

template <typename Call>
auto retry_interrupted(Call&& call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

std::string parent_of(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

}  // namespace

Result<Fd> open_file(const std::string& path, int flags, unsigned mode) {
  Fd fd(retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd) return fail_errno("cannot open " + path, errno);
  return fd;
}

Result<uint64_t> file_size(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail_errno("cannot stat " + path, errno);
  if (S_ISDIR(status.st_mode)) return fail_errno("cannot read " + path, EISDIR);
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  const off_t end = ::lseek(fd, 0, SEEK_END);  // a block device has no st_size
  if (end < 0) {
    return fail(ErrorCode::kInvalid, "cannot take the size of " + path +
                                         ": it is neither a file nor a block device; give a file");
  }
  return static_cast<uint64_t>(end);
}

Result<size_t> read_some_at(int fd, uint64_t offset, MutableByteSpan out, const std::string& path) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = retry_interrupted([&] {
      return ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    });
    if (got < 0) {
      return fail_errno("cannot read " + path + " at byte " + std::to_string(offset + done), errno);
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Result<void> read_exact_at(int fd, uint64_t offset, MutableByteSpan out, const std::string& path) {
  ASSIGN_OR_RETURN(const size_t got, read_some_at(fd, offset, out, path));
  if (got != out.size()) {
    return fail(ErrorCode::kCorrupt, path + " ends early: " + std::to_string(out.size()) +
                                         " bytes expected at byte " + std::to_string(offset) +
                                         ", " + std::to_string(got) + " are there");
  }
  return {};
}

Result<void> write_all(int fd, ByteSpan data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t put = retry_interrupted([&] { return ::write(fd, data.data(), data.size()); });
    if (put < 0) return fail_errno("cannot write " + path, errno);
    data = data.subspan(static_cast<size_t>(put));
  }
  return {};
}

Result<void> write_all_at(int fd, uint64_t offset, ByteSpan data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t put = retry_interrupted(
        [&] { return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (put < 0) {
      return fail_errno("cannot write " + path + " at byte " + std::to_string(offset), errno);
    }
    offset += static_cast<uint64_t>(put);
    data = data.subspan(static_cast<size_t>(put));
  }
  return {};
}

Result<Bytes> read_file(const std::string& path, uint64_t bytes_max) {
  ASSIGN_OR_RETURN(const Fd fd, open_file(path, O_RDONLY));
  ASSIGN_OR_RETURN(const uint64_t size, file_size(fd.get(), path));
  if (size > bytes_max) {
    return fail(ErrorCode::kExhausted, path + " has " + std::to_string(size) +
                                           " bytes, more than the limit of " +
                                           std::to_string(bytes_max));
  }
  Bytes bytes(static_cast<size_t>(size));
  TRY(read_exact_at(fd.get(), 0, bytes, path));
  return bytes;
}

Result<void> make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return fail_errno("cannot make the directory " + path, errno);
  const std::string parent = parent_of(path);
  if (parent == path) return fail_errno("cannot make the directory " + path, ENOENT);
  TRY(make_directories(parent, mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return fail_errno("cannot make the directory " + path, errno);
  }
  return sync_directory(parent);
}

Result<void> sync_directory(const std::string& path) {
  ASSIGN_OR_RETURN(const Fd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return fail_errno("cannot sync the directory " + path, errno);
  return {};
}

Result<void> replace_file(const std::string& path, ByteSpan data, unsigned mode) {
  // The counter keeps two threads apart, the process id two processes.
  static std::atomic<uint64_t> counter{0};
  const std::string temporary = path + ".tmp." + std::to_string(::getpid()) + "." +
                                std::to_string(counter.fetch_add(1, std::memory_order_relaxed));
  const auto write_temporary = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Fd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    TRY(write_all(fd.get(), data, temporary));
    if (::fsync(fd.get()) != 0) return fail_errno("cannot sync " + temporary, errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return fail_errno("cannot rename " + temporary + " to " + path, errno);
    }
    return {};
  };
  Result<void> written = write_temporary();
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_directory(parent_of(path));
}

Result<std::vector<DataExtent>> data_extents(int fd, uint64_t size, const std::string& path) {
  std::vector<DataExtent> extents;
  uint64_t position = 0;
  while (position < size) {
    const off_t data = ::lseek(fd, static_cast<off_t>(position), SEEK_DATA);
    if (data < 0) {
      if (errno == ENXIO) break;  // nothing but a hole up to the end
      if (errno == EINVAL && extents.empty()) return std::vector<DataExtent>{{0, size}};
      return fail_errno("cannot find the data of " + path, errno);
    }
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return fail_errno("cannot find the holes of " + path, errno);
    const uint64_t end = std::min<uint64_t>(static_cast<uint64_t>(hole), size);
    if (static_cast<uint64_t>(data) >= end)
      break;  // the file shrank; the read that follows says so
    extents.push_back({static_cast<uint64_t>(data), end - static_cast<uint64_t>(data)});
    position = end;
  }
  return extents;
}

}  // namespace thaw
