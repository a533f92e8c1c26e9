// SPDX-License-Identifier: Apache-2.0
//
// A TCP or TLS server on the loopback that one test scripts, and certificates for it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/sys/fd.h"

namespace thaw {

inline constexpr const char* kOpensslPath = "/usr/bin/openssl";
inline bool have_openssl() { return ::access(kOpensslPath, X_OK) == 0; }

/// An authority, and certificates signed by it, made with the openssl program in a directory that
/// goes with the object.
class TestAuthority {
 public:
  TestAuthority() {
    std::string path = std::filesystem::temp_directory_path() / "thaw-tls-XXXXXX";
    CHECK(::mkdtemp(path.data()) != nullptr);
    path_ = path;
    run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca "
        "-keyout ca.key -out ca.pem");
  }
  ~TestAuthority() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  /// Makes <name>.pem and <name>.key for the alternative names, as in "DNS:localhost,IP:127.0.0.1".
  void issue(const std::string& name, const std::string& names) {
    run("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
        " -addext subjectAltName=" + names + " -keyout " + name + ".key -out " + name + ".csr");
    run("x509 -req -in " + name + ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 " +
        "-copy_extensions copy -out " + name + ".pem");
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  void run(const std::string& words) const {
    const std::string command =
        "cd " + path_ + " && " + kOpensslPath + " " + words + " >/dev/null 2>&1";
    CHECK(std::system(command.c_str()) == 0);
  }

  std::string path_;
};

/// One accepted connection, blocking.
class ServerSide {
 public:
  ServerSide(int socket, SSL* ssl) : socket_(socket), ssl_(ssl) {}
  /// At most `count` bytes; empty at the end.
  std::string receive(size_t count) {
    std::string bytes(count, '\0');
    ssize_t got = 0;
    if (ssl_ != nullptr) {
      got = SSL_read(ssl_, bytes.data(), static_cast<int>(count));
    } else {
      got = ::recv(socket_, bytes.data(), count, 0);
    }
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  /// Exactly `count` bytes, or fewer at the end.
  std::string receive_all(size_t count) {
    std::string bytes;
    while (bytes.size() < count) {
      const std::string more = receive(count - bytes.size());
      if (more.empty()) break;
      bytes += more;
    }
    return bytes;
  }
  bool send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count =
          ssl_ != nullptr
              ? SSL_write(ssl_, bytes.data() + sent, static_cast<int>(bytes.size() - sent))
              : ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent += static_cast<size_t>(count);
    }
    return true;
  }

 private:
  const int socket_;
  SSL* const ssl_;
};

/// Runs the script for each connection, one after the other, on a thread of its own.
class LoopbackServer {
 public:
  using Script = std::function<void(ServerSide&)>;
  struct Tls {
    std::string cert_file;
    std::string key_file;
    std::string client_ca_file;  // empty: no certificate is asked for
  };

  explicit LoopbackServer(Script script, std::optional<Tls> tls = std::nullopt)
      : script_(std::move(script)) {
    if (tls) {
      context_.reset(SSL_CTX_new(TLS_server_method()));
      SSL_CTX_set_mode(context_.get(), SSL_MODE_AUTO_RETRY);
      CHECK(SSL_CTX_use_certificate_chain_file(context_.get(), tls->cert_file.c_str()) == 1);
      CHECK(SSL_CTX_use_PrivateKey_file(context_.get(), tls->key_file.c_str(), SSL_FILETYPE_PEM) ==
            1);
      if (!tls->client_ca_file.empty()) {
        CHECK(SSL_CTX_load_verify_locations(context_.get(), tls->client_ca_file.c_str(), nullptr) ==
              1);
        SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           nullptr);
      }
    }
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
  /// Waits for the script under way, which ends when its client has gone.
  ~LoopbackServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  uint16_t port() const { return port_; }

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  void serve() {
    // OpenSSL's own socket writes raise SIGPIPE, for the thread that writes.
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    while (true) {
      const Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) return;
      // A client that goes in the middle of a handshake must not hold the test up.
      const timeval patience{60, 0};
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      std::unique_ptr<SSL, FreeSsl> ssl;
      if (context_) {
        ssl.reset(SSL_new(context_.get()));
        SSL_set_fd(ssl.get(), socket.get());
        if (SSL_accept(ssl.get()) != 1) continue;
      }
      ServerSide side(socket.get(), ssl.get());
      script_(side);
      if (ssl) SSL_shutdown(ssl.get());
    }
  }

  const Script script_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  Fd listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace thaw
