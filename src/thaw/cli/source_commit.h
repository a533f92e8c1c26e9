// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace thaw {

/// The git commit that this thaw was built from, in hexadecimal; "+" after it if what is built had
/// changes; empty if it was not built in a git checkout. Its definition is written by each build
/// (cmake/WriteSourceCommit.cmake): one object depends on it.
const char* source_commit();

}  // namespace thaw
