// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/tcp_proxy.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/testing/loopback_peer_test.h"

namespace thaw {
namespace {

using std::chrono::milliseconds;

/// Sends back what it gets, a thread a connection, until the connection ends.
class EchoServer {
 public:
  EchoServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    // SAFETY: the sockets API takes every address as sockaddr.
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    CHECK(::bind(listener_.get(), generic, sizeof address) == 0);
    CHECK(::listen(listener_.get(), 64) == 0);
    CHECK(::getsockname(listener_.get(), generic, &length) == 0);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~EchoServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    for (std::thread& thread : echoing_) thread.join();
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  uint16_t port() const { return port_; }

 private:
  void accept_all() {
    while (true) {
      Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) return;
      echoing_.emplace_back([socket = std::move(client)] {
        std::array<char, 65536> buffer;
        while (true) {
          const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
          if (got <= 0) return;
          ssize_t sent = 0;
          while (sent < got) {
            const ssize_t now = ::send(socket.get(), buffer.data() + sent,
                                       static_cast<size_t>(got - sent), MSG_NOSIGNAL);
            if (now <= 0) return;
            sent += now;
          }
        }
      });
    }
  }

  Fd listener_;
  uint16_t port_ = 0;
  std::thread accepting_;
  std::vector<std::thread> echoing_;
};

class TcpProxyTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = TcpProxy::start(server_.port());
    ASSERT_TRUE(started) << started.error().message;
    proxy_ = std::move(*started);
  }
  static std::string pattern(size_t bytes) {
    std::string text(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
    return text;
  }
  /// Through the proxy and back, by a second thread, as neither side can hold it all.
  static std::string echo(LoopbackPeer& peer, const std::string& text) {
    std::thread writer([&] { EXPECT_TRUE(peer.write(text)); });
    std::string got = peer.read(text.size());
    writer.join();
    return got;
  }

  EchoServer server_;
  std::unique_ptr<TcpProxy> proxy_;
};

TEST_F(TcpProxyTest, CarriesBytesAndEnds) {
  LoopbackPeer peer(proxy_->port());
  const std::string text = pattern(20 << 20);
  EXPECT_EQ(echo(peer, text), text);
  peer.finish_writing();
  EXPECT_EQ(peer.read(1), "");
  EXPECT_TRUE(peer.ended());
  const TcpProxyCounts counts = proxy_->counts();
  EXPECT_EQ(counts.bytes_to_client, text.size());
  EXPECT_EQ(counts.bytes_to_server, text.size());
  EXPECT_EQ(counts.connections, 1u);
  EXPECT_EQ(counts.open, 0u);
  EXPECT_EQ(counts.open_max, 1u);
  EXPECT_EQ(counts.resets, 0u);
}

TEST_F(TcpProxyTest, CarriesManyAtOnce) {
  std::vector<std::thread> clients;
  for (size_t i = 0; i < 16; ++i) {
    clients.emplace_back([this, i] {
      LoopbackPeer peer(proxy_->port());
      const std::string text = pattern(100'000 + 1000 * i);
      EXPECT_EQ(echo(peer, text), text);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(proxy_->counts().connections, 16u);
}

TEST_F(TcpProxyTest, DelaysAnswers) {
  proxy_->set_plan({.to_client = {.delay = milliseconds(60)}});
  LoopbackPeer peer(proxy_->port());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(echo(peer, "hello"), "hello");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(60));
}

TEST_F(TcpProxyTest, SlowsDown) {
  proxy_->set_plan({.to_client = {.bytes_per_s = 1'000'000}});
  LoopbackPeer peer(proxy_->port());
  const std::string text = pattern(104'096);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(echo(peer, text), text);
  // All but the last piece has been paid for when the last piece is here.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(100));
}

TEST_F(TcpProxyTest, FlipsTheSameBitsForTheSameSeed) {
  const std::string text = pattern(1'000'000);
  std::vector<std::string> got;
  for (const uint64_t seed : {7u, 7u, 8u}) {
    proxy_->set_plan({.seed = seed, .to_client = {.flip_every_bytes = 10'000}});
    LoopbackPeer peer(proxy_->port());
    got.push_back(echo(peer, text));
    ASSERT_EQ(got.back().size(), text.size());
    // It has gone when the next plan begins, which would count it as its first connection.
    proxy_->reset_connections();
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_NE(got[0], got[2]);
  size_t wrong = 0;
  for (size_t i = 0; i < text.size(); ++i) wrong += text[i] != got[0][i] ? 1 : 0;
  EXPECT_GT(wrong, 50u);
  EXPECT_LT(wrong, 200u);
}

TEST_F(TcpProxyTest, LiesInOneDirectionOnly) {
  // What the server got, it sent back: a second proxy behind shows that it got the truth.
  const auto inner = TcpProxy::start(server_.port(), {.to_client = {.flip_every_bytes = 1000}});
  ASSERT_TRUE(inner);
  proxy_->set_server_port((*inner)->port());
  LoopbackPeer peer(proxy_->port());
  const std::string text = pattern(100'000);
  EXPECT_NE(echo(peer, text), text);
  EXPECT_GT((*inner)->counts().flips, 0u);
  EXPECT_EQ(proxy_->counts().flips, 0u);
}

TEST_F(TcpProxyTest, ABlackHoleIsSilentAndHeals) {
  LoopbackPeer before(proxy_->port());
  EXPECT_EQ(echo(before, "a"), "a");
  proxy_->set_plan({.blackhole = true});
  LoopbackPeer during(proxy_->port());
  ASSERT_TRUE(during.connected());
  ASSERT_TRUE(before.write("b") && during.write("c"));
  EXPECT_EQ(before.read(1, 50), "");
  EXPECT_TRUE(before.was_silent());
  EXPECT_EQ(during.read(1, 50), "");
  EXPECT_TRUE(during.was_silent());
  proxy_->set_plan({});
  EXPECT_EQ(before.read(1), "b");
  EXPECT_EQ(during.read(1), "c");
}

TEST_F(TcpProxyTest, ACutResetsAndRefusesAndHealsAtItsPort) {
  LoopbackPeer before(proxy_->port());
  EXPECT_EQ(echo(before, "a"), "a");
  proxy_->set_plan({.cut = true});
  EXPECT_EQ(before.read(1), "");
  EXPECT_TRUE(before.was_reset());
  EXPECT_FALSE(LoopbackPeer(proxy_->port()).connected());
  EXPECT_EQ(proxy_->counts().resets, 1u);
  proxy_->set_plan({});
  LoopbackPeer after(proxy_->port());
  EXPECT_EQ(echo(after, "b"), "b");
}

TEST_F(TcpProxyTest, ResetsInTheMiddleOfTheStream) {
  proxy_->set_plan({.to_client = {.reset_after_bytes = 12'345}});
  LoopbackPeer peer(proxy_->port());
  const std::string text = pattern(50'000);
  ASSERT_TRUE(peer.write(text));
  const std::string got = peer.read(text.size());
  EXPECT_TRUE(peer.was_reset());
  EXPECT_LE(got.size(), 12'345u);
  EXPECT_EQ(got, text.substr(0, got.size()));
  EXPECT_EQ(proxy_->counts().bytes_to_client, 12'345u);
  EXPECT_EQ(proxy_->counts().resets, 1u);
}

TEST_F(TcpProxyTest, AServerThatIsGoneResetsTheClient) {
  uint16_t port = 0;
  {
    const EchoServer gone;
    port = gone.port();
  }
  proxy_->set_server_port(port);
  LoopbackPeer peer(proxy_->port());
  EXPECT_EQ(peer.read(1), "");
  EXPECT_FALSE(peer.was_silent());
}

TEST_F(TcpProxyTest, SaysItsSeed) {
  proxy_->set_plan({.seed = 42, .to_server = {.flip_every_bytes = 9}, .blackhole = true});
  const std::string text = proxy_->describe();
  EXPECT_NE(text.find("seed 42"), std::string::npos) << text;
  EXPECT_NE(text.find("to server a flip in 9 bytes"), std::string::npos) << text;
  EXPECT_NE(text.find("black hole"), std::string::npos) << text;
}

}  // namespace
}  // namespace thaw
