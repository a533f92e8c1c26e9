// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "thaw/base/bytes.h"
#include "thaw/base/check.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/process.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

std::unique_ptr<ChildProcess> started(const ChildOptions& options) {
  auto child = ChildProcess::start(options);
  CHECK(child.has_value());
  return std::move(*child);
}

std::string text_of(const std::string& path) {
  const auto bytes = read_file(path, 1000);
  return bytes ? std::string(as_text(*bytes)) : "";
}

TEST(ChildProcess, TellsHowItEnded) {
  const auto exits = started({.argv = {"sh", "-c", "exit 7"}});
  EXPECT_EQ(exits->wait()->exit_code, 7);
  EXPECT_EQ(exits->wait()->describe(), "exited with 7");
  EXPECT_FALSE(exits->running());
  const auto sleeps = started({.argv = {"sleep", "1000"}});
  EXPECT_TRUE(sleeps->running());
  EXPECT_EQ(sleeps->wait(std::chrono::milliseconds(1)), std::nullopt);
  EXPECT_EQ(sleeps->stop().signal, SIGTERM);
}

TEST(ChildProcess, StopsOneThatIsFrozenOrDeaf) {
  const auto frozen = started({.argv = {"sleep", "1000"}});
  frozen->signal(SIGSTOP);
  EXPECT_EQ(frozen->stop().signal, SIGTERM);
  const auto deaf =
      started({.argv = {"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"},
               .pipe_output = true});
  EXPECT_EQ(deaf->read_line().value_or(""), "deaf");
  EXPECT_EQ(deaf->stop(std::chrono::milliseconds(50)).signal, SIGKILL);
}

TEST(ChildProcess, HasPipesLogAndEnvironment) {
  const TempDir directory;
  const auto child = started({.argv = {"sh", "-c", "read x; echo \"$x $WHO\"; echo oh >&2; read y"},
                              .environment = {"WHO=there"},
                              .log_path = directory.file("log"),
                              .pipe_input = true,
                              .pipe_output = true});
  ASSERT_TRUE(write_all(child->input(), as_bytes("hello\n"), "the child's input"));
  EXPECT_EQ(child->read_line().value_or(""), "hello there");
  child->close_input();
  EXPECT_EQ(child->wait()->exit_code, 1);
  EXPECT_EQ(child->read_line().error().code, ErrorCode::kGone);
  EXPECT_EQ(text_of(directory.file("log")), "oh\n");
}

TEST(ChildProcess, ALineThatIsLateIsNotLost) {
  const auto child = started({.argv = {"sh", "-c", "printf half; read x; echo ' and half'"},
                              .pipe_input = true,
                              .pipe_output = true});
  EXPECT_EQ(child->read_line(std::chrono::milliseconds(50)).error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(write_all(child->input(), as_bytes("\n"), "the child's input"));
  EXPECT_EQ(child->read_line().value_or(""), "half and half");
}

TEST(ChildProcess, ALineWithoutAnEndIsRefused) {
  const auto child = started({.argv = {"sh", "-c", "tr '\\0' x </dev/zero"}, .pipe_output = true});
  EXPECT_EQ(child->read_line().error().code, ErrorCode::kInvalid);
}

TEST(ChildProcess, NamesAProgramThatIsMissing) {
  const auto child = ChildProcess::start({.argv = {"thaw-no-such-program"}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::kNotFound);
  const auto not_executable = ChildProcess::start({.argv = {"/dev/null"}});
  EXPECT_FALSE(not_executable);
}

// The end of the destructor's reach: what the child itself started, in its group.
TEST(ChildProcess, TakesItsChildrenAlong) {
  auto child = started({.argv = {"sh", "-c", "sleep 1000 & echo $!; wait"}, .pipe_output = true});
  const pid_t grandchild = std::stoi(child->read_line().value_or("0"));
  ASSERT_GT(grandchild, 0);
  const auto pidfd = open_pidfd(grandchild);
  ASSERT_TRUE(pidfd);
  child.reset();
  while (!pidfd_has_exited(pidfd->get())) ::usleep(1000);
}

TEST(ChildProcess, ItsErrorsGoWhereTheyAreWanted) {
  const TempDir directory;
  const auto errors = open_file(directory.file("errors"), O_WRONLY | O_CREAT);
  ASSERT_TRUE(errors);
  const auto child = started({.argv = {"sh", "-c", "echo out; echo oh >&2"},
                              .log_path = directory.file("log"),
                              .error = errors->get()});
  EXPECT_EQ(child->wait()->exit_code, 0);
  EXPECT_EQ(text_of(directory.file("log")), "out\n");
  EXPECT_EQ(text_of(directory.file("errors")), "oh\n");
}

// A process that crashes runs no destructor.
TEST(ChildProcess, DiesWithAProcessThatIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t test = ::fork();
  if (test == 0) {
    const auto child = ChildProcess::start({.argv = {"sleep", "1000"}});
    const pid_t pid = child ? (*child)->pid() : 0;
    [[maybe_unused]] const ssize_t told = ::write(ends[1], &pid, sizeof pid);
    ::pause();
  }
  pid_t child = 0;
  ASSERT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 0);
  const auto pidfd = open_pidfd(child);
  ASSERT_TRUE(pidfd);
  EXPECT_FALSE(pidfd_has_exited(pidfd->get()));
  ::kill(test, SIGKILL);
  ::waitpid(test, nullptr, 0);
  while (!pidfd_has_exited(pidfd->get())) ::usleep(1000);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace thaw
