// SPDX-License-Identifier: Apache-2.0
//
// Names that users choose (tenants, snapshots), and user text in messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace thaw {

inline constexpr size_t kNameBytesMax = 128;

/// True for 1 to kNameBytesMax of [A-Za-z0-9._:@+-], not beginning with '.' or '-': safe as a part
/// of a path, of an object key and of a command line.
bool is_name(std::string_view text);
/// What is_name() asks for, in words, for messages.
inline constexpr std::string_view kNameRule =
    "a name has 1 to 128 of A-Z a-z 0-9 . _ : @ + - and does not begin with '.' or '-'";

/// The text in double quotes, safe for a terminal and a log line: all but printable ASCII escaped
/// as
/// \xNN, cut after 64 bytes ("..." follows).
std::string quote(std::string_view text);

}  // namespace thaw
