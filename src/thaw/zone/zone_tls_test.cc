// SPDX-License-Identifier: Apache-2.0
//
// A zone of servers that speak TLS, with the worker's certificate.
#include <gtest/gtest.h>

#include "thaw/net/loopback_server_test.h"
#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

class ZoneTlsTest : public ZoneTest {
 protected:
  void SetUp() override {
    ZoneTest::SetUp();
    if (IsSkipped()) return;
    if (!have_openssl()) GTEST_SKIP() << "openssl is not installed";
    authority_ = std::make_unique<TestAuthority>();
    authority_->issue("node", "IP:127.0.0.1");
    authority_->issue("worker", "DNS:worker");
    if (!memcached_has_tls()) GTEST_SKIP() << "this memcached has no TLS";
    for (int i = 0; i < 3; ++i) {
      MemcachedOptions options = plain_memcached(
          {"-o", "ssl_ca_cert=" + authority_->file("ca.pem") + ",ssl_verify_mode=2"});
      options.certificate_file = authority_->file("node.pem");
      options.key_file = authority_->file("node.key");
      add_server(options);
    }
  }
  static bool memcached_has_tls() { return std::system("memcached -h | grep -q enable-ssl") == 0; }

  std::unique_ptr<TestAuthority> authority_;
};

TEST_F(ZoneTlsTest, ServesTheRightBytes) {
  ZoneOptions options = patient_options(2, 1);
  options.tls = TlsOptions{authority_->file("ca.pem"), authority_->file("worker.pem"),
                           authority_->file("worker.key"), ""};
  connect(options);
  std::vector<TestChunk> chunks;
  for (unsigned i = 0; i < 8; ++i) {
    chunks.push_back(make_chunk(i, 1 + 37 * i));
    EXPECT_EQ(put_and_wait(*client_, chunks.back()), 3U);
  }
  for (const TestChunk& chunk : chunks) EXPECT_TRUE(get_and_compare(*client_, chunk));
  servers_[0]->kill();
  for (const TestChunk& chunk : chunks) EXPECT_TRUE(get_and_compare(*client_, chunk));
  // Two callers at once, answers of 256 KiB abandoned in between.
  servers_[0]->restart();
  ASSERT_TRUE(wait_until([&] { return count_up() == 3; }));
  for (int round = 0; round < 5; ++round) {
    for (const TestChunk& chunk : chunks) EXPECT_TRUE(get_and_compare(*client_, chunk));
  }
}

TEST_F(ZoneTlsTest, AStrangersServersAreMisses) {
  const TestAuthority other;
  ZoneOptions options = patient_options(2, 1);
  options.tls = TlsOptions{other.file("ca.pem"), "", "", ""};
  options.nodes = addresses();
  client_ = std::move(*ZoneClient::create(options));
  ASSERT_TRUE(wait_until([&] { return client_->status().nodes[0].disconnects > 0; }));
  const TestChunk chunk = make_chunk(1, 4);
  EXPECT_EQ(put_and_wait(*client_, chunk), 0U);
  EXPECT_FALSE(get_and_compare(*client_, chunk));
}

}  // namespace
}  // namespace thaw
