// SPDX-License-Identifier: Apache-2.0
//
// What is asked of the file system that files are to be on.
#pragma once

#include <cstdint>
#include <string>

#include "thaw/base/result.h"

namespace thaw {

/// The directory, or the nearest above it that exists: where it would be made.
std::string nearest_directory(const std::string& path);

/// Its type's name ("ext4"); its number in hexadecimal if it is not known here; empty if there is
/// none.
std::string file_system_of(const std::string& directory);

/// What this user may still write there.
Result<uint64_t> free_bytes(const std::string& directory);

}  // namespace thaw
