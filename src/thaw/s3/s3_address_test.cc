// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_address.h"

#include <gtest/gtest.h>

#include <functional>

namespace thaw {
namespace {

S3Options options_at(const std::string& endpoint, const std::string& bucket = "my-bucket") {
  S3Options options;
  options.bucket = bucket;
  options.endpoint = endpoint;
  return options;
}

TEST(S3AddressTest, Parses) {
  struct Example {
    const char* text;
    const char* bucket;
    const char* prefix;
  };
  for (const Example& example :
       {Example{"s3://bucket", "bucket", ""}, Example{"s3://bucket/", "bucket", ""},
        Example{"s3://b.u-c/a", "b.u-c", "a"}, Example{"s3://123/a/b@c/", "123", "a/b@c"}}) {
    const auto address = S3Address::parse(example.text);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(address->bucket, example.bucket);
    EXPECT_EQ(address->prefix, example.prefix);
  }
}

TEST(S3AddressTest, RefusesAndSaysWhat) {
  for (const char* text :
       {"", "bucket", "s3:/bucket", "S3://bucket", "s3://", "s3://ab", "s3:///x", "s3://Bucket",
        "s3://bucket//x", "s3://bucket/x//", "s3://bucket/.x", "s3://bucket/a b", "s3://-bucket",
        "s3://buck..et", "s3://bucket?x", "s3://user@bucket"}) {
    const auto address = S3Address::parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalid);
    EXPECT_NE(address.error().message.find('"'), std::string::npos) << address.error().message;
  }
}

TEST(S3EndpointTest, AmazonsOwn) {
  S3Options options = options_at("");
  options.region = "eu-central-1";
  auto endpoint = S3Endpoint::create(options);
  ASSERT_TRUE(endpoint) << endpoint.error().message;
  EXPECT_EQ(endpoint->base(), "https://s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(endpoint->host(), "my-bucket.s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(endpoint->path_of(""), "/");
  EXPECT_EQ(endpoint->url(endpoint->path_of("a/b+c"), "x=1"),
            "https://my-bucket.s3.eu-central-1.amazonaws.com/a/b%2Bc?x=1");

  options.bucket = "dotted.bucket";  // no wildcard certificate covers it
  endpoint = S3Endpoint::create(options);
  EXPECT_EQ(endpoint->url(endpoint->path_of("a"), ""),
            "https://s3.eu-central-1.amazonaws.com/dotted.bucket/a");
}

TEST(S3EndpointTest, Others) {
  auto endpoint = S3Endpoint::create(options_at("http://127.0.0.1:9000"));
  ASSERT_TRUE(endpoint) << endpoint.error().message;
  EXPECT_EQ(endpoint->host(), "127.0.0.1:9000");
  EXPECT_EQ(endpoint->path_of(""), "/my-bucket");
  EXPECT_EQ(endpoint->url(endpoint->path_of("k"), ""), "http://127.0.0.1:9000/my-bucket/k");

  // The port that goes without saying is not in the Host header.
  EXPECT_EQ(S3Endpoint::create(options_at("https://h:443"))->host(), "h");
  EXPECT_EQ(S3Endpoint::create(options_at("http://h:443"))->host(), "h:443");
  EXPECT_EQ(S3Endpoint::create(options_at("http://[::1]:80"))->host(), "[::1]");

  S3Options options = options_at("https://store.example:8443");
  options.addressing = S3Addressing::kVirtualHost;
  EXPECT_EQ(S3Endpoint::create(options)->url("/k", ""), "https://my-bucket.store.example:8443/k");
}

TEST(S3EndpointTest, Refuses) {
  for (const char* text :
       {"host", "ftp://host", "http://", "http://host/", "http://host/path", "http://host:0",
        "http://host:65536", "http://host:", "http://host:x", "http://user:pw@host", "http://h?x",
        "http://[::1", "http://[]", "http://[x]:1", "https://a b", "HTTP://host"}) {
    const auto endpoint = S3Endpoint::create(options_at(text));
    ASSERT_FALSE(endpoint) << text;
    EXPECT_EQ(endpoint.error().code, ErrorCode::kInvalid);
  }
}

TEST(S3OptionsTest, TheDefaultsAreValid) {
  EXPECT_TRUE(options_at("").validate());
  EXPECT_TRUE(options_at("http://h").validate());
}

TEST(S3OptionsTest, EachFieldIsChecked) {
  const auto message_of = [](const std::function<void(S3Options&)>& change) {
    S3Options options = options_at("http://h");
    change(options);
    const auto valid = options.validate();
    EXPECT_FALSE(valid);
    if (valid) return std::string();
    EXPECT_EQ(valid.error().code, ErrorCode::kInvalid);
    return valid.error().message;
  };
  const auto names = [&](const char* field, const std::function<void(S3Options&)>& change) {
    const std::string message = message_of(change);
    EXPECT_NE(message.find(field), std::string::npos) << message;
  };
  names("bucket", [](S3Options& o) { o.bucket = "B"; });
  names("prefix", [](S3Options& o) { o.prefix = "a/"; });
  names("region", [](S3Options& o) { o.region = "Mars 1"; });
  names("endpoint", [](S3Options& o) { o.endpoint = "h"; });
  names("connections_max", [](S3Options& o) { o.connections_max = 0; });
  names("puts_in_flight_max", [](S3Options& o) { o.puts_in_flight_max = 0; });
  names("calls_max", [](S3Options& o) { o.calls_max = 0; });
  names("request_deadline_ms", [](S3Options& o) { o.request_deadline_ms = 0; });
  names("attempt_timeout_ms", [](S3Options& o) { o.attempt_timeout_ms = 0; });
  names("connect_timeout_ms", [](S3Options& o) { o.connect_timeout_ms = 0; });
  names("stall_ms", [](S3Options& o) { o.stall_ms = 0; });
  names("attempts_max", [](S3Options& o) { o.attempts_max = 0; });
  names("backoff_base_ms", [](S3Options& o) { o.backoff_base_ms = o.backoff_cap_ms + 1; });
  names("backoff_cap_ms", [](S3Options& o) { o.backoff_cap_ms = 0; });
  names("retry_share", [](S3Options& o) { o.retry_share = 1.5; });
  names("hedge_share", [](S3Options& o) { o.hedge_share = -0.1; });
  names("hedge_percentile", [](S3Options& o) { o.hedge_percentile = 100; });
  names("list_page_keys", [](S3Options& o) { o.list_page_keys = 1001; });
}

}  // namespace
}  // namespace thaw
