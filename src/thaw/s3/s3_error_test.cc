// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::Not;

class S3ErrorTest : public testing::Test {
 protected:
  Verdict judge(int status, const std::string& body, std::vector<HttpHeader> headers = {},
                HttpMethod method = HttpMethod::kGet) {
    HttpAnswer answer;
    answer.status = status;
    answer.headers = std::move(headers);
    const ByteSpan bytes = as_bytes(body);
    answer.body = Bytes(bytes.begin(), bytes.end());
    return judge_of(answer, method);
  }
  Verdict judge_of(const HttpAnswer& answer, HttpMethod method = HttpMethod::kGet) {
    return judge_answer(answer, {method, bucket_, endpoint_, region_, ca_file_, now_});
  }
  static std::string error(const std::string& code, const std::string& more = "") {
    return "<Error><Code>" + code + "</Code><Message>words</Message>" + more + "</Error>";
  }

  std::string bucket_ = "the-bucket";
  std::string endpoint_ = "https://s3.example";
  std::string region_ = "us-east-1";
  std::string ca_file_;
  WallTime now_ = std::chrono::system_clock::from_time_t(1795447809);  // 2026-11-23T15:30:09Z
};

TEST_F(S3ErrorTest, CodesAndRetries) {
  using Kind = Verdict::Kind;
  struct Example {
    int status;
    const char* code;  // empty: a body that is no XML
    Kind kind;
    ErrorCode error;
    S3Trouble trouble;
  };
  const std::vector<Example> examples = {
      {500, "InternalError", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kServer},
      {500, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kServer},
      {502, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kServer},
      {504, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kServer},
      {503, "SlowDown", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kThrottle},
      {503, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kThrottle},
      {429, "TooManyRequests", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kThrottle},
      {409, "ConditionalRequestConflict", Kind::kRetry, ErrorCode::kUnavailable,
       S3Trouble::kServer},
      {409, "OperationAborted", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kServer},
      {409, "BucketNotEmpty", Kind::kFail, ErrorCode::kInvalid, S3Trouble::kRefused},
      {400, "RequestTimeout", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kTransport},
      {400, "BadDigest", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kTransport},
      {400, "InvalidArgument", Kind::kFail, ErrorCode::kInvalid, S3Trouble::kRefused},
      {400, "ExpiredToken", Kind::kFail, ErrorCode::kDenied, S3Trouble::kDenied},
      {400, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kBadAnswer},
      {403, "AccessDenied", Kind::kFail, ErrorCode::kDenied, S3Trouble::kDenied},
      {403, "", Kind::kFail, ErrorCode::kDenied, S3Trouble::kDenied},
      {403, "QuotaExceeded", Kind::kFail, ErrorCode::kExhausted, S3Trouble::kRefused},
      {404, "NoSuchKey", Kind::kFail, ErrorCode::kNotFound, S3Trouble::kRefused},
      {404, "NoSuchBucket", Kind::kFail, ErrorCode::kInvalid, S3Trouble::kRefused},
      {404, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kBadAnswer},
      {301, "PermanentRedirect", Kind::kFail, ErrorCode::kInvalid, S3Trouble::kRefused},
      {307, "", Kind::kFail, ErrorCode::kInvalid, S3Trouble::kRefused},
      {405, "MethodNotAllowed", Kind::kFail, ErrorCode::kUnsupported, S3Trouble::kRefused},
      {501, "NotImplemented", Kind::kFail, ErrorCode::kUnsupported, S3Trouble::kRefused},
      {416, "InvalidRange", Kind::kFail, ErrorCode::kCorrupt, S3Trouble::kCorrupt},
      {507, "", Kind::kFail, ErrorCode::kExhausted, S3Trouble::kRefused},
      {200, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kBadAnswer},
      {204, "", Kind::kRetry, ErrorCode::kUnavailable, S3Trouble::kBadAnswer},
  };
  for (const Example& example : examples) {
    const std::string code = example.code;
    const Verdict verdict = judge(example.status, code.empty() ? "<html>x" : error(code));
    const std::string name = std::to_string(example.status) + " " + code;
    EXPECT_EQ(verdict.kind, example.kind) << name;
    EXPECT_EQ(verdict.error.code, example.error) << name;
    EXPECT_EQ(verdict.trouble, example.trouble) << name;
    EXPECT_THAT(verdict.error.message, HasSubstr(std::to_string(example.status))) << name;
    if (!code.empty() && example.kind == Kind::kFail) {
      EXPECT_THAT(verdict.error.message, HasSubstr(code)) << name;
    }
  }
}

TEST_F(S3ErrorTest, WhatToDo) {
  EXPECT_THAT(judge(403, error("SignatureDoesNotMatch")).error.message,
              HasSubstr("check the secret access key"));
  EXPECT_THAT(judge(403, error("InvalidAccessKeyId")).error.message,
              HasSubstr("check the access key id, and that it belongs to https://s3.example"));
  EXPECT_THAT(judge(403, error("AccessDenied")).error.message, HasSubstr("policy"));
  EXPECT_THAT(judge(400, error("ExpiredToken")).error.message, HasSubstr("session token"));
  EXPECT_THAT(judge(404, error("NoSuchBucket")).error.message,
              HasSubstr("bucket \"the-bucket\" does not exist at https://s3.example"));
}

TEST_F(S3ErrorTest, TheRegionOfTheBucketIsNamed) {
  for (const Verdict& verdict :
       {judge(301, error("PermanentRedirect"), {{"x-amz-bucket-region", "eu-west-3"}}),
        judge(301, "", {{"x-amz-bucket-region", "eu-west-3"}}, HttpMethod::kHead),
        judge(400, "", {{"x-amz-bucket-region", "eu-west-3"}}, HttpMethod::kHead),
        judge(400, error("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"))}) {
    EXPECT_EQ(verdict.error.code, ErrorCode::kInvalid);
    EXPECT_THAT(verdict.error.message, HasSubstr("\"eu-west-3\"; set region to it"));
  }
  EXPECT_THAT(judge(301, "").error.message, HasSubstr("check the endpoint and the region"));
}

TEST_F(S3ErrorTest, TheDistanceOfTheClocks) {
  EXPECT_THAT(
      judge(403, error("RequestTimeTooSkewed", "<ServerTime>2026-11-23T14:49:09Z</ServerTime>"))
          .error.message,
      HasSubstr("41 minutes ahead"));
  EXPECT_THAT(judge(403, error("RequestTimeTooSkewed"), {{"date", "Mon, 23 Nov 2026 20:30:09 GMT"}})
                  .error.message,
              HasSubstr("5 hours behind"));
  EXPECT_THAT(judge(403, error("RequestTimeTooSkewed")).error.message, HasSubstr("set the clock"));
  // A HEAD tells by its date alone, if that is far off.
  EXPECT_THAT(
      judge(403, "", {{"date", "Mon, 23 Nov 2026 20:30:09 GMT"}}, HttpMethod::kHead).error.message,
      HasSubstr("5 hours behind"));
  EXPECT_THAT(
      judge(403, "", {{"date", "Mon, 23 Nov 2026 15:31:09 GMT"}}, HttpMethod::kHead).error.message,
      Not(HasSubstr("clock")));
}

TEST_F(S3ErrorTest, WithoutABodyOnlyAHeadIsBelieved) {
  EXPECT_EQ(judge(404, "", {}, HttpMethod::kHead).error.code, ErrorCode::kNotFound);
  EXPECT_EQ(judge(404, "").kind, Verdict::Kind::kRetry);
}

TEST_F(S3ErrorTest, WhatTheServerSaysIsQuoted) {
  const std::string message =
      judge(400, "<Error><Code>a&#27;[2J</Code><Message>b&#10;c</Message></Error>",
            {{"x-amz-request-id", "id\x1b[0m"}})
          .error.message;
  for (const char c : message) EXPECT_TRUE(c >= ' ' && c < '\x7f') << message;
  EXPECT_THAT(message, HasSubstr("request id"));
}

TEST_F(S3ErrorTest, Failures) {
  HttpAnswer answer;
  answer.detail = "words of curl";
  for (const HttpFailure failure :
       {HttpFailure::kResolve, HttpFailure::kConnect, HttpFailure::kTimeout, HttpFailure::kStalled,
        HttpFailure::kReset, HttpFailure::kTooLarge, HttpFailure::kProtocol}) {
    answer.failure = failure;
    const Verdict verdict = judge_of(answer);
    EXPECT_EQ(verdict.kind, Verdict::Kind::kRetry);
    EXPECT_EQ(verdict.error.code, ErrorCode::kUnavailable);
    EXPECT_FALSE(verdict.error.message.empty());
  }
  answer.failure = HttpFailure::kTls;
  EXPECT_EQ(judge_of(answer).kind, Verdict::Kind::kFail);
  EXPECT_EQ(judge_of(answer).error.code, ErrorCode::kDenied);
  EXPECT_THAT(judge_of(answer).error.message, HasSubstr("set ca_file"));
  ca_file_ = "/etc/ca.pem";
  EXPECT_THAT(judge_of(answer).error.message, HasSubstr("ca_file \"/etc/ca.pem\""));
}

}  // namespace
}  // namespace thaw
