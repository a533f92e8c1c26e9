// SPDX-License-Identifier: Apache-2.0
//
// thaw: the command.
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "thaw/base/chunk_heap.h"
#include "thaw/cli/command_line.h"
#include "thaw/sys/process.h"

int main(int argc, char** argv) {
  thaw::keep_freed_chunks();
  // Before a key is read, whatever the verb.
  if (const auto hardened = thaw::harden_process(); !hardened) {
    std::fprintf(stderr, "thaw: %s\n", hardened.error().message.c_str());
    return static_cast<int>(thaw::ExitCode::kFailed);
  }
  // A reader that goes away must not end a page server; writes fail with EPIPE instead.
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return static_cast<int>(thaw::run_command_line(std::move(arguments),
                                                 thaw::Environment::of_process(), stdout, stderr));
}
