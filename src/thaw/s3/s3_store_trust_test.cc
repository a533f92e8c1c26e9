// SPDX-License-Identifier: Apache-2.0
//
// Whom S3Store trusts and what it tells of itself: certificates, session tokens, no secret.
#include <string>

#include "thaw/s3/s3_store_fault_test.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/testing/test_certificate.h"

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(S3StoreFaultTest, NoSecretInWhatItSaysOfItself) {
  EXPECT_EQ(store().describe(), "s3://thaw-test at " + server_->endpoint());
  options_.prefix = "a/b";
  store_ = open_store(options_, server_->options().account);
  EXPECT_EQ(store().describe(), "s3://thaw-test/a/b at " + server_->endpoint());
}

TEST(S3StoreTlsTest, OnlyATrustedCertificateWillDo) {
  const TempDir dir;
  const auto certificate = make_test_certificate(dir.path());
  if (!certificate) GTEST_SKIP() << certificate.error().message;
  S3ServerOptions server_options;
  server_options.certificate_pem = certificate->certificate_pem;
  server_options.key_pem = certificate->key_pem;
  const auto server = start_server(server_options);
  S3Options options = options_for(*server);
  ASSERT_TRUE(options.endpoint.starts_with("https://"));

  // The system's authorities do not know it.
  auto store = open_store(options, server->options().account);
  auto checked = store->check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kDenied);
  EXPECT_THAT(checked.error().message, HasSubstr("set ca_file"));
  EXPECT_EQ(store->counters().retries, 0u);

  options.ca_file = dir.file("missing.pem");
  store = open_store(options, server->options().account);
  checked = store->check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kDenied);
  EXPECT_THAT(checked.error().message, HasSubstr("missing.pem"));

  options.ca_file = certificate->certificate_file;
  store = open_store(options, server->options().account);
  const Bytes bytes = sample_bytes(1, 700'000);
  const auto replaced = store->replace("k", bytes);
  ASSERT_TRUE(replaced) << replaced.error().message;
  Bytes out(bytes.size());
  ASSERT_TRUE(store->get_into("k", out));
  EXPECT_EQ(out, bytes);

  // Trusted, but for another name: a wildcard right below the top does not count.
  options.addressing = S3Addressing::kVirtualHost;
  options.endpoint = "https://localhost:" + std::to_string(server->port());
  checked = open_store(options, server->options().account)->check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kDenied);
  EXPECT_THAT(checked.error().message, HasSubstr("thaw-test.localhost"));
  EXPECT_THAT(server->violations(), IsEmpty());
}

TEST(S3StoreTokenTest, TheSessionTokenIsSent) {
  S3ServerOptions server_options;
  server_options.account.session_token = "a-session-token";
  const auto server = start_server(server_options);
  auto credentials =
      S3Credentials::from_text(server->options().account.access_key,
                               server->options().account.secret_key, "a-session-token", "the test");
  ASSERT_TRUE(credentials);
  const auto store = S3Store::create(options_for(*server), std::move(*credentials));
  ASSERT_TRUE(store) << store.error().message;
  const auto checked = (*store)->check();
  EXPECT_TRUE(checked) << checked.error().message;
  EXPECT_THAT(server->violations(), IsEmpty());
}

}  // namespace
}  // namespace thaw
