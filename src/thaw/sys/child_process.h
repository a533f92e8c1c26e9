// SPDX-License-Identifier: Apache-2.0
//
// ChildProcess: a foreign program in a process group of its own. It does not outlive this process:
// the destructor kills and reaps the group, and the kernel signals the child when the thread that
// started it ends, as in a crash. So start it from a thread that lives as long as the child should,
// such as the main thread, or have it watch its input (orphan_signal).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
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
  /// "NAME=value", besides the environment of this process.
  std::vector<std::string> environment = {};
  /// Standard error, and output unless piped, are appended to it; empty: dropped.
  std::string log_path = {};
  /// Standard error goes to this descriptor instead, which is borrowed.
  std::optional<int> error = {};
  /// The child's standard input or output is a pipe to this process; otherwise /dev/null and the
  /// log.
  bool pipe_input = false;
  bool pipe_output = false;
  /// What the child gets if this process, or only the thread that started it, ends without ending
  /// it; it may have something to unwind. 0: nothing; it notices for itself, as by the end of its
  /// input.
  int orphan_signal = SIGKILL;
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
  static constexpr size_t kLineBytesMax = size_t{1} << 20;

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
  /// The next line of its output without its end. kGone if it ends before; kUnavailable if none
  /// came within `limit`, and the next call goes on; kInvalid for a line above kLineBytesMax.
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

/// The program's path by PATH and the folders of administrators; empty if there is none.
std::string find_program(const std::string& name);

/// True if somebody accepts connections at the port of 127.0.0.1.
bool accepts_connections(uint16_t port);

/// The last `bytes_max` bytes of the file, for messages.
std::string tail_of_file(const std::string& path, size_t bytes_max = 2000);

}  // namespace thaw
