// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace thaw {

void check_failed(const char* expression, const char* file, int line) {
  // stderr and not the log: the log may be what is broken.
  std::fprintf(stderr, "thaw: bug: CHECK(%s) failed at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace thaw
