// SPDX-License-Identifier: Apache-2.0
//
// One request as the fake S3 server received it, its strict decoding, and how it is refused.
// Nothing here is shared with the product's client, so that the two check one another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "thaw/base/bytes.h"

namespace thaw {

using S3Pairs = std::vector<std::pair<std::string, std::string>>;

struct S3Request {
  std::string method;
  std::string target;  // path and query, byte for byte as on the wire
  S3Pairs headers;     // names in lower case, in the order received
  Bytes body;

  /// The first header of that (lower-case) name.
  std::optional<std::string_view> header(std::string_view name) const;
};

/// An error answer. A violation is a request that no correct client sends; a wrong clock, a missing
/// object or a foreign access key is none.
struct S3Refusal {
  unsigned status = 400;
  std::string code;
  std::string message;
  bool violation = true;
  S3Pairs details = {};  // further elements of the XML
  S3Pairs headers = {};
};

struct S3Target {
  std::string path;      // decoded
  std::string raw_path;  // as on the wire, which is the canonical form
  S3Pairs query;         // decoded, ascending
  std::string canonical_query;

  bool has(std::string_view name) const;
  std::optional<std::string_view> value(std::string_view name) const;
};

/// RFC 3986: all but A-Z a-z 0-9 - . _ ~ as %XX with upper-case digits; '/' stays if `keep_slash`.
std::string s3_uri_encode(std::string_view text, bool keep_slash);
/// nullopt for a '%' without two hexadecimal digits.
std::optional<std::string> s3_uri_decode(std::string_view text);

/// Refuses whatever is not in the canonical form of signature version 4: another percent-encoding,
/// unsorted or repeated parameters. S3 itself would canonicalise them before it signs; a client
/// that relies on that has signed something else than it sent.
tl::expected<S3Target, S3Refusal> parse_s3_target(std::string_view target);

inline constexpr size_t kS3KeyBytesMax = 1024;  // S3's own limit
/// Keys that survive every path on the way: valid UTF-8 without control characters, no empty part,
/// no "." or "..".
bool is_valid_s3_key(std::string_view key);
/// Digits and nothing else.
std::optional<uint64_t> parse_s3_number(std::string_view text);

/// Text for an XML element.
std::string xml_escape(std::string_view text);
/// "<name>escaped text</name>".
std::string xml_element(std::string_view name, std::string_view text);

/// What POST ?delete asks for.
struct S3DeleteList {
  bool quiet = false;
  std::vector<std::string> keys;
};
/// Exactly <Delete>, [<Quiet>], <Object><Key>..</Key></Object> 1 to 1000 times, with white space
/// between; nullopt for anything else.
std::optional<S3DeleteList> parse_s3_delete(std::string_view xml);

}  // namespace thaw
