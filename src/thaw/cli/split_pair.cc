// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"
#include "thaw/cli/verbs.h"

namespace thaw {

Result<std::pair<std::string, std::string>> split_pair(std::string_view option,
                                                       std::string_view text) {
  const size_t at = text.find('=');
  if (at == std::string_view::npos || at == 0) {
    return fail(ErrorCode::kInvalid, std::string(option) + " takes two parts with '=' between, " +
                                         quote(text) + " has not");
  }
  return std::pair(std::string(text.substr(0, at)), std::string(text.substr(at + 1)));
}

}  // namespace thaw
