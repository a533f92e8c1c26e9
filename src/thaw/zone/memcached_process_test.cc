// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/memcached_process.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "thaw/testing/loopback_peer_test.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/testing/test_certificate.h"

namespace thaw {
namespace {

class MemcachedProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = MemcachedProcess::unavailable(); !why.empty()) GTEST_SKIP() << why;
  }
  void start(MemcachedOptions options = {}) {
    auto started = MemcachedProcess::start(std::move(options));
    ASSERT_TRUE(started) << started.error().message;
    memcached_ = std::move(*started);
  }
  static std::string ask(LoopbackPeer& peer, const std::string& question, size_t answer_bytes) {
    EXPECT_TRUE(peer.write(question));
    return peer.read(answer_bytes);
  }
  std::unique_ptr<MemcachedProcess> memcached_;
};

TEST_F(MemcachedProcessTest, KeepsItems) {
  start();
  LoopbackPeer peer(memcached_->port());
  ASSERT_TRUE(peer.connected());
  EXPECT_EQ(ask(peer, "ms key 5\r\nhello\r\n", 4), "HD\r\n");
  EXPECT_EQ(ask(peer, "mg key v\r\n", 13), "VA 5\r\nhello\r\n");
  // Bigger than an item of the default limit.
  const std::string big(1'500'000, 'x');
  EXPECT_EQ(ask(peer, "ms big " + std::to_string(big.size()) + "\r\n" + big + "\r\n", 4), "HD\r\n");
}

TEST_F(MemcachedProcessTest, TwoRunSideBySide) {
  start();
  const auto other = MemcachedProcess::start();
  ASSERT_TRUE(other);
  EXPECT_NE((*other)->port(), memcached_->port());
}

TEST_F(MemcachedProcessTest, AKilledOneRefusesAndComesBackEmptyAtItsPort) {
  start();
  const uint16_t port = memcached_->port();
  LoopbackPeer before(port);
  EXPECT_EQ(ask(before, "ms key 5\r\nhello\r\n", 4), "HD\r\n");
  memcached_->kill();
  EXPECT_FALSE(memcached_->running());
  EXPECT_FALSE(LoopbackPeer(port).connected());
  EXPECT_EQ(before.read(1), "");
  EXPECT_FALSE(before.was_silent());
  ASSERT_TRUE(memcached_->restart());
  EXPECT_EQ(memcached_->port(), port);
  LoopbackPeer after(port);
  EXPECT_EQ(ask(after, "mg key v\r\n", 4), "EN\r\n");
}

TEST_F(MemcachedProcessTest, AFrozenOneAcceptsAndIsSilentUntilItThaws) {
  start();
  memcached_->freeze();
  LoopbackPeer peer(memcached_->port());
  ASSERT_TRUE(peer.connected());
  ASSERT_TRUE(peer.write("mg key v\r\n"));
  EXPECT_EQ(peer.read(4, 100), "");
  EXPECT_TRUE(peer.was_silent());
  memcached_->thaw();
  EXPECT_EQ(peer.read(4), "EN\r\n");
}

TEST_F(MemcachedProcessTest, AFrozenOneCanBeStoppedAndRestarted) {
  start();
  memcached_->freeze();
  ASSERT_TRUE(memcached_->restart());
  memcached_->freeze();
  memcached_->stop();
  EXPECT_FALSE(memcached_->running());
}

TEST_F(MemcachedProcessTest, TakesMoreArguments) {
  const TempDir directory;
  start({.arguments = {"-o", "ext_path=" + directory.file("items") + ":64m,ext_item_size=512"}});
  LoopbackPeer peer(memcached_->port());
  const std::string big(100'000, 'x');
  EXPECT_EQ(ask(peer, "ms big " + std::to_string(big.size()) + "\r\n" + big + "\r\n", 4), "HD\r\n");
  EXPECT_EQ(ask(peer, "mg big v\r\n", big.size() + 13), "VA 100000\r\n" + big + "\r\n");
}

TEST_F(MemcachedProcessTest, SpeaksTls) {
  const TempDir directory;
  const auto certificate = make_test_certificate(directory.path());
  if (!certificate) GTEST_SKIP() << certificate.error().message;
  start({.certificate_file = certificate->certificate_file, .key_file = certificate->key_file});
  LoopbackPeer peer(memcached_->port());
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  ASSERT_EQ(SSL_CTX_load_verify_locations(context, certificate->certificate_file.c_str(), nullptr),
            1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL* tls = SSL_new(context);
  SSL_set_fd(tls, peer.fd());
  EXPECT_EQ(SSL_connect(tls), 1);
  EXPECT_EQ(SSL_write(tls, "mg key v\r\n", 10), 10);
  char answer[4] = {};
  EXPECT_EQ(SSL_read(tls, answer, sizeof answer), 4);
  EXPECT_EQ(std::string(answer, 4), "EN\r\n");
  SSL_free(tls);
  SSL_CTX_free(context);
}

TEST_F(MemcachedProcessTest, SaysWhyItDoesNotStart) {
  const auto started = MemcachedProcess::start({.arguments = {"--no-such-option"}});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(started.error().message.find("no-such-option"), std::string::npos)
      << started.error().message;
}

}  // namespace
}  // namespace thaw
