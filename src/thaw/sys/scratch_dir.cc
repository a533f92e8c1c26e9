// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/scratch_dir.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr char kPrefix[] = "thaw-scratch-";

/// A lock on the directory; empty if somebody else has it or the directory has gone.
Fd lock_of(const std::string& path, int operation) {
  Result<Fd> directory = open_file(path, O_RDONLY | O_DIRECTORY);
  if (!directory || ::flock(directory->get(), operation) != 0) return {};
  return std::move(*directory);
}

/// The caller has the lock on `parent`.
void remove_unlocked(const std::string& parent) {
  std::error_code error;
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    if (entry.path().filename().string().starts_with(kPrefix)) found.push_back(entry.path());
  }
  for (const std::string& path : found) {
    const Fd lock = lock_of(path, LOCK_EX | LOCK_NB);
    if (lock) std::filesystem::remove_all(path, error);
  }
}

}  // namespace

void ScratchDir::remove_abandoned(const std::string& parent) {
  const Fd making = lock_of(parent, LOCK_EX);
  if (making) remove_unlocked(parent);
}

Result<std::unique_ptr<ScratchDir>> ScratchDir::make(const std::string& parent) {
  // Between a directory's making and its lock nobody may take it for an abandoned one.
  const Fd making = lock_of(parent, LOCK_EX);
  if (!making) return fail_errno("cannot use " + parent + " for scratch files", errno);
  remove_unlocked(parent);
  std::string path = parent + "/" + kPrefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return fail_errno("cannot make a scratch directory in " + parent, errno);
  }
  Fd lock = lock_of(path, LOCK_EX | LOCK_NB);
  if (!lock) return fail_errno("cannot lock " + path, errno);
  return std::unique_ptr<ScratchDir>(new ScratchDir(std::move(path), std::move(lock)));
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace thaw
