// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/control_line.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "thaw/base/units.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

constexpr size_t kOptionsBytesMax = kGiB;

}  // namespace

ControlLine::~ControlLine() {
  if (!thread_.joinable()) return;
  notify(stop_.get());
  thread_.join();
}

Result<std::string> ControlLine::read_options() {
  std::string text;
  std::array<char, 65536> buffer;
  while (text.size() <= kOptionsBytesMax) {
    const ssize_t got = ::read(input_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("cannot read the options from the standard input", errno);
    if (got == 0) return text;
    const std::string_view piece(buffer.data(), static_cast<size_t>(got));
    const size_t end = piece.find('\n');
    text += piece.substr(0, end);
    if (end == std::string_view::npos) continue;
    pending_ = piece.substr(end + 1);
    return text;
  }
  return fail(ErrorCode::kInvalid, "the options are above 1 GiB");
}

Result<void> ControlLine::watch(bool die_with_input) {
  ASSIGN_OR_RETURN(stop_, event_fd());
  thread_ = std::thread([this, die_with_input] { run(die_with_input); });
  return {};
}

void ControlLine::run(bool die_with_input) {
  allow(static_cast<size_t>(std::count(pending_.begin(), pending_.end(), '\n')), false);
  std::array<pollfd, 2> entries{{{input_, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  std::array<char, 256> buffer;
  while (true) {
    ::poll(entries.data(), entries.size(), -1);
    if (entries[1].revents != 0) return;
    if (entries[0].revents == 0) continue;
    const ssize_t got = ::read(input_, buffer.data(), buffer.size());
    if (got <= 0) {
      if (got < 0 && errno == EINTR) continue;
      if (die_with_input) ::kill(::getpid(), SIGKILL);
      return allow(0, true);
    }
    allow(static_cast<size_t>(std::count(buffer.begin(), buffer.begin() + got, '\n')), false);
  }
}

void ControlLine::allow(size_t passes, bool all) {
  {
    const MutexLock lock(mutex_);
    passes_ += passes;
    all_ = all_ || all;
  }
  allowed_.notify_one();
}

void ControlLine::hold() {
  MutexLock lock(mutex_);
  while (passes_ == 0 && !all_) lock.wait(allowed_);
  if (passes_ > 0) --passes_;
}

}  // namespace thaw
