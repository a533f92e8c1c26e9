// SPDX-License-Identifier: Apache-2.0
//
// ImageFile: an image of a snapshot (guest memory, device state, a disk) in a plain file or block
// device. Holes cost nothing. The file is read with pread and never mapped: a file that shrinks
// under a mapping kills the process, one that shrinks under pread is an error.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "thaw/freeze/image_source.h"
#include "thaw/image/manifest.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"

namespace thaw {

/// Immutable once open, so callable from many threads.
class ImageFile final : public ImageSource {
 public:
  /// A look at what data and what holes an open file of `bytes` bytes has; its error is open()'s.
  using ExtentCheck =
      std::function<Result<void>(int fd, std::span<const DataExtent> extents, uint64_t bytes)>;

  /// kNotFound if there is no such file; kInvalid if it is above 16 TiB, or if it is memory and
  /// empty or not a whole number of pages; what `check` says.
  static Result<std::unique_ptr<ImageFile>> open(const std::string& path, ImageKind kind,
                                                 const ExtentCheck& check = {});

  const std::string& describe() const override { return path_; }
  uint64_t bytes() const override { return version_.bytes; }
  std::span<const PageRun> data_runs() const override { return data_runs_; }
  Result<void> read_pages(PageRun run, MutableByteSpan out) const override;

  /// Compares size and time of modification. A block device has no such time: for one, only a
  /// change of size is seen. A writer through a shared mapping moves the time when the kernel gets
  /// to know of it (at the latest at msync), so this is a net under the caller's duty to pause the
  /// VM, no proof.
  Result<void> check_unchanged() const override;

 private:
  /// What tells two states of a file apart.
  struct Version {
    uint64_t bytes = 0;
    int64_t modified_ns = 0;  // 0 for a block device
    friend bool operator==(const Version&, const Version&) = default;
  };

  ImageFile(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<Version> version_now() const;
  tl::unexpected<Error> changed(const std::string& how) const;

  std::string path_;
  Fd fd_;
  Version version_;
  std::vector<PageRun> data_runs_;
};

}  // namespace thaw
