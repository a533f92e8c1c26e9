// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_answer.h"

#include <openssl/evp.h>

#include <span>
#include <utility>

#include "thaw/base/check.h"

namespace thaw {

Bytes md5(ByteSpan bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  CHECK(::EVP_Digest(bytes.data(), bytes.size(), out, &length, ::EVP_md5(), nullptr) == 1);
  const auto digest = std::as_bytes(std::span(out, length));
  return {digest.begin(), digest.end()};
}

S3Content::S3Content(Bytes content)
    : bytes(std::move(content)), etag('"' + to_hex(md5(bytes)) + '"') {}

S3Body make_s3_body(Bytes bytes) { return std::make_shared<const S3Content>(std::move(bytes)); }

void S3Answer::set_text(std::string_view text, std::string_view type) {
  const ByteSpan span = as_bytes(text);
  body = make_s3_body(Bytes(span.begin(), span.end()));
  offset = 0;
  bytes = span.size();
  headers.emplace_back("Content-Type", type);
}

tl::unexpected<S3Refusal> refuse_s3(unsigned status, std::string code, std::string message) {
  return tl::unexpected<S3Refusal>(
      S3Refusal{status, std::move(code), std::move(message), true, {}, {}});
}

}  // namespace thaw
