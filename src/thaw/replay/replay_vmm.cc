// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/replay_vmm.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/pipe.h"
#include "thaw/sys/process.h"

extern char** environ;

namespace thaw {
namespace {

// Beside this program, as it is installed; else, for tests, which stand elsewhere, where it was
// built.
std::string program_path() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string beside = (self.parent_path() / "thaw-replay-vmm").string();
  if (!error && ::access(beside.c_str(), X_OK) == 0) return beside;
  return THAW_REPLAY_VMM_PATH;
}

// The child gets the two pipe ends as its standard input and output and an empty signal mask:
// thaw's daemons block the signals that they read from a signalfd. Not a ChildProcess (sys/): that
// one forks, and copying the page tables of a lab that holds gigabytes takes longer than a resume.
Result<pid_t> spawn(int input, int output) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  // In a group of its own, so that a terminal's signal is for this process to handle.
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::string program = program_path();
  std::string argument = "--die-with-stdin";
  std::array<char*, 3> argv{program.data(), argument.data(), nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &files, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail_errno("cannot start " + program, error);
  return pid;
}

}  // namespace

std::string ReplayVmmResult::describe() const {
  std::string text = "replay VMM ";
  if (exit) text += "exited with " + std::to_string(static_cast<int>(*exit));
  if (signal) text += std::string("was killed by ") + ::strsignal(*signal);
  if (timed_out) text += ", because it did not end in time";
  if (!error.empty()) text += ": " + error;
  if (!report) return text + ", without a report";
  text += ", " + std::to_string(report->touches) + " touches, " +
          std::to_string(report->mismatch_count) + " wrong pages";
  for (const PageMismatch& mismatch : report->mismatches) {
    text += "\n  page " + std::to_string(mismatch.page) + " (" + mismatch.history + ") byte " +
            std::to_string(mismatch.offset) + ": expected " + std::to_string(mismatch.expected) +
            ", got " + std::to_string(mismatch.got);
  }
  return text;
}

Result<std::unique_ptr<ReplayVmm>> ReplayVmm::start(const ReplayVmmOptions& options) {
  TRY(options.validate());
  ASSIGN_OR_RETURN(Pipe input, make_pipe());
  ASSIGN_OR_RETURN(Pipe output, make_pipe());
  ASSIGN_OR_RETURN(const pid_t pid, spawn(input.read_end.get(), output.write_end.get()));
  std::unique_ptr<ReplayVmm> vmm(
      new ReplayVmm(pid, std::move(input.write_end), std::move(output.read_end)));
  input.read_end.reset();
  output.write_end.reset();
  ASSIGN_OR_RETURN(vmm->pidfd_, open_pidfd(pid));
  if (!write_to_pipe(vmm->input_.get(), encode_options(options) + "\n")) {
    return fail(ErrorCode::kGone, "the replay VMM ended before it took its options");
  }
  return vmm;
}

ReplayVmm::~ReplayVmm() {
  if (reaped_) return;
  kill(SIGKILL);
  reap();
}

void ReplayVmm::kill(int signal) {
  // Not reaped yet, so the number is still this process.
  if (!reaped_) ::kill(pid_, signal);
}

void ReplayVmm::proceed() { write_to_pipe(input_.get(), "\n"); }

void ReplayVmm::take_event(const std::string& line) {
  const Result<ReplayVmmEvent> event = decode_event(line);
  if (!event) {
    result_.error = event.error().message;
    return;
  }
  switch (event->kind) {
    case ReplayVmmEvent::Kind::kHandshakeSent:
      handshake_sent_ = true;
      break;
    case ReplayVmmEvent::Kind::kTouched:
      touched_ = true;
      break;
    case ReplayVmmEvent::Kind::kReport:
      result_.report = event->report;
      break;
    case ReplayVmmEvent::Kind::kError:
      result_.error = event->error;
      break;
  }
}

// False at the end of its output or at the deadline.
bool ReplayVmm::read_event(Deadline deadline) {
  while (true) {
    if (const size_t end = unread_.find('\n'); end != std::string::npos) {
      take_event(unread_.substr(0, end));
      unread_.erase(0, end + 1);
      return true;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd entry{output_.get(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      result_.timed_out = true;
      return false;
    }
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    unread_.append(buffer.data(), static_cast<size_t>(got));
  }
}

Result<void> ReplayVmm::wait_for(ReplayVmmEvent::Kind kind, std::chrono::milliseconds limit) {
  const Deadline deadline = std::chrono::steady_clock::now() + limit;
  const auto happened = [&] {
    return kind == ReplayVmmEvent::Kind::kHandshakeSent ? handshake_sent_
           : kind == ReplayVmmEvent::Kind::kTouched     ? touched_
           : kind == ReplayVmmEvent::Kind::kReport      ? result_.report.has_value()
                                                        : !result_.error.empty();
  };
  while (!happened()) {
    if (!read_event(deadline)) {
      return fail(ErrorCode::kGone, result_.timed_out ? "the replay VMM did not get there in time"
                                                      : "the replay VMM ended before");
    }
  }
  return {};
}

const ReplayVmmResult& ReplayVmm::wait(std::chrono::milliseconds limit) {
  if (reaped_) return result_;
  const Deadline deadline = std::chrono::steady_clock::now() + limit;
  while (read_event(deadline)) {
  }
  // Its output ends when it ends; a timeout of an earlier wait_for() counts as well.
  if (result_.timed_out) kill(SIGKILL);
  reap();
  return result_;
}

void ReplayVmm::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  if (WIFEXITED(status)) result_.exit = static_cast<ReplayVmmExit>(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
}

}  // namespace thaw
