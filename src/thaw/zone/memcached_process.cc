// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/memcached_process.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr std::chrono::seconds kStartMax{30};
constexpr std::chrono::milliseconds kPoll{5};
constexpr uint64_t kPortFileBytesMax = 4096;

/// The port that memcached says it has: a line "TCP INET: 12345". nullopt while it says nothing.
std::optional<uint16_t> read_port(const std::string& path) {
  const Result<Bytes> content = read_file(path, kPortFileBytesMax);
  if (!content) return std::nullopt;
  constexpr std::string_view kBegin = "TCP INET: ";
  const std::string_view text = as_text(*content);
  const size_t begin = text.find(kBegin);
  if (begin == std::string_view::npos || !text.ends_with('\n')) return std::nullopt;
  uint16_t port = 0;
  const char* digits = text.data() + begin + kBegin.size();
  const auto [end, error] = std::from_chars(digits, text.data() + text.size(), port);
  if (error != std::errc{} || *end != '\n') return std::nullopt;
  return port;
}

}  // namespace

std::string MemcachedProcess::unavailable() {
  if (!find_program("memcached").empty()) return {};
  return "memcached cannot run: there is no such program (Debian package memcached)";
}

Result<std::unique_ptr<MemcachedProcess>> MemcachedProcess::start(MemcachedOptions options) {
  if (std::string reason = unavailable(); !reason.empty()) {
    return fail(ErrorCode::kUnsupported, std::move(reason));
  }
  std::unique_ptr<MemcachedProcess> started(new MemcachedProcess(std::move(options)));
  started->directory_ = std::filesystem::temp_directory_path() / "thaw-memcached-XXXXXX";
  if (::mkdtemp(started->directory_.data()) == nullptr) {
    return fail_errno("cannot make the directory " + started->directory_, errno);
  }
  TRY(started->launch());
  return started;
}

MemcachedProcess::~MemcachedProcess() {
  child_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Result<void> MemcachedProcess::launch() {
  const std::string port_file = file("port");
  std::remove(port_file.c_str());
  const uint16_t wanted = port_ != 0 ? port_ : options_.port;
  // -1 is any free port, which memcached writes to the file.
  ChildOptions child{.argv = {"memcached", "-l", "127.0.0.1", "-U", "0",  //
                              "-p", wanted == 0 ? "-1" : std::to_string(wanted), "-m",
                              std::to_string(options_.memory_mib),     //
                              "-t", std::to_string(options_.threads),  //
                              "-c", std::to_string(options_.connections_max), "-I",
                              std::to_string(options_.item_mib_max) + "m"},
                     .environment = {"MEMCACHED_PORT_FILENAME=" + port_file},
                     .log_path = file("log")};
  // As another user it would outlive us: a change of the user cancels the kernel's watch on us.
  if (::getuid() == 0) child.argv.insert(child.argv.end(), {"-u", "root"});
  if (!options_.certificate_file.empty()) {
    child.argv.insert(child.argv.end(), {"-Z", "-o",
                                         "ssl_chain_cert=" + options_.certificate_file +
                                             ",ssl_key=" + options_.key_file});
  }
  child.argv.insert(child.argv.end(), options_.arguments.begin(), options_.arguments.end());
  ASSIGN_OR_RETURN(child_, ChildProcess::start(child));
  const auto deadline = std::chrono::steady_clock::now() + kStartMax;
  while (true) {
    if (const auto port = read_port(port_file); port && accepts_connections(*port)) {
      port_ = *port;
      return {};
    }
    const bool ended = !child_->running();
    if (ended || std::chrono::steady_clock::now() > deadline) {
      return fail(ErrorCode::kUnavailable, std::string("memcached ") +
                                               (ended ? "ended" : "does not accept connections") +
                                               ": " + log());
    }
    std::this_thread::sleep_for(kPoll);
  }
}

void MemcachedProcess::freeze() { child_->signal(SIGSTOP); }

void MemcachedProcess::thaw() { child_->signal(SIGCONT); }

Result<void> MemcachedProcess::restart() {
  child_->kill();
  return launch();
}

std::string MemcachedProcess::log() const { return tail_of_file(file("log")); }

}  // namespace thaw
