// SPDX-License-Identifier: Apache-2.0
//
// The verifier against published signatures: "Signature Calculations for the Authorization Header"
// (Amazon S3 API Reference), examples of 24 May 2013 with the key pair that is printed there.
#include "thaw/testing/s3_server_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace thaw {
namespace {

constexpr std::string_view kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const S3Account kAccount{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "",
                         "us-east-1"};
const S3Time kNow = *parse_s3_basic_time("20130524T000000Z");

struct Example {
  S3Request request;
  std::string signed_headers;
  std::string signature;

  void authorize() {
    request.headers.emplace_back(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=" +
            signed_headers + ",Signature=" + signature);
  }
};

Example example(std::string method, std::string target, std::string_view payload_hash,
                std::string signed_headers, std::string signature) {
  Example made{{std::move(method), std::move(target), {}, {}},
               std::move(signed_headers),
               std::move(signature)};
  made.request.headers = {{"host", "examplebucket.s3.amazonaws.com"},
                          {"x-amz-content-sha256", std::string(payload_hash)},
                          {"x-amz-date", "20130524T000000Z"}};
  return made;
}

Example get_object() {
  Example get =
      example("GET", "/test.txt", kEmptyHash, "host;range;x-amz-content-sha256;x-amz-date",
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  get.request.headers.emplace_back("range", "bytes=0-9");
  return get;
}

/// The code of the refusal; "" if there is none.
std::string code_of(const S3Request& request, const S3Account& account = kAccount,
                    S3Time now = kNow) {
  const auto target = parse_s3_target(request.target);
  if (!target) return target.error().code;
  const auto refusal = check_s3_signature(request, *target, account, now);
  return refusal ? refusal->code : "";
}

void set_header(S3Request& request, std::string_view name, std::string_view value) {
  for (auto& [header, text] : request.headers) {
    if (header == name) text = value;
  }
}

TEST(S3ServerAuth, AcceptsThePublishedGetObject) {
  Example get = get_object();
  get.authorize();
  EXPECT_EQ(code_of(get.request), "");
}

TEST(S3ServerAuth, AcceptsThePublishedPutObject) {
  Example put = example("PUT", "/test%24file.text",
                        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
                        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  const ByteSpan body = as_bytes("Welcome to Amazon S3.");
  put.request.body.assign(body.begin(), body.end());
  put.request.headers.emplace_back("date", "Fri, 24 May 2013 00:00:00 GMT");
  put.request.headers.emplace_back("x-amz-storage-class", "REDUCED_REDUNDANCY");
  put.authorize();
  EXPECT_EQ(code_of(put.request), "");
  put.request.body[0] ^= std::byte{1};
  EXPECT_EQ(code_of(put.request), "XAmzContentSHA256Mismatch");
}

TEST(S3ServerAuth, AcceptsThePublishedQueries) {
  Example lifecycle =
      example("GET", "/?lifecycle", kEmptyHash, "host;x-amz-content-sha256;x-amz-date",
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  lifecycle.authorize();
  EXPECT_EQ(code_of(lifecycle.request), "");
  Example list =
      example("GET", "/?max-keys=2&prefix=J", kEmptyHash, "host;x-amz-content-sha256;x-amz-date",
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  list.authorize();
  EXPECT_EQ(code_of(list.request), "");
}

TEST(S3ServerAuth, RefusesWhatDiffersFromWhatWasSigned) {
  Example get = get_object();
  get.authorize();
  const S3Request good = get.request;
  for (const char* target : {"/test.txu", "/test.txt?x=", "/test.txt/"}) {
    S3Request request = good;
    request.target = target;
    EXPECT_EQ(code_of(request), "SignatureDoesNotMatch") << target;
  }
  for (const auto& [name, value] : S3Pairs{{"range", "bytes=0-8"},
                                           {"host", "other.s3.amazonaws.com"},
                                           {"x-amz-date", "20130524T000001Z"}}) {
    S3Request request = good;
    set_header(request, name, value);
    EXPECT_EQ(code_of(request), "SignatureDoesNotMatch") << name;
  }
  S3Request request = good;
  request.method = "HEAD";
  EXPECT_EQ(code_of(request), "SignatureDoesNotMatch");
  EXPECT_EQ(code_of(good, {kAccount.access_key, "wrong", "", "us-east-1"}),
            "SignatureDoesNotMatch");
  EXPECT_EQ(code_of(good, {"other", kAccount.secret_key, "", "us-east-1"}), "InvalidAccessKeyId");
  EXPECT_EQ(code_of(good, {kAccount.access_key, kAccount.secret_key, "", "eu-west-1"}),
            "AuthorizationHeaderMalformed");
  EXPECT_EQ(code_of(good, {kAccount.access_key, kAccount.secret_key, "token", "us-east-1"}),
            "InvalidToken");
  S3Request anonymous = good;
  anonymous.headers.pop_back();
  EXPECT_EQ(code_of(anonymous), "AccessDenied");
}

TEST(S3ServerAuth, RefusesAHeaderOfAmazonThatIsNotSigned) {
  Example get = get_object();
  get.request.headers.emplace_back("x-amz-security-token", "");
  get.authorize();
  EXPECT_EQ(code_of(get.request), "AccessDenied");
}

TEST(S3ServerAuth, RefusesAnUnsignedPayloadAndNone) {
  Example get = get_object();
  get.authorize();
  S3Request request = get.request;
  set_header(request, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
  EXPECT_EQ(code_of(request), "SignatureDoesNotMatch");
  request = get.request;
  std::erase_if(request.headers, [](const auto& h) { return h.first == "x-amz-content-sha256"; });
  EXPECT_EQ(code_of(request), "InvalidRequest");
}

TEST(S3ServerAuth, TellsASkewedClockHowLateItIs) {
  Example get = get_object();
  get.authorize();
  const auto target = parse_s3_target(get.request.target);
  ASSERT_TRUE(target);
  EXPECT_EQ(code_of(get.request, kAccount, kNow + kS3SkewMax), "");
  EXPECT_EQ(code_of(get.request, kAccount, kNow - kS3SkewMax), "");
  for (const auto shift : {std::chrono::seconds(901), std::chrono::seconds(-901)}) {
    const auto refusal = check_s3_signature(get.request, *target, kAccount, kNow + shift);
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->code, "RequestTimeTooSkewed");
    EXPECT_FALSE(refusal->violation);
    EXPECT_THAT(refusal->details, testing::Contains(std::pair<std::string, std::string>(
                                      "ServerTime", s3_extended_time(kNow + shift))));
  }
}

TEST(S3ServerAuth, RefusesMalformedAuthorizations) {
  Example get = get_object();
  get.authorize();
  const std::string good = get.request.headers.back().second;
  for (size_t length = 0; length < good.find("Signature="); ++length) {
    set_header(get.request, "authorization", good.substr(0, length));
    EXPECT_NE(code_of(get.request), "") << length;
  }
  const std::string unsorted = "range;host;x-amz-content-sha256;x-amz-date";
  std::string header = good;
  header.replace(header.find("host;range"), unsorted.size(), unsorted);
  set_header(get.request, "authorization", header);
  EXPECT_EQ(code_of(get.request), "AccessDenied");
}

TEST(S3ServerTarget, TakesTheCanonicalFormOnly) {
  const auto good = parse_s3_target("/b/a%20b/%C3%A4~._-?delete&x=%2F");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->path, "/b/a b/\xc3\xa4~._-");
  EXPECT_EQ(good->canonical_query, "delete=&x=%2F");
  EXPECT_EQ(good->value("x"), "/");
  for (const char* bad :
       {"", "b", "/a b", "/a%2fb", "/a+b", "/a%2", "/a%zz", "/%61", "/a?", "/a?b=1&", "/a?b=1&a=2",
        "/a?a=1&a=2", "/a?a=%2f", "/a?a=x y", "/a?=1", "/a?a=1=2"}) {
    EXPECT_FALSE(parse_s3_target(bad)) << bad;
  }
}

TEST(S3ServerTarget, ReadsTheListOfADelete) {
  const auto list = parse_s3_delete(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>\n"
      "<Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object></Delete>");
  ASSERT_TRUE(list);
  EXPECT_TRUE(list->quiet);
  EXPECT_THAT(list->keys, testing::ElementsAre("a&b", "c"));
  for (const char* bad :
       {"", "<Delete></Delete>", "<Delete><Object></Object></Delete>",
        "<Delete><Object><Key>a</Key></Object></Delete>x",
        "<Delete><Object><Key>a&b</Key></Object></Delete>", "<Delete><Object><Key>a</Key></Object>",
        "<Delete xmlns=\"a<b\"><Object><Key>a</Key></Object></Delete>",
        "<Delete><Quiet>yes</Quiet><Object><Key>a</Key></Object></Delete>"}) {
    EXPECT_FALSE(parse_s3_delete(bad)) << bad;
  }
}

}  // namespace
}  // namespace thaw
