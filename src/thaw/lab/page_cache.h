// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's page cache holds of a file before it is measured: all of it, or nothing.
#pragma once

#include <string>

#include "thaw/base/result.h"

namespace thaw {

/// Reads the file, so that the page cache has it.
Result<void> read_into_page_cache(const std::string& path);
/// Writes what is dirty and drops all of it. Other processes' mappings of the file keep theirs.
Result<void> drop_page_cache(const std::string& path);

}  // namespace thaw
