// SPDX-License-Identifier: Apache-2.0
//
// ChildProcess: a foreign program that a test needs, in a process group of its own. It does not
// outlive the test: the destructor kills and reaps the group, and the kernel kills the child when
// the thread that started it ends, as in a crash. So start it from a thread that lives as long as
// the child should, which the main thread of a test does.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

struct ChildOptions {
  /// The first is the program, looked up in PATH.
  std::vector<std::string> argv;
  /// "NAME=value", besides the environment of the test.
  std::vector<std::string> environment = {};
  /// Standard error, and output unless piped, are appended to it; empty: dropped.
  std::string log_path = {};
  /// The child's standard input or output is a pipe to the test; otherwise /dev/null and the log.
  bool pipe_input = false;
  bool pipe_output = false;
};

/// How it ended.
struct ChildEnd {
  friend bool operator==(const ChildEnd&, const ChildEnd&) = default;
  std::optional<int> exit_code;
  std::optional<int> signal;
  std::string describe() const;
};

/// Belongs to one thread.
class ChildProcess {
 public:
  /// A watchdog, far above what anything takes; nothing is ever judged by it.
  static constexpr std::chrono::milliseconds kWaitMax{60'000};

  /// kNotFound if there is no such program.
  static Result<std::unique_ptr<ChildProcess>> start(const ChildOptions& options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  /// To the whole group; nothing if it has ended.
  void signal(int number);
  /// The end; nullopt if it has not ended after `limit`.
  std::optional<ChildEnd> wait(std::chrono::milliseconds limit = kWaitMax);
  /// SIGTERM, also to a stopped process; SIGKILL after `limit`.
  ChildEnd stop(std::chrono::milliseconds limit = std::chrono::seconds(10));
  /// SIGKILL.
  ChildEnd kill();

  int input() const { return input_.get(); }
  void close_input() { input_.reset(); }
  int output() const { return output_.get(); }
  /// The next line of its output without its end; kGone if it ends before, or after `limit`.
  Result<std::string> read_line(std::chrono::milliseconds limit = kWaitMax);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  bool reap(bool block);

  const pid_t pid_;
  Fd pidfd_;
  Fd input_;
  Fd output_;
  std::string unread_;
  std::optional<ChildEnd> end_;
};

/// Runs a program to its end; its standard output. kUnavailable with what it printed if it fails,
/// or does not end within `limit`.
Result<std::string> run_program(const std::vector<std::string>& argv,
                                std::chrono::milliseconds limit = ChildProcess::kWaitMax);

/// The program's path by PATH and the folders of administrators; empty if there is none.
std::string find_program(const std::string& name);

/// A TCP port of 127.0.0.1 that nobody listens on now. Somebody else may take it before its user
/// does: whoever starts a server on it tries again with another.
Result<uint16_t> free_port();

/// True if somebody accepts connections at the port of 127.0.0.1.
bool accepts_connections(uint16_t port);

/// The last `bytes_max` bytes of the file, for messages.
std::string tail_of_file(const std::string& path, size_t bytes_max = 2000);

}  // namespace thaw
