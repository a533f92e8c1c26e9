// SPDX-License-Identifier: Apache-2.0
//
// Finding: one line of `thaw doctor`.
#pragma once

#include <string>
#include <vector>

namespace thaw {

enum class Health {
  kOk,
  kWarn,  // works, but not all of it or not at full speed
  kFail,  // a verb cannot work
};

struct Finding {
  std::string check;
  Health health = Health::kOk;
  std::string found;
  std::string advice;  // what to do; empty if nothing
};

/// What the machine offers: kernel, userfaultfd, FUSE, limits, processor. Measures for about a
/// fifth of a second.
std::vector<Finding> examine_machine();

}  // namespace thaw
