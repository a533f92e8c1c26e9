// SPDX-License-Identifier: Apache-2.0
//
// The page's own style and program, page.css and page.js, built into the program.
#pragma once

#include <string_view>

namespace thaw {

extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

}  // namespace thaw
