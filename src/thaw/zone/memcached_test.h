// SPDX-License-Identifier: Apache-2.0
//
// Real memcached servers on the loopback for this module's tests, and a way to look into them and
// to change what they hold behind the client's back.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/net/socket_address.h"
#include "thaw/sys/fd.h"
#include "thaw/zone/memcached_process.h"

namespace thaw {

/// Items of 1 MiB at most, as memcached has it when nobody says otherwise.
inline MemcachedOptions plain_memcached(std::vector<std::string> arguments = {}) {
  MemcachedOptions options;
  options.threads = 1;
  options.item_mib_max = 1;
  options.arguments = std::move(arguments);
  return options;
}

class ZoneServer {
 public:
  explicit ZoneServer(MemcachedOptions options = plain_memcached()) {
    Result<std::unique_ptr<MemcachedProcess>> started = MemcachedProcess::start(std::move(options));
    CHECK(started);
    process_ = std::move(*started);
  }

  uint16_t port() const { return process_->port(); }
  /// Waits until every thread stands still: a signal takes effect a moment after it is sent.
  void freeze() {
    process_->freeze();
    while (!all_threads_stopped()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void thaw() { process_->thaw(); }
  void kill() { process_->kill(); }
  /// At the same port, empty.
  void restart() { CHECK(process_->restart()); }

  /// Sends the text and returns what is answered up to and including `end`.
  std::string ask(const std::string& text, const std::string& end) const {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = numeric_address("127.0.0.1", port());
    CHECK(::connect(socket.get(), address->get(), address->bytes) == 0);
    CHECK(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(text.size()));
    std::string answer;
    char buffer[65536];
    while (answer.find(end) == std::string::npos) {
      const ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, 0);
      if (got <= 0) break;
      answer.append(buffer, static_cast<size_t>(got));
    }
    return answer;
  }
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
  bool all_threads_stopped() const {
    const std::string tasks = "/proc/" + std::to_string(process_->pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      std::ifstream file(task.path() / "stat");
      const std::string stat((std::istreambuf_iterator<char>(file)), {});
      // The state follows the name in brackets.
      const size_t end = stat.rfind(')');
      if (end == std::string::npos || stat.substr(end + 2, 1) != "T") return false;
    }
    return true;
  }

  std::unique_ptr<MemcachedProcess> process_;
};

}  // namespace thaw
