// SPDX-License-Identifier: Apache-2.0
//
// A node that says what a test tells it to say: for answers that no memcached gives.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/base/guarded.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Listens on the loopback and serves one connection after the other on a thread of its own.
class FakeNode {
 public:
  /// Sends raw bytes to the client; false if it has gone.
  using Send = std::function<bool(const std::string& bytes)>;
  /// Given one request: its line, and a set's value. False ends the connection.
  using Answer =
      std::function<bool(const std::string& line, const std::string& value, const Send& send)>;

  explicit FakeNode(Answer answer) : answer_(std::move(answer)) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    // SAFETY: a sockaddr_in is a sockaddr.
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    CHECK(::bind(listener_.get(), raw, size) == 0);
    CHECK(::listen(listener_.get(), 16) == 0);
    CHECK(::getsockname(listener_.get(), raw, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeNode() {
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    connection_.with([](const int& fd) {
      if (fd >= 0) ::shutdown(fd, SHUT_RDWR);
    });
    thread_.join();
  }
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  uint16_t port() const { return port_; }
  uint64_t connections() const { return connections_.load(); }

 private:
  void serve() {
    while (!stopping_) {
      const Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) return;
      connection_.with([&](int& fd) { fd = socket.get(); });
      ++connections_;
      if (!stopping_) serve_one(socket.get());
      connection_.with([](int& fd) { fd = -1; });
    }
  }

  void serve_one(int socket) {
    std::string input;
    const auto more = [&] {
      char buffer[65536];
      const ssize_t got = ::recv(socket, buffer, sizeof buffer, 0);
      if (got > 0) input.append(buffer, static_cast<size_t>(got));
      return got > 0;
    };
    const Send send = [&](const std::string& bytes) {
      size_t sent = 0;
      while (sent < bytes.size()) {
        const ssize_t count =
            ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) return false;
        sent += static_cast<size_t>(count);
      }
      return true;
    };
    while (true) {
      size_t end = 0;
      while ((end = input.find("\r\n")) == std::string::npos) {
        if (!more()) return;
      }
      const std::string line = input.substr(0, end);
      input.erase(0, end + 2);
      std::string value;
      if (line.starts_with("ms ")) {
        const size_t number = line.find(' ', 3) + 1;
        size_t bytes = 0;
        std::from_chars(line.data() + number, line.data() + line.size(), bytes);
        while (input.size() < bytes + 2) {
          if (!more()) return;
        }
        value = input.substr(0, bytes);
        input.erase(0, bytes + 2);
      }
      if (!answer_(line, value, send)) return;
    }
  }

  const Answer answer_;
  Fd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> connections_{0};
  Guarded<int> connection_{-1};
  std::thread thread_;
};

/// The number of the request's O flag, as text.
inline std::string opaque_of(const std::string& line) {
  const size_t at = line.rfind(" O");
  return at == std::string::npos ? "" : line.substr(at + 2);
}
/// The request's key.
inline std::string key_of(const std::string& line) {
  const size_t begin = line.find(' ') + 1;
  return line.substr(begin, line.find(' ', begin) - begin);
}

}  // namespace thaw
