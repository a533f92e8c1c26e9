// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/pipe.h"

#include <csignal>
#include <ctime>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"

namespace thaw {

bool write_to_pipe(int fd, std::string_view text) {
  sigset_t pipe_signal;
  sigset_t before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const bool written = write_all(fd, as_bytes(text), "a pipe").has_value();
  if (!written) {
    const timespec at_once{};
    while (::sigtimedwait(&pipe_signal, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return written;
}

}  // namespace thaw
