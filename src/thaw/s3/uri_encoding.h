// SPDX-License-Identifier: Apache-2.0
//
// Percent-encoding as the S3 signature wants it: everything but A-Z a-z 0-9 - . _ ~ becomes %XX
// with upper-case digits (AWS, "Signature Version 4: create a canonical request").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace thaw {

/// For names and values of a query.
std::string uri_encode(std::string_view text);
/// For the path: '/' stays.
std::string uri_encode_path(std::string_view text);

/// The text of a listing with encoding-type=url: %XX of either case and '+' for a space; nullopt if
/// a '%' is not followed by two digits.
std::optional<std::string> uri_decode(std::string_view text);

}  // namespace thaw
