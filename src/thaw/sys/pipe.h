// SPDX-License-Identifier: Apache-2.0
//
// Pipe: both ends of a pipe, closed on exec.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

struct Pipe {
  Fd read_end;
  Fd write_end;
};

inline Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("cannot make a pipe", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

/// Writes all of it. False if nobody reads any more, which raises no SIGPIPE: that a child has
/// ended is a result, not the end of this process. From any thread.
bool write_to_pipe(int fd, std::string_view text);

}  // namespace thaw
