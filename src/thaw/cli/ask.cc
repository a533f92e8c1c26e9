// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/ask.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

namespace thaw {

std::optional<bool> ask(const std::string& question, const Output& out) {
  if (out.json() || ::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) return {};
  std::fprintf(stderr, "thaw: %s [y/N] ", printable(question).c_str());
  std::fflush(stderr);
  std::string line;
  std::getline(std::cin, line);
  return line == "y" || line == "Y" || line == "yes";
}

}  // namespace thaw
