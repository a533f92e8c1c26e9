// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/radosgw.h"

#include <gtest/gtest.h>

#include <csignal>

#include "thaw/testing/s3_curl_test.h"

namespace thaw {
namespace {

auto* const kGateway =
    static_cast<RadosgwEnvironment*>(testing::AddGlobalTestEnvironment(new RadosgwEnvironment));

class RadosgwTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = Radosgw::unavailable(); !reason.empty()) GTEST_SKIP() << reason;
    const Result<Radosgw*> started = kGateway->get();
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = *started;
  }
  S3CurlReply request(S3CurlRequest request, const std::string& secret = {}) const {
    return s3_curl({gateway_->endpoint(), gateway_->access_key(),
                    secret.empty() ? gateway_->secret_key() : secret, gateway_->region()},
                   std::move(request));
  }
  Radosgw* gateway_ = nullptr;
};

TEST_F(RadosgwTest, KeepsObjectsAndPreconditions) {
  EXPECT_EQ(request({"PUT", "/thaw-test/a/b", "hello"}).status, 200);
  const S3CurlReply got = request({"GET", "/thaw-test/a/b", {}, {"Range: bytes=1-2"}});
  EXPECT_EQ(got.status, 206);
  EXPECT_EQ(got.body, "el");
  EXPECT_EQ(request({"PUT", "/thaw-test/a/b", "other", {"If-None-Match: *"}}).status, 412);
  EXPECT_EQ(request({"GET", "/thaw-test/a/b"}).body, "hello");
  EXPECT_EQ(request({"DELETE", "/thaw-test/a/b"}).status, 204);
  EXPECT_EQ(request({"GET", "/thaw-test/a/b"}).status, 404);
}

TEST_F(RadosgwTest, ChecksSignatures) {
  EXPECT_EQ(request({"GET", "/thaw-test/c"}, "wrong").status, 403);
}

TEST_F(RadosgwTest, AGatewayThatWasKilledComesBackWithItsObjects) {
  EXPECT_EQ(request({"PUT", "/thaw-test/kept", "hello"}).status, 200);
  const std::string endpoint = gateway_->endpoint();
  EXPECT_EQ(gateway_->gateway().kill().signal, SIGKILL);
  EXPECT_FALSE(accepts_connections(gateway_->port()));
  const Result<void> restarted = gateway_->restart_gateway();
  ASSERT_TRUE(restarted) << restarted.error().message;
  EXPECT_EQ(gateway_->endpoint(), endpoint);
  EXPECT_EQ(request({"GET", "/thaw-test/kept"}).body, "hello");
}

TEST_F(RadosgwTest, MakesBucketsForOthers) {
  ASSERT_TRUE(gateway_->create_bucket("thaw-other"));
  EXPECT_EQ(request({"HEAD", "/thaw-other"}).status, 200);
  EXPECT_EQ(request({"HEAD", "/thaw-absent"}).status, 404);
}

}  // namespace
}  // namespace thaw
