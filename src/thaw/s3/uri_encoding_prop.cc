// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "thaw/s3/uri_encoding.h"

namespace thaw {
namespace {

RC_GTEST_PROP(UriEncodingProp, DecodingGivesTheTextBack, (const std::string& text)) {
  const std::string encoded = uri_encode(text);
  RC_ASSERT(uri_decode(encoded) == text);
  RC_ASSERT(uri_decode(uri_encode_path(text)) == text);
  RC_ASSERT(std::all_of(encoded.begin(), encoded.end(), [](char c) {
    return c == '%' || c == '-' || c == '.' || c == '_' || c == '~' || (c >= '0' && c <= '9') ||
           (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }));
}

RC_GTEST_PROP(UriEncodingProp, ThePathsSlashesStay, (const std::string& text)) {
  std::string expected;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    expected += uri_encode(text.substr(begin, end - begin));
    if (end < text.size()) expected += '/';
    begin = end + 1;
  }
  RC_ASSERT(uri_encode_path(text) == expected);
}

TEST(UriEncodingTest, Examples) {
  EXPECT_EQ(uri_encode("a/b c+~\xff"), "a%2Fb%20c%2B~%FF");
  EXPECT_EQ(uri_encode_path("a/b:@+-._"), "a/b%3A%40%2B-._");
  EXPECT_EQ(uri_decode("a+b%2b%2Fc"), "a b+/c");
  for (const char* bad : {"%", "%1", "a%", "%g0", "%0g", "%%20"}) {
    EXPECT_EQ(uri_decode(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace thaw
