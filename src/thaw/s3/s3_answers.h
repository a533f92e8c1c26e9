// SPDX-License-Identifier: Apache-2.0
//
// What S3's XML answers say. The bytes are hostile: each is parsed to values within limits or
// refused with a message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"

namespace thaw {

/// The largest answer to a listing of 1000 keys: each of 1024 bytes, percent-encoded, in XML.
inline constexpr uint64_t kListAnswerBytesMax = 8 * kMiB;

struct S3ErrorAnswer {
  std::string code;     // "NoSuchKey"; never empty
  std::string message;  // for people; may be empty
  std::string region;   // where the bucket is, of redirects and of malformed authorization
  std::string server_time;
};
/// nullopt if the body is no <Error> with a <Code>.
std::optional<S3ErrorAnswer> parse_error_answer(ByteSpan body);

struct S3ListEntry {
  std::string key;  // decoded, as it is in the bucket: any bytes
  uint64_t bytes = 0;
  friend bool operator==(const S3ListEntry&, const S3ListEntry&) = default;
};
struct S3ListAnswer {
  std::vector<S3ListEntry> entries;  // in the order of the answer
  std::string next_token;            // not empty exactly if `truncated`
  bool truncated = false;
};
/// A ListBucketResult (ListObjectsV2); keys are decoded if it says encoding-type=url. kUnavailable
/// if it is none: an answer that is not what was asked for is as good as none.
Result<S3ListAnswer> parse_list_answer(ByteSpan body);

struct S3DeleteError {
  std::string key;
  std::string code;
  std::string message;
};
/// The errors of a DeleteResult; kUnavailable if it is none.
Result<std::vector<S3DeleteError>> parse_delete_answer(ByteSpan body);

}  // namespace thaw
