// SPDX-License-Identifier: Apache-2.0
#include "thaw/net/tcp_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>

#include "thaw/base/guarded.h"
#include "thaw/net/loopback_server_test.h"

namespace thaw {
namespace {

constexpr std::chrono::seconds kPatience(60);

/// Keeps what comes, and lets a test wait for it.
class Client final : public TcpStream::Owner {
 public:
  struct Seen {
    bool open = false;
    std::string received;
    std::optional<Error> closed;
  };

  Client(EventLoop& loop, TcpStream::Options options) : loop_(loop) {
    loop_.run_and_wait([&] { stream_ = std::make_unique<TcpStream>(loop_, *this, options); });
  }
  ~Client() override {
    loop_.run_and_wait([this] { stream_.reset(); });
  }

  void connect(uint16_t port) {
    loop_.run_and_wait([&] { stream_->connect(*numeric_address("127.0.0.1", port)); });
  }
  bool write(Outgoing outgoing) {
    bool taken = false;
    loop_.run_and_wait([&] { taken = stream_->write(std::move(outgoing)); });
    return taken;
  }
  template <typename Condition>
  bool wait_for(Condition condition) {
    MutexLock lock(mutex_);
    while (!condition(seen_)) {
      if (lock.wait_for(changed_, kPatience) == std::cv_status::timeout) return false;
    }
    return true;
  }
  Seen seen() {
    const MutexLock lock(mutex_);
    return seen_;
  }
  TcpStream& stream() { return *stream_; }
  void discard_next(uint64_t bytes) { discard_ = bytes; }

 private:
  void on_open() override {
    note([](Seen& seen) { seen.open = true; });
  }
  void on_readable() override {
    while (stream_->state() == TcpStream::State::kOpen) {
      std::array<std::byte, 777> first;
      std::array<std::byte, 70000> second;
      const std::array<MutableByteSpan, 3> buffers{first, MutableByteSpan{}, second};
      const uint64_t skipping = discard_;
      const auto outcome = skipping != 0 ? stream_->discard(skipping) : stream_->read(buffers);
      if (!outcome) {
        note([&](Seen& seen) { seen.closed = outcome.error(); });
        stream_->close();
        return;
      }
      if (skipping != 0) {
        discard_ = skipping - outcome->bytes;
      } else {
        const size_t head = std::min(outcome->bytes, first.size());
        note([&](Seen& seen) {
          seen.received += as_text(std::span(first).first(head));
          seen.received += as_text(std::span(second).first(outcome->bytes - head));
        });
      }
      if (!outcome->more) return;
    }
  }
  void on_closed(const Error& error) override {
    note([&](Seen& seen) { seen.closed = error; });
  }
  template <typename Change>
  void note(Change change) {
    const MutexLock lock(mutex_);
    change(seen_);
    changed_.notify_all();
  }

  EventLoop& loop_;
  std::unique_ptr<TcpStream> stream_;
  std::atomic<uint64_t> discard_{0};
  Mutex mutex_;
  std::condition_variable changed_;
  Seen seen_ GUARDED_BY(mutex_);
};

TcpStream::Options patient_options() {
  TcpStream::Options options;
  options.peer = "127.0.0.1";
  options.connect_timeout = kPatience;
  return options;
}

std::string pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 31 + i / 4096);
  return text;
}

/// Sends back what comes, in messages of `bytes`.
LoopbackServer::Script echo(size_t bytes) {
  return [bytes](ServerSide& side) {
    while (true) {
      const std::string message = side.receive_all(bytes);
      if (message.size() < bytes || !side.send(message)) return;
    }
  };
}

class TcpStreamTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !have_openssl()) GTEST_SKIP() << "openssl is not installed";
    loop_ = std::move(*EventLoop::start());
    if (!GetParam()) return;
    authority_ = std::make_unique<TestAuthority>();
    authority_->issue("server", "IP:127.0.0.1");
    tls_ = LoopbackServer::Tls{authority_->file("server.pem"), authority_->file("server.key"), ""};
    options_.tls = *TlsContext::create({authority_->file("ca.pem"), "", "", ""});
  }

  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<TestAuthority> authority_;
  std::optional<LoopbackServer::Tls> tls_;
  TcpStream::Options options_ = patient_options();
};

INSTANTIATE_TEST_SUITE_P(All, TcpStreamTest, testing::Values(false, true),
                         [](const auto& param_info) { return param_info.param ? "Tls" : "Plain"; });

TEST_P(TcpStreamTest, LargeBodiesGoBothWaysByteForByte) {
  const std::string body = pattern(3'000'000);
  const std::string text = "head" + body + "tail";
  LoopbackServer server(echo(text.size()), tls_);
  Client client(*loop_, options_);
  client.connect(server.port());
  const auto keep = std::make_shared<std::string>(body);
  ASSERT_TRUE(client.write({"head", as_bytes(*keep), keep}));  // before it is connected
  ASSERT_TRUE(client.write({"tail", {}, nullptr}));
  ASSERT_TRUE(client.wait_for(
      [&](const Client::Seen& seen) { return seen.received.size() >= text.size(); }));
  EXPECT_TRUE(client.seen().open);
  EXPECT_TRUE(client.seen().received == text);
  loop_->run_and_wait([&] { EXPECT_EQ(client.stream().queued_bytes(), 0U); });
  EXPECT_EQ(keep.use_count(), 1);  // nothing is held once it is sent
}

TEST_P(TcpStreamTest, ManySmallWritesKeepTheirOrder) {
  constexpr size_t kCount = 2000;
  std::string text;
  for (size_t i = 0; i < kCount; ++i) text += std::to_string(i) + ",";
  LoopbackServer server(echo(text.size()), tls_);
  Client client(*loop_, options_);
  client.connect(server.port());
  loop_->run_and_wait([&] {
    for (size_t i = 0; i < kCount; ++i) {
      EXPECT_TRUE(client.stream().write({std::to_string(i) + ",", {}, nullptr}));
    }
  });
  ASSERT_TRUE(client.wait_for(
      [&](const Client::Seen& seen) { return seen.received.size() >= text.size(); }));
  EXPECT_EQ(client.seen().received, text);
}

TEST_P(TcpStreamTest, DiscardedBytesAreNotSeen) {
  const std::string useless = pattern(500'000);
  LoopbackServer server(
      [&](ServerSide& side) {
        side.send(useless + "end");
        side.receive(1);
      },
      tls_);
  Client client(*loop_, options_);
  client.discard_next(useless.size());
  client.connect(server.port());
  ASSERT_TRUE(client.wait_for([&](const Client::Seen& seen) { return seen.received.size() >= 3; }));
  EXPECT_EQ(client.seen().received, "end");
}

TEST_P(TcpStreamTest, ThePeersEndIsTold) {
  LoopbackServer server([](ServerSide& side) { side.send("bye"); }, tls_);
  Client client(*loop_, options_);
  client.connect(server.port());
  ASSERT_TRUE(client.wait_for([](const Client::Seen& seen) { return seen.closed.has_value(); }));
  EXPECT_EQ(client.seen().received, "bye");
  EXPECT_EQ(client.seen().closed->code, ErrorCode::kGone) << client.seen().closed->message;
}

TEST_P(TcpStreamTest, WhatWaitsIsBounded) {
  std::atomic<bool> go_on{false};
  LoopbackServer server(
      [&](ServerSide& side) {
        while (!go_on) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        while (!side.receive(1 << 20).empty()) {
        }
      },
      tls_);
  options_.queued_bytes_max = 1 << 20;
  {
    Client client(*loop_, options_);
    client.connect(server.port());
    EXPECT_FALSE(client.write({std::string((1 << 20) + 1, 'x'), {}, nullptr}));
    // The kernel takes some megabytes; after that everything waits here.
    size_t taken = 0;
    while (taken < 1000 && client.write({std::string(1 << 18, 'x'), {}, nullptr})) ++taken;
    EXPECT_LT(taken, 1000U);
    loop_->run_and_wait([&] { EXPECT_LE(client.stream().queued_bytes(), 1U << 20); });
    go_on = true;
  }
}

TEST_P(TcpStreamTest, AClosedStreamConnectsAgain) {
  LoopbackServer server(echo(4), tls_);
  Client client(*loop_, options_);
  for (size_t round = 1; round <= 3; ++round) {
    client.connect(server.port());
    ASSERT_TRUE(client.write({"ping", {}, nullptr}));
    ASSERT_TRUE(client.wait_for(
        [&](const Client::Seen& seen) { return seen.received.size() == 4 * round; }));
    loop_->run_and_wait([&] { client.stream().close(); });
    EXPECT_FALSE(client.write({"ping", {}, nullptr}));
  }
}

TEST(TcpStream, APortThatNobodyListensOnIsAnError) {
  auto loop = std::move(*EventLoop::start());
  uint16_t port = 0;
  {
    port = LoopbackServer([](ServerSide&) {}).port();
  }
  Client client(*loop, patient_options());
  client.connect(port);
  ASSERT_TRUE(client.wait_for([](const Client::Seen& seen) { return seen.closed.has_value(); }));
  EXPECT_FALSE(client.seen().open);
  EXPECT_NE(client.seen().closed->message.find("127.0.0.1"), std::string::npos);
}

TEST(TcpStream, ConnectingIsGivenUpAtTheTimeOut) {
  auto loop = std::move(*EventLoop::start());
  // Takes the connection, never answers the handshake.
  LoopbackServer server([](ServerSide& side) {
    while (!side.receive(4096).empty()) {
    }
  });
  if (!have_openssl()) GTEST_SKIP() << "openssl is not installed";
  const TestAuthority authority;
  TcpStream::Options options = patient_options();
  options.connect_timeout = std::chrono::milliseconds(20);
  options.tls = *TlsContext::create({authority.file("ca.pem"), "", "", ""});
  Client client(*loop, options);
  client.connect(server.port());
  ASSERT_TRUE(client.wait_for([](const Client::Seen& seen) { return seen.closed.has_value(); }));
  EXPECT_EQ(client.seen().closed->code, ErrorCode::kUnavailable);
}

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!have_openssl()) GTEST_SKIP() << "openssl is not installed";
    authority_ = std::make_unique<TestAuthority>();
    loop_ = std::move(*EventLoop::start());
  }
  /// Connects with these options to a server with this certificate; its error, if it is refused.
  std::optional<Error> refusal(const TlsOptions& tls, const std::string& certificate,
                               const std::string& client_ca = "") {
    LoopbackServer server(echo(4),
                          LoopbackServer::Tls{authority_->file(certificate + ".pem"),
                                              authority_->file(certificate + ".key"), client_ca});
    TcpStream::Options options = patient_options();
    options.tls = *TlsContext::create(tls);
    Client client(*loop_, options);
    client.connect(server.port());
    (void)client.write({"ping", {}, nullptr});  // it may be refused already
    EXPECT_TRUE(client.wait_for([](const Client::Seen& seen) {
      return seen.closed.has_value() || seen.received == "ping";
    }));
    return client.seen().closed;
  }

  std::unique_ptr<TestAuthority> authority_;
  std::unique_ptr<EventLoop> loop_;
};

TEST_F(TlsTest, TheServersNameIsChecked) {
  authority_->issue("here", "IP:127.0.0.1");
  authority_->issue("named", "DNS:zone.example");
  const std::string ca = authority_->file("ca.pem");
  EXPECT_FALSE(refusal({ca, "", "", ""}, "here"));
  EXPECT_FALSE(refusal({ca, "", "", "zone.example"}, "named"));
  const auto wrong_address = refusal({ca, "", "", ""}, "named");
  ASSERT_TRUE(wrong_address);
  EXPECT_EQ(wrong_address->code, ErrorCode::kDenied) << wrong_address->message;
  EXPECT_TRUE(refusal({ca, "", "", "other.example"}, "named"));
}

TEST_F(TlsTest, AnotherAuthorityIsRefused) {
  authority_->issue("server", "IP:127.0.0.1");
  const TestAuthority other;
  const auto error = refusal({other.file("ca.pem"), "", "", ""}, "server");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::kDenied);
}

TEST_F(TlsTest, WeShowOurCertificate) {
  authority_->issue("server", "IP:127.0.0.1");
  authority_->issue("client", "DNS:worker");
  const std::string ca = authority_->file("ca.pem");
  EXPECT_FALSE(refusal({ca, authority_->file("client.pem"), authority_->file("client.key"), ""},
                       "server", ca));
  EXPECT_TRUE(refusal({ca, "", "", ""}, "server", ca));
}

TEST_F(TlsTest, BadFilesAreNamed) {
  authority_->issue("client", "DNS:worker");
  const std::string ca = authority_->file("ca.pem");
  for (const TlsOptions& bad :
       {TlsOptions{}, TlsOptions{authority_->file("absent"), "", "", ""},
        TlsOptions{ca, authority_->file("client.pem"), "", ""},
        TlsOptions{ca, authority_->file("ca.pem"), authority_->file("client.key"), ""},
        TlsOptions{ca, authority_->file("client.key"), authority_->file("client.key"), ""}}) {
    const auto context = TlsContext::create(bad);
    ASSERT_FALSE(context);
    EXPECT_EQ(context.error().code, ErrorCode::kInvalid);
  }
}

}  // namespace
}  // namespace thaw
