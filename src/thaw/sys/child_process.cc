// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/child_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "thaw/sys/file_io.h"
#include "thaw/sys/pipe.h"
#include "thaw/sys/process.h"

extern char** environ;

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

/// What the child needs between fork and exec, made before: only async-signal-safe calls may happen
/// there, as this process may have threads.
struct Launch {
  std::string program;
  std::vector<char*> argv;
  std::vector<char*> environment;
  int input;
  int output;
  int error;
  int report;  // the write end of a pipe that tells errno of a failure
  int orphan_signal;
  pid_t parent;
};

[[noreturn]] void run_child(const Launch& launch) {
  const auto give_up = [&] {
    const int error = errno;
    [[maybe_unused]] const ssize_t told = ::write(launch.report, &error, sizeof error);
    ::_exit(127);
  };
  ::prctl(PR_SET_PDEATHSIG, launch.orphan_signal);
  // The parent may have gone before the kernel knew whom to watch.
  if (::getppid() != launch.parent) ::_exit(127);
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (::dup2(launch.input, STDIN_FILENO) < 0 || ::dup2(launch.output, STDOUT_FILENO) < 0 ||
      ::dup2(launch.error, STDERR_FILENO) < 0) {
    give_up();
  }
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(launch.program.c_str(), launch.argv.data(), launch.environment.data());
  give_up();
  ::_exit(127);
}

Result<Fd> open_log(const std::string& path) {
  if (path.empty()) return open_file("/dev/null", O_WRONLY);
  return open_file(path, O_WRONLY | O_CREAT | O_APPEND);
}

}  // namespace

std::string ChildEnd::describe() const {
  if (exit_code) return "exited with " + std::to_string(*exit_code);
  return std::string("was killed by ") + ::strsignal(signal.value_or(0));
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const ChildOptions& options) {
  Launch launch{};
  launch.program = options.argv.empty() ? "" : find_program(options.argv[0]);
  if (launch.program.empty()) {
    return fail(ErrorCode::kNotFound,
                "there is no program " + (options.argv.empty() ? "" : options.argv[0]));
  }
  std::vector<std::string> arguments = options.argv;
  for (std::string& argument : arguments) launch.argv.push_back(argument.data());
  launch.argv.push_back(nullptr);
  std::vector<std::string> extra = options.environment;
  for (std::string& variable : extra) launch.environment.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    launch.environment.push_back(*variable);
  }
  launch.environment.push_back(nullptr);

  ASSIGN_OR_RETURN(Pipe report, make_pipe());
  ASSIGN_OR_RETURN(Fd log, open_log(options.log_path));
  ASSIGN_OR_RETURN(Fd nothing, open_file("/dev/null", O_RDONLY));
  Pipe input;
  Pipe output;
  if (options.pipe_input) {
    ASSIGN_OR_RETURN(input, make_pipe());
  }
  if (options.pipe_output) {
    ASSIGN_OR_RETURN(output, make_pipe());
  }
  launch.input = options.pipe_input ? input.read_end.get() : nothing.get();
  launch.output = options.pipe_output ? output.write_end.get() : log.get();
  launch.error = options.error.value_or(log.get());
  launch.report = report.write_end.get();
  launch.orphan_signal = options.orphan_signal;
  launch.parent = ::getpid();

  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("cannot fork", errno);
  if (pid == 0) run_child(launch);
  std::unique_ptr<ChildProcess> child(new ChildProcess(pid));
  // Both sides set it, so that it is set whoever goes on first.
  ::setpgid(pid, pid);
  report.write_end.reset();
  int error = 0;
  ssize_t told = 0;
  do {
    told = ::read(report.read_end.get(), &error, sizeof error);
  } while (told < 0 && errno == EINTR);
  if (told == sizeof error) {
    child->reap(true);
    return fail_errno("cannot start " + launch.program, error);
  }
  ASSIGN_OR_RETURN(child->pidfd_, open_pidfd(pid));
  child->input_ = std::move(input.write_end);
  child->output_ = std::move(output.read_end);
  return child;
}

ChildProcess::~ChildProcess() { kill(); }

bool ChildProcess::reap(bool block) {
  if (end_) return true;
  int status = 0;
  pid_t got = 0;
  do {
    got = ::waitpid(pid_, &status, block ? 0 : WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return false;
  end_.emplace();
  if (got == pid_ && WIFEXITED(status)) end_->exit_code = WEXITSTATUS(status);
  if (got == pid_ && WIFSIGNALED(status)) end_->signal = WTERMSIG(status);
  return true;
}

bool ChildProcess::running() { return !reap(false); }

void ChildProcess::signal(int number) {
  // Not reaped yet, so the number is still this group.
  if (!end_) ::kill(-pid_, number);
}

std::optional<ChildEnd> ChildProcess::wait(std::chrono::milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  while (!reap(false)) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd entry{pidfd_.get(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left.count() + 1, 1000)));
  }
  return end_;
}

ChildEnd ChildProcess::stop(std::chrono::milliseconds limit) {
  signal(SIGTERM);
  signal(SIGCONT);
  wait(limit);
  return kill();
}

ChildEnd ChildProcess::kill() {
  signal(SIGKILL);
  reap(true);
  return *end_;
}

Result<std::string> ChildProcess::read_line(std::chrono::milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  while (true) {
    if (const size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (unread_.size() > kLineBytesMax) {
      return fail(ErrorCode::kInvalid, "the child prints a line without an end");
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd entry{output_.get(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail(ErrorCode::kGone, "cannot wait for the child's output");
    if (ready == 0) return fail(ErrorCode::kUnavailable, "no line from the child in time");
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(ErrorCode::kGone, "the child's output has ended");
    unread_.append(buffer.data(), static_cast<size_t>(got));
  }
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string folders = std::string(path == nullptr ? "" : path) + ":/usr/bin:/usr/sbin:/sbin";
  size_t begin = 0;
  while (begin <= folders.size()) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string candidate = folders.substr(begin, end - begin) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return {};
}

bool accepts_connections(uint16_t port) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // SAFETY: the sockets API takes every address as sockaddr.
  return socket &&
         ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::string tail_of_file(const std::string& path, size_t bytes_max) {
  const auto fd = open_file(path, O_RDONLY);
  if (!fd) return {};
  const auto size = file_size(fd->get(), path);
  if (!size) return {};
  const uint64_t offset = *size > bytes_max ? *size - bytes_max : 0;
  std::string text(static_cast<size_t>(*size - offset), '\0');
  const auto got = read_some_at(fd->get(), offset, std::as_writable_bytes(std::span(text)), path);
  text.resize(got.value_or(0));
  return text;
}

}  // namespace thaw
