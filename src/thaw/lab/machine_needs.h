// SPDX-License-Identifier: Apache-2.0
//
// MachineNeeds: what the cells of a scenario need of the machine besides memory and disk, and
// whether it is there: asked before the first measurement, because a run takes minutes to hours.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "thaw/base/result.h"
#include "thaw/lab/cell.h"

namespace thaw {

/// How many cells need it.
struct MachineNeeds {
  size_t uffd = 0;
  size_t fuse = 0;
  size_t memcached = 0;
  size_t qemu = 0;
  size_t firecracker = 0;  // with a KVM that is no emulation
  size_t direct_io = 0;    // of the output's file system
  friend bool operator==(const MachineNeeds&, const MachineNeeds&) = default;
};

MachineNeeds needs_of(std::span<const Cell> cells);

/// Asks only for what is needed. kDenied or kUnsupported, with how many cells need it and what to
/// do. Makes nothing.
Result<void> check_machine(const MachineNeeds& needs);

/// kUnsupported if the directory's file system has no direct I/O, with `cells` that need it. Makes
/// a file there and takes it away.
Result<void> check_direct_io(const std::string& directory, size_t cells);

}  // namespace thaw
