// SPDX-License-Identifier: Apache-2.0
//
// ScratchDir: a directory of a name of its own that goes away with its owner.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>

#include "thaw/base/result.h"

namespace thaw {

class ScratchDir {
 public:
  /// In `parent`, which chooses the file system.
  static Result<std::unique_ptr<ScratchDir>> make(const std::string& parent) {
    std::string path = parent + "/thaw-lab-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return fail_errno("cannot make a scratch directory in " + parent, errno);
    }
    return std::unique_ptr<ScratchDir>(new ScratchDir(std::move(path)));
  }
  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit ScratchDir(std::string path) : path_(std::move(path)) {}

  const std::string path_;
};

}  // namespace thaw
