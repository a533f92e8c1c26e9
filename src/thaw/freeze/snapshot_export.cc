// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_export.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <vector>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/secret.h"
#include "thaw/freeze/chunk_sweep.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

/// kInvalid or kExists unless the path may be written.
Result<void> require_writable_path(const std::string& path, bool overwrite) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno("cannot stat " + path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kInvalid, path + " is not a regular file; export to another path");
  }
  if (!overwrite) {
    return fail(ErrorCode::kExists,
                path + " is there already; choose another path or overwrite it");
  }
  return {};
}

/// A file under a temporary name beside its final one, removed unless it was published.
class PendingFile {
 public:
  static Result<PendingFile> create(const std::string& path) {
    static std::atomic<uint64_t> counter{0};  // keeps two exports of one process apart
    const std::string temporary = path + ".thaw-" + std::to_string(::getpid()) + "-" +
                                  std::to_string(counter.fetch_add(1, std::memory_order_relaxed));
    ASSIGN_OR_RETURN(Fd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
    return PendingFile(path, temporary, std::move(fd));
  }
  PendingFile(PendingFile&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::exchange(other.temporary_, {})),
        fd_(std::move(other.fd_)) {}
  PendingFile& operator=(PendingFile&&) = delete;
  ~PendingFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  int fd() const { return fd_.get(); }
  const std::string& temporary() const { return temporary_; }

  /// Makes the content durable, then the name.
  Result<void> publish(bool overwrite) {
    if (::fsync(fd_.get()) != 0) return fail_errno("cannot sync " + temporary_, errno);
    TRY(rename_to_path(overwrite));
    temporary_.clear();
    const std::string parent = std::filesystem::path(path_).parent_path();
    return sync_directory(parent.empty() ? "." : parent);
  }

 private:
  PendingFile(std::string path, std::string temporary, Fd fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

  Result<void> rename_to_path(bool overwrite) {
    const unsigned flags = overwrite ? 0 : RENAME_NOREPLACE;
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), flags) == 0) return {};
    if (errno == EINVAL && !overwrite) {
      // The file system (NFS, for one) cannot; look first, which leaves a gap but loses no data of
      // ours.
      TRY(require_writable_path(path_, false));
      if (::rename(temporary_.c_str(), path_.c_str()) == 0) return {};
    }
    return fail_errno("cannot rename " + temporary_ + " to " + path_, errno);
  }

  std::string path_;
  std::string temporary_;
  Fd fd_;
};

/// Decrypts chunks and writes their pages where the image wants them.
class ImageWriter {
 public:
  ImageWriter(const Manifest& manifest, const Image& image, const PendingFile& file,
              unsigned threads)
      : manifest_(manifest),
        image_(image),
        file_(file),
        index_(image.map, manifest.clear.chunks.size()) {
    for (unsigned i = 0; i < threads; ++i) {
      workers_.push_back({CtrCipher(), SecretBytes(manifest.clear.chunk_bytes)});
    }
  }

  /// The chunks that hold pages of the image, ascending.
  std::vector<uint32_t> chunks() const {
    std::vector<uint32_t> used;
    for (uint32_t chunk = 0; chunk < manifest_.clear.chunks.size(); ++chunk) {
      if (!index_.extents_of(chunk).empty()) used.push_back(chunk);
    }
    return used;
  }

  Result<void> write(unsigned worker, uint32_t chunk, ByteSpan ciphertext) {
    auto& [cipher, plaintext] = workers_[worker];
    cipher.set_key(manifest_.chunk_key(chunk));
    decrypt_pages(cipher, ciphertext, 0, manifest_.clear.chunks[chunk].pages, plaintext.data());
    for (const uint32_t index : index_.extents_of(chunk)) {
      const Extent& extent = image_.map.extents()[index];
      const uint64_t offset = uint64_t{extent.page} * kPageBytes;
      // The last page may go past the end of the image; its padding is not part of it.
      const uint64_t bytes =
          std::min<uint64_t>(uint64_t{extent.count} * kPageBytes, image_.bytes - offset);
      const ByteSpan pages =
          plaintext.span().subspan(size_t{extent.slot} * kPageBytes, static_cast<size_t>(bytes));
      TRY(write_all_at(file_.fd(), offset, pages, file_.temporary()));
      bytes_written_.fetch_add(bytes, std::memory_order_relaxed);
    }
    return {};
  }

  uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Worker {
    CtrCipher cipher;
    SecretBytes plaintext;
  };

  const Manifest& manifest_;
  const Image& image_;
  const PendingFile& file_;
  const ChunkIndex index_;
  std::vector<Worker> workers_;
  std::atomic<uint64_t> bytes_written_{0};
};

}  // namespace

Result<ExportStats> export_image(const ObjectStore& store, const Manifest& manifest,
                                 const Image& image, const std::string& path,
                                 const ExportOptions& options, Progress& progress) {
  const auto started = std::chrono::steady_clock::now();
  TRY(require_writable_path(path, options.overwrite));
  ASSIGN_OR_RETURN(PendingFile file, PendingFile::create(path));
  if (::ftruncate(file.fd(), static_cast<off_t>(image.bytes)) != 0) {
    return fail_errno("cannot make " + path + " " + human_bytes(image.bytes) + " long", errno);
  }
  const SweepOptions sweep{options.threads, 2, false};
  ImageWriter writer(manifest, image, file, sweep_threads(manifest.clear, sweep));
  const std::vector<uint32_t> chunks = writer.chunks();
  uint64_t chunk_bytes = 0;
  for (const uint32_t chunk : chunks) {
    chunk_bytes += uint64_t{manifest.clear.chunks[chunk].pages} * kPageBytes;
  }
  progress.bytes_total = chunk_bytes;
  progress.bytes_done = 0;
  ASSIGN_OR_RETURN(SweepReport report,
                   sweep_chunks(store, manifest.clear, chunks, sweep, progress,
                                [&writer](unsigned worker, uint32_t chunk, ByteSpan ciphertext) {
                                  return writer.write(worker, chunk, ciphertext);
                                }));
  if (!report.failures.empty()) return fail(std::move(report.failures.front().error));
  TRY(file.publish(options.overwrite));
  ExportStats stats;
  stats.bytes_total = image.bytes;
  stats.bytes_written = writer.bytes_written();
  stats.chunks_read = report.chunks_good;
  stats.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return stats;
}

}  // namespace thaw
