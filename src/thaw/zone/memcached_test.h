// SPDX-License-Identifier: Apache-2.0
//
// Real memcached servers on the loopback for this module's tests.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/net/socket_address.h"
#include "thaw/sys/fd.h"

namespace thaw {

inline constexpr const char* kMemcachedPath = "/usr/bin/memcached";
inline bool have_memcached() { return ::access(kMemcachedPath, X_OK) == 0; }

/// A port of the loopback that nobody listened on a moment ago.
inline uint16_t free_port() {
  const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  // SAFETY: a sockaddr_in is a sockaddr.
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  CHECK(::bind(probe.get(), raw, size) == 0);
  CHECK(::getsockname(probe.get(), raw, &size) == 0);
  return ntohs(address.sin_port);
}

/// A blocking connection for the test's own requests.
inline Fd connect_loopback(uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = numeric_address("127.0.0.1", port);
  if (::connect(socket.get(), address->get(), address->bytes) != 0) return Fd();
  return socket;
}

/// One server; ends with the object, and with the test's process whatever becomes of that.
class MemcachedProcess {
 public:
  explicit MemcachedProcess(std::vector<std::string> extra = {}, uint16_t port = free_port())
      : port_(port), extra_(std::move(extra)) {
    start();
  }
  ~MemcachedProcess() { kill(); }
  MemcachedProcess(const MemcachedProcess&) = delete;
  MemcachedProcess& operator=(const MemcachedProcess&) = delete;

  uint16_t port() const { return port_; }
  void signal(int number) const {
    CHECK(pid_ > 0);
    CHECK(::kill(pid_, number) == 0);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  /// On the same port, empty again. Waits until it answers.
  void start() {
    CHECK(pid_ <= 0);
    std::vector<std::string> words{kMemcachedPath, "-l", "127.0.0.1", "-p", std::to_string(port_),
                                   "-U",           "0",  "-t",        "1"};
    if (::geteuid() == 0) words.insert(words.end(), {"-u", "root"});
    words.insert(words.end(), extra_.begin(), extra_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      const int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, 0);
      ::dup2(null, 1);
      ::dup2(null, 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    for (int tries = 0; tries < kStartTries; ++tries) {
      if (connect_loopback(port_)) return;
      std::this_thread::sleep_for(kStartPause);
    }
    CHECK(!"memcached does not listen");
  }

  /// Sends the text and returns what is answered up to and including `end`.
  std::string ask(const std::string& text, const std::string& end) const {
    const Fd socket = connect_loopback(port_);
    CHECK(socket);
    CHECK(::write(socket.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    std::string answer;
    char buffer[4096];
    while (answer.find(end) == std::string::npos) {
      const ssize_t got = ::read(socket.get(), buffer, sizeof buffer);
      if (got <= 0) break;
      answer.append(buffer, static_cast<size_t>(got));
    }
    return answer;
  }
  /// Puts a value under a key behind the client's back.
  void store(const std::string& key, const std::string& value) const {
    const std::string answer = ask(
        "set " + key + " 0 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n", "\r\n");
    CHECK(answer == "STORED\r\n");
  }
  /// The value under a key; empty if there is none.
  std::string load(const std::string& key) const {
    const std::string answer = ask("get " + key + "\r\n", "END\r\n");
    const size_t line = answer.find("\r\n");
    if (!answer.starts_with("VALUE ")) return {};
    return answer.substr(line + 2, answer.size() - line - 2 - std::string("\r\nEND\r\n").size());
  }

 private:
  static constexpr int kStartTries = 2000;
  static constexpr std::chrono::milliseconds kStartPause{5};

  const uint16_t port_;
  const std::vector<std::string> extra_;
  pid_t pid_ = -1;
};

}  // namespace thaw
