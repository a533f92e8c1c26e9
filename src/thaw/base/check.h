// SPDX-License-Identifier: Apache-2.0
//
// CHECK: an invariant of thaw's own code, always on; a false one is a bug and aborts with the
// expression and its place. DCHECK: the same on the hot path, in debug builds only. Neither is ever
// the answer to bad input, which is an Error.
#pragma once

namespace thaw {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}  // namespace thaw

#define CHECK(condition)                               \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::thaw::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define DCHECK(condition) CHECK(condition)
#endif
