// SPDX-License-Identifier: Apache-2.0
//
// The signer against signatures that Amazon published: the AWS Signature Version 4 test suite, and
// the examples of "Authenticating Requests: Using the Authorization Header (AWS Signature Version
// 4)" in the S3 API reference.
#include "thaw/s3/sigv4.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

namespace thaw {
namespace {

/// Of the Amazon documentation; opens nothing.
S3Credentials credentials(const std::string& id, const std::string& secret,
                          const std::string& token = "") {
  return std::move(*S3Credentials::from_text(id, secret, token, "the test"));
}

WallTime utc(int year, int month, int day, int hour, int minute) {
  std::tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = hour;
  parts.tm_min = minute;
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string signature_of(const std::string& authorization) {
  return authorization.substr(authorization.rfind('=') + 1);
}

TEST(SigV4Test, TheTestSuite) {
  struct Vector {
    const char* name;
    const char* method;
    const char* path;
    QueryParts query;
    std::vector<HttpHeader> more_headers;
    const char* signature;
  };
  const std::string unreserved =
      "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const std::vector<Vector> vectors = {
      {"get-vanilla",
       "GET",
       "/",
       {},
       {},
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"post-vanilla",
       "POST",
       "/",
       {},
       {},
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"get-vanilla-empty-query-key",
       "GET",
       "/",
       {{"Param1", "value1"}},
       {},
       "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-vanilla-query-order-key-case",
       "GET",
       "/",
       {{"Param2", "value2"}, {"Param1", "value1"}},
       {},
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-utf8",
       "GET",
       "/%E1%88%B4",
       {},
       {},
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-vanilla-query-unreserved",
       "GET",
       "/",
       {{unreserved, unreserved}},
       {},
       "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
      {"get-header-value-trim",
       "GET",
       "/",
       {},
       {{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}},
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"post-header-key-sort",
       "POST",
       "/",
       {},
       {{"my-header1", "value1"}},
       "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
  };
  SigV4Signer signer(credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                     "us-east-1", "service");
  const WallTime time = utc(2015, 8, 30, 12, 36);
  for (const Vector& vector : vectors) {
    std::vector<HttpHeader> headers = {{"host", "example.amazonaws.com"},
                                       {"x-amz-date", amz_date(time)}};
    headers.insert(headers.end(), vector.more_headers.begin(), vector.more_headers.end());
    const std::string query = canonical_query(vector.query);
    const std::string digest = payload_digest({});
    const SignedRequest request{vector.method, vector.path, query, headers, digest};
    EXPECT_EQ(signature_of(signer.authorization(request, time)), vector.signature)
        << vector.name << "\n"
        << canonical_request(request);
  }
}

/// The bucket, key and time of the S3 API reference.
class S3ExamplesTest : public testing::Test {
 protected:
  std::string signature(HttpMethod method, const std::string& path, const QueryParts& query,
                        const std::vector<HttpHeader>& more, std::string_view body = "") {
    std::vector<HttpHeader> headers = {{"host", "examplebucket.s3.amazonaws.com"}};
    headers.insert(headers.end(), more.begin(), more.end());
    signer_.sign(method, path, canonical_query(query), payload_digest(as_bytes(body)),
                 utc(2013, 5, 24, 0, 0), headers);
    EXPECT_EQ(headers.back().name, "authorization");
    EXPECT_TRUE(headers.back().value.starts_with(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders="))
        << headers.back().value;
    return signature_of(headers.back().value);
  }

  SigV4Signer signer_{
      credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "us-east-1",
      "s3"};
};

TEST_F(S3ExamplesTest, GetARange) {
  EXPECT_EQ(signature(HttpMethod::kGet, "/test.txt", {}, {{"range", "bytes=0-9"}}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(S3ExamplesTest, PutAnObject) {
  EXPECT_EQ(signature(HttpMethod::kPut, "/test%24file.text", {},
                      {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                      "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_F(S3ExamplesTest, GetTheLifecycle) {
  EXPECT_EQ(signature(HttpMethod::kGet, "/", {{"lifecycle", ""}}, {}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST_F(S3ExamplesTest, ListWithAPrefix) {
  EXPECT_EQ(signature(HttpMethod::kGet, "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SigV4Test, ADayHasItsOwnKey) {
  SigV4Signer reused(credentials("ID", "secret"), "r", "s3");
  const std::string digest = payload_digest({});
  const std::vector<HttpHeader> headers = {{"host", "h"}};
  const SignedRequest request{"GET", "/", "", headers, digest};
  for (const int day : {1, 2, 1}) {
    SigV4Signer fresh(credentials("ID", "secret"), "r", "s3");
    EXPECT_EQ(reused.authorization(request, utc(2026, 1, day, 1, 1)),
              fresh.authorization(request, utc(2026, 1, day, 1, 1)));
  }
}

TEST(SigV4Test, TheTokenIsSigned) {
  SigV4Signer signer(credentials("ID", "secret", "the-token"), "r", "s3");
  std::vector<HttpHeader> headers = {{"host", "h"}};
  signer.sign(HttpMethod::kGet, "/", "", payload_digest({}), utc(2026, 1, 1, 0, 0), headers);
  EXPECT_NE(headers.back().value.find(
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"),
            std::string::npos)
      << headers.back().value;
  EXPECT_NE(
      std::find(headers.begin(), headers.end(), HttpHeader{"x-amz-security-token", "the-token"}),
      headers.end());
}

TEST(SigV4Test, QueriesAreSortedAfterTheyAreEncoded) {
  EXPECT_EQ(canonical_query({}), "");
  EXPECT_EQ(canonical_query({{"delete", ""}}), "delete=");
  EXPECT_EQ(canonical_query({{"b", "2"}, {"a b", "x/y"}, {"a", "z"}, {"A", "\xc3\xa4"}}),
            "A=%C3%A4&a=z&a%20b=x%2Fy&b=2");
}

}  // namespace
}  // namespace thaw
