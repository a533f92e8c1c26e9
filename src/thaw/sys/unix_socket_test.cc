// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/unix_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

#include "thaw/sys/file_io.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

class UnixSocket : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(path_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  std::string path_ = std::filesystem::temp_directory_path().string() + "/thaw-socket-XXXXXX";
};

struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    left = Fd(ends[0]);
    right = Fd(ends[1]);
  }
  Fd left, right;
};

TEST_F(UnixSocket, TheSocketIsPrivate) {
  const Fd listener = *listen_unix(file("s"));
  struct stat status{};
  ASSERT_EQ(::stat(file("s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077u, 0u);
  EXPECT_TRUE(connect_unix(file("s")));
}

TEST_F(UnixSocket, AStaleSocketIsReplacedALiveOneIsNot) {
  {
    const Fd dead = *listen_unix(file("s"));
  }
  EXPECT_EQ(connect_unix(file("s")).error().code, ErrorCode::kUnavailable);
  const Fd alive = *listen_unix(file("s"));
  EXPECT_EQ(listen_unix(file("s")).error().code, ErrorCode::kExists);
}

TEST_F(UnixSocket, OtherFilesAndLongPathsAreRefused) {
  ASSERT_TRUE(replace_file(file("plain"), as_bytes("x"), 0600));
  EXPECT_EQ(listen_unix(file("plain")).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(as_text(*read_file(file("plain"), 10)), "x");
  EXPECT_EQ(listen_unix(std::string(200, 'x')).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(listen_unix("").error().code, ErrorCode::kInvalid);
}

TEST_F(UnixSocket, DescriptorsTravelWithTheFirstByte) {
  const Pair pair;
  const Fd null = *open_file("/dev/null", O_RDONLY);
  ASSERT_TRUE(send_with_fds(pair.left.get(), as_bytes("hello"), {null.get(), null.get()}));
  Bytes buffer(64);
  const Received received = *receive_with_fds(pair.right.get(), buffer);
  EXPECT_EQ(as_text(ByteSpan(buffer).first(received.bytes)), "hello");
  ASSERT_EQ(received.fds.size(), 2u);
  EXPECT_NE(::fcntl(received.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(received.truncated);
  EXPECT_TRUE(receive_with_fds(pair.right.get(), buffer)->would_block);
}

TEST_F(UnixSocket, TheEndIsToldFromSilence) {
  Pair pair;
  Bytes buffer(8);
  EXPECT_FALSE(receive_with_fds(pair.right.get(), buffer)->end);
  pair.left.reset();
  EXPECT_TRUE(receive_with_fds(pair.right.get(), buffer)->end);
}

TEST_F(UnixSocket, ThePeerIsHeldByItsProcess) {
  const Fd listener = *listen_unix(file("s"));
  const pid_t child = ::fork();
  if (child == 0) {
    const Result<Fd> socket = connect_unix(file("s"));
    ::pause();
    ::_exit(socket ? 0 : 1);
  }
  pid_t found = 0;
  Fd pidfd;
  while (found == 0) {
    const Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) continue;
    Peer peer = *peer_of(accepted.get());
    found = peer.pid;
    pidfd = std::move(peer.pidfd);
  }
  EXPECT_EQ(found, child);
  ASSERT_TRUE(pidfd);
  EXPECT_FALSE(pidfd_has_exited(pidfd.get()));
  EXPECT_TRUE(kill_by_pidfd(pidfd.get(), SIGKILL));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(pidfd_has_exited(pidfd.get()));
  EXPECT_EQ(kill_by_pidfd(pidfd.get(), SIGKILL).error().code, ErrorCode::kGone);
}

TEST_F(UnixSocket, AProcessForbidsCoreDumps) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool hardened = harden_process().has_value();
    // What ptrace and dumps need belongs to root alone once the process is not dumpable.
    struct stat status{};
    const bool closed = ::stat("/proc/self/environ", &status) == 0 && status.st_uid == 0;
    ::_exit(hardened && closed ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace thaw
