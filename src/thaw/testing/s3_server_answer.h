// SPDX-License-Identifier: Apache-2.0
//
// What the fake S3 server answers: a body that it shares, with the fault that the transport has to
// commit on it, or a refusal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "thaw/testing/s3_server_chaos.h"
#include "thaw/testing/s3_server_request.h"

namespace thaw {

inline constexpr std::string_view kS3XmlHead = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

struct S3Content {
  explicit S3Content(Bytes content);
  Bytes bytes;
  std::string etag;  // the MD5 in quotes
};
/// Immutable, and shared between the bucket, its history and the answers under way.
using S3Body = std::shared_ptr<const S3Content>;
S3Body make_s3_body(Bytes bytes);

struct S3Answer {
  unsigned status = 200;
  S3Pairs headers = {};
  S3Body body = {};  // null: empty
  uint64_t offset = 0;
  uint64_t bytes = 0;  // of the body from `offset`
  S3Operation operation = S3Operation::kOther;
  S3Fate fate = {};
  uint64_t number = 0;

  void set_text(std::string_view text, std::string_view type);
};

using S3Outcome = tl::expected<S3Answer, S3Refusal>;
/// A violation, answered by this.
tl::unexpected<S3Refusal> refuse_s3(unsigned status, std::string code, std::string message);

/// Of ETag and Content-MD5.
Bytes md5(ByteSpan bytes);

}  // namespace thaw
