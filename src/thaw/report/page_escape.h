// SPDX-License-Identifier: Apache-2.0
//
// Text of others in a page: names and words of results files are hostile input.
#pragma once

#include <string>
#include <string_view>

namespace thaw {

/// For elements' text and for attributes in double quotes.
std::string escape_html(std::string_view text);

/// JSON for a <script type="application/json">: the same value, without any '<', '>' or '&'.
std::string escape_json(std::string_view json);

/// A program for a <script>: nothing in it ends the element, or begins a comment of HTML. The same
/// program as long as "</script" and "<!--" stand in texts, regular expressions or comments only.
std::string escape_script(std::string_view script);

}  // namespace thaw
