// SPDX-License-Identifier: Apache-2.0
//
// S3Store over an S3 service that others wrote: the Ceph object gateway.
#include <gtest/gtest.h>

#include <string>

#include "thaw/s3/s3_store.h"
#include "thaw/s3/served_store_test.h"
#include "thaw/testing/object_store_conformance.h"
#include "thaw/testing/radosgw.h"

namespace thaw {
namespace {

auto* const kGateway =
    static_cast<RadosgwEnvironment*>(testing::AddGlobalTestEnvironment(new RadosgwEnvironment));

S3Options gateway_options(const Radosgw& gateway) {
  S3Options options;
  options.bucket = gateway.bucket();
  options.endpoint = gateway.endpoint();
  options.region = gateway.region();
  // Each test has a prefix of its own in the one bucket.
  static int stores = 0;
  options.prefix = "store-" + std::to_string(++stores);
  return options;
}

std::unique_ptr<S3Store> gateway_store(const Radosgw& gateway, const S3Options& options) {
  S3Account account;
  account.access_key = gateway.access_key();
  account.secret_key = gateway.secret_key();
  return open_store(options, account);
}

/// Few keys a page, so that the longer listings have to go on.
class Gateway {
 public:
  static std::string unavailable() {
    if (std::string reason = Radosgw::unavailable(); !reason.empty()) return reason;
    const Result<Radosgw*> gateway = kGateway->get();
    if (!gateway) ADD_FAILURE() << gateway.error().message;
    return gateway ? "" : "the gateway does not start";
  }
  Gateway() {
    S3Options options = gateway_options(**kGateway->get());
    options.list_page_keys = 40;
    store_ = gateway_store(**kGateway->get(), options);
  }
  ObjectStore& store() { return *store_; }

 private:
  std::unique_ptr<S3Store> store_;
};

using Backends = testing::Types<Gateway>;
INSTANTIATE_TYPED_TEST_SUITE_P(Radosgw, ObjectStoreConformance, Backends);

class RadosgwStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = Gateway::unavailable(); !reason.empty()) GTEST_SKIP() << reason;
    gateway_ = *kGateway->get();
    options_ = gateway_options(*gateway_);
  }
  Radosgw* gateway_ = nullptr;
  S3Options options_;
};

TEST_F(RadosgwStoreTest, CheckTellsWhatIsWrong) {
  EXPECT_TRUE(gateway_store(*gateway_, options_)->check());

  S3Options other = options_;
  other.bucket = "thaw-none-such";
  auto checked = gateway_store(*gateway_, other)->check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kInvalid);
  EXPECT_NE(checked.error().message.find("does not exist at " + gateway_->endpoint()),
            std::string::npos)
      << checked.error().message;
  // Not a missing object either.
  EXPECT_EQ(gateway_store(*gateway_, other)->exists("k").error().code, ErrorCode::kInvalid);

  S3Account account;
  account.access_key = gateway_->access_key();
  account.secret_key = "not-the-secret";
  checked = open_store(options_, account)->check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kDenied);
  EXPECT_NE(checked.error().message.find("secret access key"), std::string::npos);
  EXPECT_EQ(checked.error().message.find("not-the-secret"), std::string::npos);
}

TEST_F(RadosgwStoreTest, ListsPageByPage) {
  std::vector<std::pair<std::string, uint64_t>> expected;
  for (const std::string key : {"a+/x", "a-b/x", "a.b", "a/-", "a/b/c", "a0", "a:/x", "ab"}) {
    ASSERT_TRUE(gateway_store(*gateway_, options_)->replace(key, as_bytes(key)));
    expected.emplace_back(key, key.size());
  }
  for (const unsigned keys : {1u, 2u, 3u, 8u}) {
    options_.list_page_keys = keys;
    const auto listed = list_all(*gateway_store(*gateway_, options_));
    ASSERT_TRUE(listed) << listed.error().message;
    EXPECT_EQ(*listed, expected) << keys;
  }
}

TEST_F(RadosgwStoreTest, AWrongClockIsNamed) {
  for (const auto& [offset, text] : {std::pair{std::chrono::minutes(41), "41 minutes ahead"},
                                     std::pair{std::chrono::minutes(-3 * 60), "behind"}}) {
    S3Options options = options_;
    options.wall_clock = [skew = offset] { return std::chrono::system_clock::now() + skew; };
    for (const auto& result : {gateway_store(*gateway_, options)->check(),
                               gateway_store(*gateway_, options)->replace("k", as_bytes("v"))}) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kDenied);
      EXPECT_NE(result.error().message.find(text), std::string::npos) << result.error().message;
    }
    // A HEAD has no body that would say so.
    const auto exists = gateway_store(*gateway_, options)->exists("k");
    ASSERT_FALSE(exists);
    EXPECT_NE(exists.error().message.find(text), std::string::npos) << exists.error().message;
  }
}

TEST_F(RadosgwStoreTest, CreatesItsBucketAndTakesItAgain) {
  S3Options options = options_;
  options.bucket = "thaw-created-here";
  const auto store = gateway_store(*gateway_, options);
  EXPECT_EQ(store->check().error().code, ErrorCode::kInvalid);
  for (int i = 0; i < 2; ++i) {
    const auto created = store->create_bucket();
    EXPECT_TRUE(created) << created.error().message;
  }
  EXPECT_TRUE(store->check());
  EXPECT_FALSE(*store->exists("k"));
}

TEST_F(RadosgwStoreTest, AGatewayThatIsGoneIsUnavailableAndComesBack) {
  options_.request_deadline_ms = 500;
  const auto store = gateway_store(*gateway_, options_);
  const Bytes data = sample_bytes(1, 100'000);
  ASSERT_TRUE(store->replace("k", data));
  gateway_->gateway().kill();
  Bytes out(data.size());
  const auto gone = store->get_into("k", out);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(gone.error().message.find("attempt"), std::string::npos) << gone.error().message;
  ASSERT_TRUE(gateway_->restart_gateway());
  options_.request_deadline_ms = 30'000;
  const auto back = gateway_store(*gateway_, options_);
  const auto got = back->get_into("k", out);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(out, data);
}

}  // namespace
}  // namespace thaw
