// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/testing/s3_curl_test.h"

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class S3ServerTest : public testing::Test {
 protected:
  static Bytes bytes_of(std::string_view text) {
    const ByteSpan bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
  }
  S3CurlReply get(const std::string& target, std::vector<std::string> headers = {}) const {
    return s3_curl(*server_, {"GET", target, {}, std::move(headers)});
  }
  S3CurlReply put(const std::string& target, const std::string& body,
                  std::vector<std::string> headers = {}) const {
    return s3_curl(*server_, {"PUT", target, body, std::move(headers)});
  }
  void start(S3ServerOptions options = {}) {
    auto started = S3Server::start(std::move(options));
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }
  void SetUp() override { start(); }

  std::unique_ptr<S3Server> server_;
};

TEST_F(S3ServerTest, PutsGetsHeadsAndDeletes) {
  EXPECT_EQ(put("/thaw-test/a/b", "hello").status, 200);
  EXPECT_EQ(server_->object("thaw-test", "a/b"), bytes_of("hello"));
  const S3CurlReply got = get("/thaw-test/a/b");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.headers.at("ETag"), "\"5d41402abc4b2a76b9719d911017c592\"");
  const S3CurlReply head = s3_curl(*server_, {"HEAD", "/thaw-test/a/b"});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("Content-Length"), "5");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(s3_curl(*server_, {"DELETE", "/thaw-test/a/b"}).status, 204);
  EXPECT_EQ(s3_curl(*server_, {"DELETE", "/thaw-test/a/b"}).status, 204);
  EXPECT_EQ(server_->object("thaw-test", "a/b"), std::nullopt);
  const S3CurlReply missing = get("/thaw-test/a/b");
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.body, HasSubstr("<Code>NoSuchKey</Code>"));
  EXPECT_EQ(s3_curl(*server_, {"HEAD", "/thaw-test/a/b"}).status, 404);
  EXPECT_THAT(server_->violations(), IsEmpty());
  const S3Counts counts = server_->counts();
  EXPECT_EQ(counts.of(S3Operation::kPut), 1u);
  EXPECT_EQ(counts.of(S3Operation::kGet), 2u);
  EXPECT_EQ(counts.statuses.at(404), 2u);
  EXPECT_EQ(counts.bytes_in, 5u);
  EXPECT_EQ(server_->gets_of("a/b"), 2u);
  EXPECT_EQ(server_->distinct_gets(), 1u);
}

}  // namespace
}  // namespace thaw
