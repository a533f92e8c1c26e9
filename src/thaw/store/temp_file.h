// SPDX-License-Identifier: Apache-2.0
//
// TempFile: a file that is written before it has its name, so that a name never stands for half a
// file. It has no name at all (O_TMPFILE) where the file system can do that, and a dot-name in the
// same directory elsewhere; whoever dies before publishing leaves nothing, or one dot-file.
#pragma once

#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// One thread at a time. The destructor removes what was not published.
class TempFile {
 public:
  /// An empty file, mode 0600, in `directory`; kNotFound if that is missing. `allow_unnamed` =
  /// false behaves as on a file system without O_TMPFILE.
  static Result<TempFile> create(const std::string& directory, bool allow_unnamed);
  TempFile(TempFile&& other) noexcept = default;
  TempFile& operator=(TempFile&& other) noexcept;
  ~TempFile();

  int fd() const { return fd_.get(); }

  /// Appends; `path` of the final file is for the message.
  Result<void> write(ByteSpan data, const std::string& path);
  /// Asks the kernel to begin writing the data back, and does not wait.
  void start_writeback();
  /// Waits until the data have left the page cache and reports their loss. They may still stand in
  /// the device's cache: a sync of the file system has to follow.
  Result<void> wait_writeback(const std::string& path);

  /// Gives the file the name `path` in its directory. False if that name is taken. Needs a sync of
  /// the directory to be durable.
  Result<bool> link_as(const std::string& path);
  /// The same, in place of what has the name now.
  Result<void> rename_to(const std::string& path);

 private:
  TempFile(Fd fd, std::string directory, std::string name)
      : fd_(std::move(fd)), directory_(std::move(directory)), name_(std::move(name)) {}

  Fd fd_;
  std::string directory_;
  std::string name_;  // path of the dot-file to be removed; empty while the file has none
};

}  // namespace thaw
