// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/tcp_proxy_flow.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace thaw {
namespace {
constexpr size_t kReadBytes = 64 << 10;
// A slow link sends so much at a time, so that its bytes come as a stream and not as blocks.
constexpr size_t kSlowBytes = 4 << 10;
constexpr int kStepsMax = 32;  // of one flow before the next has its turn
}  // namespace

void TcpFlow::set_fault(const TcpFault& fault, uint64_t seed) {
  fault_ = fault;
  random_.seed(seed);
  until_flip_ = fault.flip_every_bytes == 0 ? 0 : random_() % fault.flip_every_bytes;
  until_reset_ = fault.reset_after_bytes;
}

/// Averages flip_every_bytes.
uint64_t TcpFlow::next_gap() { return random_() % (2 * fault_.flip_every_bytes); }

void TcpFlow::flip(std::vector<std::byte>& bytes) {
  if (fault_.flip_every_bytes == 0) return;
  uint64_t at = until_flip_;
  for (; at < bytes.size(); at += 1 + next_gap()) {
    bytes[at] ^= static_cast<std::byte>(1u << (random_() % 8));
    ++flips_;
  }
  until_flip_ = at - bytes.size();
}

TcpFlow::Step TcpFlow::read_one() {
  if (end_read_ || waiting_bytes_ >= kBytesMax) return Step::kIdle;
  Piece piece;
  piece.bytes.resize(kReadBytes);
  const ssize_t got = ::recv(from_, piece.bytes.data(), piece.bytes.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Step::kIdle : Step::kBroken;
  if (got == 0) {
    end_read_ = true;
    return Step::kMoved;
  }
  piece.bytes.resize(static_cast<size_t>(got));
  flip(piece.bytes);
  piece.due = std::chrono::steady_clock::now() + fault_.delay;
  waiting_bytes_ += piece.bytes.size();
  pieces_.push_back(std::move(piece));
  return Step::kMoved;
}

TcpFlow::Step TcpFlow::write_one() {
  blocked_ = false;
  if (pieces_.empty()) {
    if (!end_read_ || end_told_) return Step::kIdle;
    ::shutdown(to_, SHUT_WR);
    end_told_ = true;
    return Step::kMoved;
  }
  const Time now = std::chrono::steady_clock::now();
  Piece& piece = pieces_.front();
  if (piece.due > now || free_at_ > now) return Step::kIdle;
  size_t bytes = piece.bytes.size() - piece.sent;
  if (fault_.bytes_per_s > 0) bytes = std::min(bytes, kSlowBytes);
  if (fault_.reset_after_bytes > 0) bytes = std::min<size_t>(bytes, until_reset_);
  const ssize_t sent = ::send(to_, piece.bytes.data() + piece.sent, bytes, MSG_NOSIGNAL);
  if (sent < 0) {
    blocked_ = errno == EAGAIN;
    return blocked_ || errno == EINTR ? Step::kIdle : Step::kBroken;
  }
  const auto count = static_cast<size_t>(sent);
  bytes_ += count;
  waiting_bytes_ -= count;
  piece.sent += count;
  if (piece.sent == piece.bytes.size()) pieces_.pop_front();
  if (fault_.bytes_per_s > 0) {
    const std::chrono::duration<double> busy(static_cast<double>(count) /
                                             static_cast<double>(fault_.bytes_per_s));
    free_at_ = std::max(now, free_at_) +
               std::chrono::duration_cast<std::chrono::steady_clock::duration>(busy);
  }
  if (fault_.reset_after_bytes > 0) {
    until_reset_ -= count;
    if (until_reset_ == 0) return Step::kReset;
  }
  return Step::kMoved;
}

TcpFlow::State TcpFlow::pump() {
  unfinished_ = true;
  for (int i = 0; i < kStepsMax && unfinished_; ++i) {
    unfinished_ = false;
    for (const Step step : {read_one(), write_one()}) {
      if (step == Step::kReset) return State::kReset;
      if (step == Step::kBroken) return State::kBroken;
      unfinished_ = unfinished_ || step == Step::kMoved;
    }
  }
  return end_told_ ? State::kEnded : State::kOpen;
}

std::optional<TcpFlow::Time> TcpFlow::wake_at() const {
  if (unfinished_) return Time{};
  // A receiver that takes no more wakes the loop itself, when it does.
  if (pieces_.empty() || blocked_) return std::nullopt;
  return std::max(pieces_.front().due, free_at_);
}

}  // namespace thaw
