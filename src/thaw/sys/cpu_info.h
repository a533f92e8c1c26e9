// SPDX-License-Identifier: Apache-2.0
//
// What /proc/cpuinfo tells of the first processor.
#pragma once

#include <set>
#include <string>

namespace thaw {

/// Its name; empty where the kernel tells none.
std::string cpu_model();

/// What it can do, in the kernel's words: "flags" of x86, "Features" of Arm; empty if it cannot be
/// read.
std::set<std::string> cpu_flags();

}  // namespace thaw
