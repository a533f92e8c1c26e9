// SPDX-License-Identifier: Apache-2.0
//
// The fixture of the command's tests: the real binary as a process of its own, with a store, a
// keyring and image files in a temporary directory, and nothing of the caller's environment.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {

using Json = nlohmann::json;
using Variables = std::map<std::string, std::string>;

inline std::string text_of(const std::string& path) {
  const auto bytes = read_file(path, kGiB);
  return bytes ? std::string(as_text(*bytes)) : "";
}

struct Outcome {
  int exit_code = -1;  // -1: ended by a signal
  std::string out;
  std::string err;

  /// The one JSON object on standard output; aborts the test if it is anything else.
  Json json() const { return Json::parse(out); }
};

/// A process whose standard output is read line by line and whose standard error goes to a file.
class ThawProcess {
 public:
  /// A watchdog, far above what any test takes; nothing is judged by it.
  static constexpr int kWaitMaxMs = 600'000;

  ThawProcess(const std::string& program, std::vector<std::string> arguments,
              const Variables& environment, std::string err_path)
      : err_path_(std::move(err_path)) {
    int ends[2];
    CHECK(::pipe2(ends, O_CLOEXEC) == 0);
    out_ = Fd(ends[0]);
    const Fd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), 1);
    ::posix_spawn_file_actions_addopen(&actions, 2, err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                       0600);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<std::string> variables;
    for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
    std::vector<char*> envp;
    for (std::string& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);
    CHECK(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), envp.data()) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~ThawProcess() {
    if (reaped_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ThawProcess(const ThawProcess&) = delete;
  ThawProcess& operator=(const ThawProcess&) = delete;

  pid_t pid() const { return pid_; }
  void kill(int signal) const { ::kill(pid_, signal); }

  /// The next line without its end; nullopt at the end of the output.
  std::optional<std::string> read_line() {
    while (true) {
      if (const size_t end = pending_.find('\n'); end != std::string::npos) {
        const std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        return line;
      }
      if (!read_more()) return std::nullopt;
    }
  }

  /// The rest of the output and the end of the process.
  Outcome wait() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    reaped_ = true;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, pending_, text_of(err_path_)};
  }

 private:
  bool read_more() {
    pollfd entry{out_.get(), POLLIN, 0};
    if (::poll(&entry, 1, kWaitMaxMs) <= 0) {
      ADD_FAILURE() << "no output and no end in time";
      ::kill(pid_, SIGKILL);
      return false;
    }
    char piece[4096];
    const ssize_t got = ::read(out_.get(), piece, sizeof piece);
    if (got <= 0) return false;
    pending_.append(piece, static_cast<size_t>(got));
    return true;
  }

  const std::string err_path_;
  Fd out_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  std::string pending_;
};

class CliTest : public testing::Test {
 protected:
  CliTest() {
    write("empty.toml", "");
    environment_ = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
                    {"THAW_CONFIG", dir_.file("empty.toml")},
                    {"THAW_STORE", "dir:" + store()},
                    {"THAW_KEYRING", keyring()}};
  }

  std::string file(const std::string& name) const { return dir_.file(name); }
  std::string store() const { return file("store"); }
  std::string keyring() const { return file("keys"); }
  void write(const std::string& name, std::string_view text) const {
    ASSERT_TRUE(replace_file(file(name), as_bytes(text), 0600));
  }

  Outcome run(std::vector<std::string> arguments) { return start(std::move(arguments))->wait(); }
  Outcome run_in(Variables environment, std::vector<std::string> arguments) {
    environment.emplace("PATH", environment_["PATH"]);
    return ThawProcess(THAW_BINARY, std::move(arguments), environment, file("stderr")).wait();
  }
  std::unique_ptr<ThawProcess> start(std::vector<std::string> arguments) {
    return std::make_unique<ThawProcess>(THAW_BINARY, std::move(arguments), environment_,
                                         file("stderr"));
  }
  /// As an operator does it: again while it is busy, which anybody who looks at all mounts of this
  /// machine makes it for a moment (another test that copies them into a namespace of its own).
  void unmount(const std::string& mountpoint) const {
    constexpr int kBusy = 32;  // umount(8)
    int exit_code = kBusy;
    for (int i = 0; i < 100 && exit_code == kBusy; ++i) {
      if (i > 0) ::usleep(100'000);
      exit_code =
          ThawProcess("/bin/umount", {mountpoint}, environment_, file("umount")).wait().exit_code;
    }
    EXPECT_EQ(exit_code, 0) << text_of(file("umount"));
  }
  /// Runs it and fails the test unless it succeeds and prints one JSON object, which is returned.
  Json run_json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(arguments) << outcome.err;
    const Json json = Json::parse(outcome.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << outcome.out;
    return json;
  }
  /// Runs it with --json and checks exit code and error code, here and for people.
  std::string expect_error(std::vector<std::string> arguments, int exit_code,
                           const std::string& code) {
    arguments.push_back("--json");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << testing::PrintToString(arguments) << outcome.err;
    const Json json = Json::parse(outcome.out, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << outcome.out;
    if (!json.is_object() || !json.contains("error")) {
      ADD_FAILURE() << outcome.out;
      return "";
    }
    EXPECT_EQ(json["error"]["code"], code) << outcome.out;
    const std::string message = json["error"]["message"];
    EXPECT_NE(outcome.err.find("thaw: " + message), std::string::npos) << outcome.err;
    for (const char c : outcome.err) {
      EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << "byte " << int(c);
    }
    return message;
  }

  /// `pages` pages of which every third run of eight is random and the rest holes, and
  /// `extra_bytes` random ones at the end.
  std::string make_image(const std::string& name, size_t pages, size_t extra_bytes, uint64_t seed) {
    std::mt19937_64 random(seed);
    const std::string path = file(name);
    const Fd fd = *open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const auto put = [&](uint64_t offset, size_t bytes) {
      Bytes data(bytes);
      for (std::byte& b : data) b = static_cast<std::byte>(random());
      CHECK(write_all_at(fd.get(), offset, data, path));
    };
    CHECK(::ftruncate(fd.get(), static_cast<off_t>(pages * kPageBytes)) == 0);
    for (size_t page = 0; page < pages; page += 24) {
      put(page * kPageBytes, std::min<size_t>(8, pages - page) * kPageBytes);
    }
    if (extra_bytes != 0) put(pages * kPageBytes, extra_bytes);
    return path;
  }

  /// A store with a key, and snapshot "web" of memory, vmstate and the disk "root".
  void freeze_web() {
    make_image("memory", 2048, 0, 1);
    make_image("vmstate", 0, 10'000, 2);
    make_image("root", 512, 777, 3);
    ASSERT_EQ(run({"init"}).exit_code, 0);
    const Outcome frozen = run(freeze_web_arguments());
    ASSERT_EQ(frozen.exit_code, 0) << frozen.err;
  }
  std::vector<std::string> freeze_web_arguments() const {
    return {"freeze",       "web",           "--memory",   file("memory"),
            "--vmstate",    file("vmstate"), "--disk",     "root=" + file("root"),
            "--chunk-size", "64KiB",         "--annotate", "kernel=6.1"};
  }

  TempDir dir_;
  Variables environment_;
};

}  // namespace thaw
