// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/child_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kOutputBytesMax = 64 << 20;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

Result<std::string> run_program(const std::vector<std::string>& argv,
                                std::chrono::milliseconds limit) {
  const TempDir directory;
  ChildOptions options{.argv = argv, .log_path = directory.file("error"), .pipe_output = true};
  ASSIGN_OR_RETURN(const auto child, ChildProcess::start(options));
  const Clock::time_point deadline = Clock::now() + limit;
  std::string output;
  std::array<char, 65536> buffer;
  while (output.size() < kOutputBytesMax) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd entry{child->output(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t got = ::read(child->output(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    output.append(buffer.data(), static_cast<size_t>(got));
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  const std::optional<ChildEnd> end = child->wait(std::max(left, std::chrono::milliseconds(0)));
  if (end && end->exit_code == 0) return output;
  return fail(ErrorCode::kUnavailable, argv[0] + " " + (end ? end->describe() : "did not end") +
                                           ": " + tail_of_file(options.log_path) + output);
}

Result<uint16_t> free_port() {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  // SAFETY: the sockets API takes every address as sockaddr.
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!socket || ::bind(socket.get(), generic, sizeof address) != 0 ||
      ::getsockname(socket.get(), generic, &length) != 0) {
    return fail_errno("cannot find a free port", errno);
  }
  return ntohs(address.sin_port);
}

}  // namespace thaw
