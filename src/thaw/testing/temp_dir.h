// SPDX-License-Identifier: Apache-2.0
//
// TempDir: a directory that goes away with the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "thaw/base/check.h"

namespace thaw {

class TempDir {
 public:
  /// `parent` chooses the file system, for instance /dev/shm.
  explicit TempDir(const std::string& parent = std::filesystem::temp_directory_path()) {
    path_ = parent + "/thaw-test-XXXXXX";
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace thaw
