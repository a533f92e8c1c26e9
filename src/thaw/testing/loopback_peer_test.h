// SPDX-License-Identifier: Apache-2.0
//
// LoopbackPeer: one blocking TCP connection to a port of 127.0.0.1, for tests of servers.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

#include "thaw/base/check.h"
#include "thaw/sys/fd.h"

namespace thaw {

class LoopbackPeer {
 public:
  /// How long read() waits before it gives up: a watchdog, no measure.
  static constexpr int kReadMaxMs = 30'000;

  explicit LoopbackPeer(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // SAFETY: the sockets API takes every address as sockaddr.
    connected_ =
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }

  bool write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  /// Up to `bytes`, less only if the connection ends, is reset or stays silent.
  std::string read(size_t bytes, int silent_max_ms = kReadMaxMs) {
    std::string got(bytes, '\0');
    size_t have = 0;
    while (have < bytes) {
      pollfd entry{fd_.get(), POLLIN, 0};
      silent_ = ::poll(&entry, 1, silent_max_ms) == 0;
      if (silent_) break;
      const ssize_t now = ::recv(fd_.get(), got.data() + have, bytes - have, 0);
      error_ = now < 0 ? errno : 0;
      ended_ = now == 0;
      if (now <= 0) break;
      have += static_cast<size_t>(now);
    }
    got.resize(have);
    return got;
  }
  /// Why the last read() was short.
  bool ended() const { return ended_; }
  bool was_reset() const { return error_ == ECONNRESET; }
  bool was_silent() const { return silent_; }
  void finish_writing() const { ::shutdown(fd_.get(), SHUT_WR); }

 private:
  Fd fd_;
  bool connected_ = false;
  bool ended_ = false;
  bool silent_ = false;
  int error_ = 0;
};

}  // namespace thaw
