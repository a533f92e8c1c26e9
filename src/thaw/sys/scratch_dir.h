// SPDX-License-Identifier: Apache-2.0
//
// ScratchDir: a directory of a name of its own that goes away with its owner; and if the owner is
// killed, with the next one that is made beside it.
#pragma once

#include <memory>
#include <string>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

class ScratchDir {
 public:
  /// In `parent`, which chooses the file system and exists. Removes what killed owners left there.
  static Result<std::unique_ptr<ScratchDir>> make(const std::string& parent);
  /// Removes what killed owners left there, as far as this user may.
  static void remove_abandoned(const std::string& parent);
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  ScratchDir(std::string path, Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  const std::string path_;
  const Fd lock_;  // of the directory: it ends with the process
};

}  // namespace thaw
