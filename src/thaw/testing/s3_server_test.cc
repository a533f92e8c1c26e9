// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "thaw/testing/loopback_peer_test.h"
#include "thaw/testing/s3_curl_test.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/testing/test_certificate.h"

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

TEST_F(S3ServerTest, AnswersRanges) {
  server_->set_object("thaw-test", "k", bytes_of("0123456789"));
  const struct {
    const char* range;
    long status;
    const char* body;
    const char* content_range;
  } cases[] = {
      {"bytes=0-0", 206, "0", "bytes 0-0/10"},   {"bytes=2-5", 206, "2345", "bytes 2-5/10"},
      {"bytes=7-", 206, "789", "bytes 7-9/10"},  {"bytes=-3", 206, "789", "bytes 7-9/10"},
      {"bytes=8-99", 206, "89", "bytes 8-9/10"}, {"bytes=-99", 206, "0123456789", "bytes 0-9/10"}};
  for (const auto& c : cases) {
    const S3CurlReply reply = get("/thaw-test/k", {std::string("Range: ") + c.range});
    EXPECT_EQ(reply.status, c.status) << c.range;
    EXPECT_EQ(reply.body, c.body) << c.range;
    EXPECT_EQ(reply.headers.at("Content-Range"), c.content_range) << c.range;
  }
  const S3CurlReply outside = get("/thaw-test/k", {"Range: bytes=10-12"});
  EXPECT_EQ(outside.status, 416);
  EXPECT_THAT(outside.body, HasSubstr("<Code>InvalidRange</Code>"));
  EXPECT_EQ(outside.headers.at("Content-Range"), "bytes */10");
  EXPECT_THAT(server_->violations(), IsEmpty());
  for (const char* bad : {"bytes=5-2", "bytes=a-b", "bytes=1-2,4-5", "pages=1-2", "bytes=-"}) {
    EXPECT_EQ(get("/thaw-test/k", {std::string("Range: ") + bad}).status, 400) << bad;
  }
  EXPECT_THAT(server_->violations(), SizeIs(5));
}

TEST_F(S3ServerTest, PutsOnlyIfAbsent) {
  EXPECT_EQ(put("/thaw-test/k", "one", {"If-None-Match: *"}).status, 200);
  const S3CurlReply second = put("/thaw-test/k", "two", {"If-None-Match: *"});
  EXPECT_EQ(second.status, 412);
  EXPECT_THAT(second.body, HasSubstr("<Code>PreconditionFailed</Code>"));
  EXPECT_EQ(server_->object("thaw-test", "k"), bytes_of("one"));
  EXPECT_EQ(put("/thaw-test/k", "three").status, 200);
  EXPECT_EQ(server_->object("thaw-test", "k"), bytes_of("three"));
  EXPECT_EQ(s3_curl(*server_, {"DELETE", "/thaw-test/k"}).status, 204);
  EXPECT_EQ(put("/thaw-test/k", "four", {"If-None-Match: *"}).status, 200);
}

TEST_F(S3ServerTest, ListsInPages) {
  std::vector<std::string> expected;
  for (int i = 0; i < 7; ++i) expected.push_back("p/" + std::to_string(i) + "+ &");
  for (const std::string& key : expected) server_->set_object("thaw-test", key, bytes_of(key));
  server_->set_object("thaw-test", "other", bytes_of("x"));
  server_->set_object("thaw-test", "p/3", bytes_of("x"));
  server_->remove_object("thaw-test", "p/3");
  server_->set_page_keys_max(3);
  std::string token;
  int pages = 0;
  const auto between = [](const std::string& text, const std::string& open, size_t& at) {
    const size_t begin = text.find("<" + open + ">", at);
    if (begin == std::string::npos) return std::string();
    const size_t end = text.find("</" + open + ">", begin);
    at = end;
    return text.substr(begin + open.size() + 2, end - begin - open.size() - 2);
  };
  std::vector<std::string> got;
  do {
    const std::string continued =
        token.empty() ? "" : "continuation-token=" + s3_uri_encode(token, false) + "&";
    const S3CurlReply reply =
        get("/thaw-test?" + continued + "encoding-type=url&list-type=2&prefix=p%2F");
    ASSERT_EQ(reply.status, 200) << reply.body;
    size_t at = 0;
    for (std::string key = between(reply.body, "Key", at); !key.empty();
         key = between(reply.body, "Key", at)) {
      std::replace(key.begin(), key.end(), '+', ' ');
      got.push_back(s3_uri_decode(key).value_or("?"));
    }
    at = 0;
    token = between(reply.body, "NextContinuationToken", at);
    at = 0;
    EXPECT_EQ(between(reply.body, "IsTruncated", at), token.empty() ? "false" : "true");
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(got, expected);
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(server_->violations(), IsEmpty());
  EXPECT_EQ(get("/thaw-test?continuation-token=nonsense&list-type=2&prefix=p%2F").status, 400);
  EXPECT_EQ(get("/thaw-test?list-type=2&max-keys=1001").status, 400);
  EXPECT_THAT(server_->violations(), SizeIs(2));
}

TEST_F(S3ServerTest, DeletesMany) {
  for (const char* key : {"a", "b", "c"}) server_->set_object("thaw-test", key, bytes_of(key));
  const std::string xml =
      "<Delete><Object><Key>a</Key></Object><Object><Key>c</Key></Object>"
      "<Object><Key>absent</Key></Object></Delete>";
  const auto post = [&](std::vector<std::string> headers) {
    return s3_curl(*server_, {"POST", "/thaw-test?delete=", xml, std::move(headers)});
  };
  EXPECT_EQ(post({}).status, 400);
  EXPECT_THAT(post({"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="}).body,
              HasSubstr("<Code>BadDigest</Code>"));
  EXPECT_THAT(server_->keys("thaw-test"), testing::ElementsAre("a", "b", "c"));
  EXPECT_THAT(server_->violations(), SizeIs(2));
  // printf '%s' "$xml" | openssl md5 -binary | base64
  const S3CurlReply reply = post({"Content-MD5: LZyI6tPK9e9ls3he87eIdQ=="});
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_THAT(reply.body, HasSubstr("<Deleted><Key>a</Key></Deleted>"));
  EXPECT_THAT(server_->keys("thaw-test"), testing::ElementsAre("b"));
}

TEST_F(S3ServerTest, KnowsBuckets) {
  EXPECT_EQ(s3_curl(*server_, {"HEAD", "/thaw-test"}).status, 200);
  EXPECT_EQ(s3_curl(*server_, {"HEAD", "/absent"}).status, 404);
  EXPECT_THAT(get("/absent/key").body, HasSubstr("<Code>NoSuchBucket</Code>"));
  EXPECT_EQ(put("/absent", "").status, 200);
  EXPECT_EQ(s3_curl(*server_, {"HEAD", "/absent"}).status, 200);
  EXPECT_THAT(put("/absent", "").body, HasSubstr("<Code>BucketAlreadyOwnedByYou</Code>"));
  EXPECT_EQ(put("/absent/key", "x").status, 200);
  EXPECT_EQ(server_->object("absent", "key"), bytes_of("x"));
  EXPECT_THAT(server_->violations(), IsEmpty());
}

TEST_F(S3ServerTest, AnswersToVirtualHosts) {
  server_->set_object("thaw-test", "a/b", bytes_of("hello"));
  S3CurlAccount account = s3_curl_account(*server_);
  account.endpoint = "http://thaw-test.localhost:" + std::to_string(server_->port());
  EXPECT_EQ(s3_curl(account, {"GET", "/a/b"}).body, "hello");
  EXPECT_EQ(s3_curl(account, {"PUT", "/c", "x"}).status, 200);
  EXPECT_EQ(server_->object("thaw-test", "c"), bytes_of("x"));
  EXPECT_THAT(server_->violations(), IsEmpty());
}

TEST_F(S3ServerTest, RefusesWhatNoCorrectClientSends) {
  const struct {
    S3CurlRequest request;
    const char* code;
  } cases[] = {
      {{"GET", "/thaw-test/k", {}, {}, false}, "AccessDenied"},
      {{"GET", "/thaw-test/k?b=1&a=2"}, "InvalidURI"},
      {{"GET", "/thaw-test/k?uploads="}, "InvalidArgument"},
      {{"GET", "/thaw-test/%6b"}, "InvalidURI"},
      {{"GET", "/thaw-test/a//b"}, "InvalidURI"},
      {{"GET", "/thaw-test/../b"}, "InvalidURI"},
      {{"GET", "/thaw-test/k", {}, {"x-amz-acl: private"}}, "InvalidArgument"},
      {{"GET", "/thaw-test/k", {}, {"X-Twice: 1", "x-twice: 1"}}, "InvalidRequest"},
      {{"GET", "/thaw-test/k", {}, {"If-Match: x"}}, "NotImplemented"},
      {{"GET", "/thaw-test"}, "MethodNotAllowed"},
      {{"PATCH", "/thaw-test/k"}, "MethodNotAllowed"},
      {{"PUT", "/thaw-test/k", "x", {"If-None-Match: \"etag\""}}, "NotImplemented"},
      {{"PUT", "/thaw-test/k", "x", {"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="}}, "BadDigest"},
      {{"PUT", "/thaw-test/k", "x", {"Content-MD5: short"}}, "InvalidDigest"},
      {{"GET", "/UPPER/k"}, "InvalidBucketName"},
  };
  size_t violations = 0;
  for (const auto& c : cases) {
    EXPECT_THAT(s3_curl(*server_, c.request).body, HasSubstr("<Code>" + std::string(c.code)))
        << c.request.method << ' ' << c.request.target;
    EXPECT_THAT(server_->violations(), SizeIs(++violations)) << c.request.target;
  }
  EXPECT_THAT(server_->keys("thaw-test"), IsEmpty());
}

TEST_F(S3ServerTest, RefusesAPutWithoutLength) {
  LoopbackPeer peer(server_->port());
  ASSERT_TRUE(peer.write(
      "PUT /thaw-test/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "1\r\nx\r\n0\r\n\r\n"));
  EXPECT_THAT(peer.read(12), testing::StartsWith("HTTP/1.1 501"));
  LoopbackPeer other(server_->port());
  ASSERT_TRUE(other.write("PUT /thaw-test/k HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_THAT(other.read(12), testing::StartsWith("HTTP/1.1 411"));
  EXPECT_THAT(server_->violations(), SizeIs(2));
}

TEST_F(S3ServerTest, KnowsWrongSecretsKeysRegionsAndClocks) {
  const S3CurlAccount good = s3_curl_account(*server_);
  const S3CurlRequest request{"GET", "/thaw-test/k"};
  S3CurlAccount bad = good;
  bad.access_key = "nobody";
  EXPECT_THAT(s3_curl(bad, request).body, HasSubstr("<Code>InvalidAccessKeyId</Code>"));
  bad = good;
  bad.region = "eu-west-1";
  EXPECT_THAT(s3_curl(bad, request).body, HasSubstr("<Region>us-east-1</Region>"));
  server_->set_clock_offset(std::chrono::hours(1));
  const S3CurlReply skewed = s3_curl(good, request);
  EXPECT_EQ(skewed.status, 403);
  EXPECT_THAT(skewed.body, HasSubstr("<Code>RequestTimeTooSkewed</Code>"));
  EXPECT_THAT(skewed.body, HasSubstr("<ServerTime>"));
  server_->set_clock_offset(std::chrono::hours(0));
  EXPECT_THAT(server_->violations(), IsEmpty());
  bad = good;
  bad.secret_key = "wrong";
  EXPECT_THAT(s3_curl(bad, request).body, HasSubstr("<Code>SignatureDoesNotMatch</Code>"));
  EXPECT_THAT(server_->violations(), SizeIs(1));
}

TEST_F(S3ServerTest, AsksForItsSessionToken) {
  S3ServerOptions options;
  options.account.session_token = "token/+=";
  start(options);
  EXPECT_THAT(get("/thaw-test/k").body, HasSubstr("<Code>InvalidToken</Code>"));
  EXPECT_THAT(get("/thaw-test/k", {"x-amz-security-token: token/+="}).body,
              HasSubstr("<Code>NoSuchKey</Code>"));
}

TEST_F(S3ServerTest, SpeaksHttps) {
  const TempDir directory;
  const auto certificate = make_test_certificate(directory.path());
  if (!certificate) GTEST_SKIP() << certificate.error().message;
  S3ServerOptions options;
  options.certificate_pem = certificate->certificate_pem;
  options.key_pem = certificate->key_pem;
  start(options);
  EXPECT_THAT(server_->endpoint(), testing::StartsWith("https://"));
  EXPECT_EQ(put("/thaw-test/k", std::string(300'000, 'x')).status, 200);
  EXPECT_EQ(get("/thaw-test/k").body, std::string(300'000, 'x'));
  EXPECT_THAT(server_->violations(), IsEmpty());
  options.key_pem = options.certificate_pem;
  EXPECT_FALSE(S3Server::start(options));
  options.key_pem = {};
  EXPECT_EQ(S3Server::start(options).error().code, ErrorCode::kInvalid);
}

TEST_F(S3ServerTest, AStoppedServerRefuses) {
  const S3CurlAccount account = s3_curl_account(*server_);
  server_.reset();
  EXPECT_EQ(s3_curl(account, {"GET", "/thaw-test/k"}).result, CURLE_COULDNT_CONNECT);
}

}  // namespace
}  // namespace thaw
