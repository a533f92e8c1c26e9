// SPDX-License-Identifier: Apache-2.0
#include "thaw/net/tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "thaw/base/check.h"

namespace thaw {
namespace {

/// Pieces of memory that one system call gathers or scatters.
constexpr size_t kPiecesMax = 32;
/// What a TLS connection reads and throws away at a time.
constexpr size_t kDiscardBytes = 16 * 1024;

}  // namespace

TcpStream::TcpStream(EventLoop& loop, Owner& owner, Options options)
    : loop_(loop), owner_(owner), options_(std::move(options)) {}

TcpStream::~TcpStream() { close(); }

void TcpStream::connect(const SocketAddress& address) {
  CHECK(state_ == State::kClosed);
  state_ = State::kConnecting;
  const uint64_t connection = ++connection_;
  Result<void> begun = begin_connect(address);
  if (!begun) {
    loop_.post([alive = std::weak_ptr(alive_), connection, error = std::move(begun).error()] {
      const auto self = alive.lock();
      if (self && (*self)->connection_ == connection) (*self)->fail_with(error);
    });
    return;
  }
  connect_timer_ =
      loop_.call_at(std::chrono::steady_clock::now() + options_.connect_timeout, [this] {
        connect_timer_ = {};
        fail_with(
            {ErrorCode::kUnavailable, "cannot connect to " + options_.peer + " within " +
                                          std::to_string(options_.connect_timeout.count()) +
                                          " ms; check that the server runs and can be reached"});
      });
}

Result<void> TcpStream::begin_connect(const SocketAddress& address) {
  socket_ = Fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return fail_errno("cannot make a socket for " + options_.peer, errno);
  const int on = 1;
  // Requests are small and answers are waited for: nothing is to wait for a fuller packet.
  if (::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
    return fail_errno("cannot set TCP_NODELAY for " + options_.peer, errno);
  }
  if (::connect(socket_.get(), address.get(), address.bytes) != 0 && errno != EINPROGRESS) {
    return fail_errno("cannot connect to " + options_.peer, errno);
  }
  watched_ = EPOLLOUT;
  ASSIGN_OR_RETURN(watch_, loop_.watch(socket_.get(), watched_, *this));
  return {};
}

void TcpStream::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  ++connection_;
  loop_.cancel(std::exchange(connect_timer_, {}));
  if (watch_ != 0) loop_.unwatch(std::exchange(watch_, 0));
  ssl_.reset();
  socket_.reset();
  queue_.clear();
  front_sent_ = 0;
  queued_bytes_ = 0;
  watched_ = 0;
  flush_scheduled_ = false;
  tls_wants_write_ = false;
}

void TcpStream::fail_with(Error error) {
  close();
  owner_.on_closed(error);
}

bool TcpStream::write(Outgoing outgoing) {
  if (state_ == State::kClosed) return false;
  if (outgoing.bytes() > options_.queued_bytes_max - queued_bytes_) return false;
  if (outgoing.bytes() == 0) return true;
  queued_bytes_ += outgoing.bytes();
  queue_.push_back(std::move(outgoing));
  // While the socket is full, its becoming writable is what sends.
  if (state_ == State::kOpen && (watched_ & EPOLLOUT) == 0) schedule_flush();
  return true;
}

void TcpStream::schedule_flush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  loop_.post([alive = std::weak_ptr(alive_), connection = connection_] {
    const auto shared = alive.lock();
    if (!shared || (*shared)->connection_ != connection) return;
    TcpStream& self = **shared;
    self.flush_scheduled_ = false;
    Result<void> flushed = self.flush();
    if (!flushed) self.fail_with(std::move(flushed).error());
  });
}

void TcpStream::on_events(uint32_t events) {
  if (state_ == State::kConnecting) {
    Result<void> connected = ssl_ ? continue_handshake() : finish_connect();
    if (!connected) fail_with(std::move(connected).error());
    return;
  }
  // TLS may want to write in order to read, and the reverse: either event lets both go on.
  if ((events & EPOLLOUT) != 0 || ssl_) {
    Result<void> flushed = flush();
    if (!flushed) {
      fail_with(std::move(flushed).error());
      return;
    }
  }
  if (state_ == State::kOpen && ((events & ~uint32_t{EPOLLOUT}) != 0 || ssl_)) {
    owner_.on_readable();
  }
}

Result<void> TcpStream::finish_connect() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return fail_errno("cannot connect to " + options_.peer, error);
  if (options_.tls) {
    ASSIGN_OR_RETURN(ssl_, options_.tls->connection(socket_.get(), options_.peer));
    return continue_handshake();
  }
  become_open();
  return {};
}

Result<void> TcpStream::continue_handshake() {
  ERR_clear_error();
  const int status = SSL_do_handshake(ssl_.get());
  if (status == 1) {
    become_open();
    return {};
  }
  switch (SSL_get_error(ssl_.get(), status)) {
    case SSL_ERROR_WANT_READ:
      return watch_for(false);
    case SSL_ERROR_WANT_WRITE:
      return watch_for(true);
    default: {
      const long verified = SSL_get_verify_result(ssl_.get());
      std::string reason =
          verified == X509_V_OK ? tls_error_text() : X509_verify_cert_error_string(verified);
      return fail(ErrorCode::kDenied, "TLS with " + options_.peer + " failed: " + reason +
                                          "; check its certificate and ours");
    }
  }
}

void TcpStream::become_open() {
  loop_.cancel(std::exchange(connect_timer_, {}));
  state_ = State::kOpen;
  const uint64_t connection = connection_;
  owner_.on_open();
  if (state_ != State::kOpen || connection != connection_) return;
  Result<void> flushed = flush();
  if (!flushed) {
    fail_with(std::move(flushed).error());
    return;
  }
  // The handshake may have read more than its own from the socket, of which epoll knows nothing.
  if (ssl_) owner_.on_readable();
}

Result<void> TcpStream::watch_for(bool writable) {
  const uint32_t wanted = EPOLLIN | (writable ? uint32_t{EPOLLOUT} : 0);
  if (wanted == watched_) return {};
  TRY(loop_.change(watch_, wanted));
  watched_ = wanted;
  return {};
}

Result<void> TcpStream::flush() {
  tls_wants_write_ = false;
  TRY(ssl_ ? flush_tls() : flush_plain());
  return watch_for((!queue_.empty() && !ssl_) || tls_wants_write_);
}

Result<void> TcpStream::flush_plain() {
  while (!queue_.empty()) {
    std::array<iovec, kPiecesMax> pieces{};
    size_t count = 0;
    size_t bytes = 0;
    size_t skip = front_sent_;
    const auto add = [&](const void* data, size_t size) {
      const size_t skipped = std::min(skip, size);
      skip -= skipped;
      if (size == skipped) return;
      // SAFETY: sendmsg only reads what iovec's pointer, which is not const, points to.
      pieces[count++] = {const_cast<char*>(static_cast<const char*>(data)) + skipped,
                         size - skipped};
      bytes += size - skipped;
    };
    for (const Outgoing& outgoing : queue_) {
      if (count + 2 > kPiecesMax) break;
      add(outgoing.head.data(), outgoing.head.size());
      add(outgoing.body.data(), outgoing.body.size());
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {};
      return fail_errno("cannot send to " + options_.peer, errno);
    }
    sent(static_cast<size_t>(written));
    if (static_cast<size_t>(written) < bytes) return {};
  }
  return {};
}

Result<void> TcpStream::flush_tls() {
  while (!queue_.empty()) {
    const Outgoing& front = queue_.front();
    const ByteSpan head = as_bytes(front.head);
    const ByteSpan rest = front_sent_ < head.size() ? head.subspan(front_sent_)
                                                    : front.body.subspan(front_sent_ - head.size());
    size_t written = 0;
    ERR_clear_error();
    const int status = SSL_write_ex(ssl_.get(), rest.data(), rest.size(), &written);
    if (status == 1) {
      sent(written);
      continue;
    }
    switch (SSL_get_error(ssl_.get(), status)) {
      case SSL_ERROR_WANT_READ:
        return {};
      case SSL_ERROR_WANT_WRITE:
        tls_wants_write_ = true;
        return {};
      default:
        return fail(ErrorCode::kUnavailable,
                    "cannot send to " + options_.peer + " by TLS: " + tls_error_text());
    }
  }
  return {};
}

void TcpStream::sent(size_t bytes) {
  queued_bytes_ -= bytes;
  front_sent_ += bytes;
  while (!queue_.empty() && front_sent_ >= queue_.front().bytes()) {
    front_sent_ -= queue_.front().bytes();
    queue_.pop_front();
  }
}

Result<TcpStream::ReadOutcome> TcpStream::read(std::span<const MutableByteSpan> buffers) {
  CHECK(state_ == State::kOpen);
  if (ssl_) return read_tls(buffers);
  std::array<iovec, kPiecesMax> pieces{};
  size_t count = 0;
  size_t wanted = 0;
  for (const MutableByteSpan buffer : buffers) {
    if (buffer.empty() || count == kPiecesMax) continue;
    pieces[count++] = {buffer.data(), buffer.size()};
    wanted += buffer.size();
  }
  CHECK(wanted != 0);
  while (true) {
    const ssize_t got = ::readv(socket_.get(), pieces.data(), static_cast<int>(count));
    if (got > 0) return ReadOutcome{static_cast<size_t>(got), static_cast<size_t>(got) == wanted};
    if (got == 0) return fail(ErrorCode::kGone, options_.peer + " closed the connection");
    if (errno == EAGAIN) return ReadOutcome{};
    if (errno != EINTR) return fail_errno("cannot receive from " + options_.peer, errno);
  }
}

Result<TcpStream::ReadOutcome> TcpStream::read_tls(std::span<const MutableByteSpan> buffers) {
  const auto first = std::find_if(buffers.begin(), buffers.end(),
                                  [](const MutableByteSpan& buffer) { return !buffer.empty(); });
  CHECK(first != buffers.end());
  size_t got = 0;
  ERR_clear_error();
  const int status = SSL_read_ex(ssl_.get(), first->data(), first->size(), &got);
  // A record holds up to 16 KiB, so that a buffer that was not filled says nothing about the rest.
  if (status == 1) return ReadOutcome{got, true};
  switch (SSL_get_error(ssl_.get(), status)) {
    case SSL_ERROR_WANT_READ:
      return ReadOutcome{};
    case SSL_ERROR_WANT_WRITE:
      tls_wants_write_ = true;
      TRY(watch_for(true));
      return ReadOutcome{};
    case SSL_ERROR_ZERO_RETURN:
      return fail(ErrorCode::kGone, options_.peer + " closed the connection");
    default:
      return fail(ErrorCode::kUnavailable,
                  "cannot receive from " + options_.peer + " by TLS: " + tls_error_text());
  }
}

Result<TcpStream::ReadOutcome> TcpStream::discard(uint64_t bytes_max) {
  CHECK(state_ == State::kOpen && bytes_max != 0);
  if (ssl_) {
    std::array<std::byte, kDiscardBytes> scratch;
    const MutableByteSpan buffer =
        std::span(scratch).first(static_cast<size_t>(std::min<uint64_t>(bytes_max, kDiscardBytes)));
    return read_tls({&buffer, 1});
  }
  while (true) {
    // MSG_TRUNC on TCP: the kernel drops the bytes instead of copying them (tcp(7)). A bare system
    // call, because sanitizers take recv(3) to have written to the buffer, which there is none.
    const long got = ::syscall(SYS_recvfrom, socket_.get(), nullptr, static_cast<size_t>(bytes_max),
                               MSG_TRUNC, nullptr, nullptr);
    if (got > 0) {
      return ReadOutcome{static_cast<size_t>(got), static_cast<uint64_t>(got) == bytes_max};
    }
    if (got == 0) return fail(ErrorCode::kGone, options_.peer + " closed the connection");
    if (errno == EAGAIN) return ReadOutcome{};
    if (errno != EINTR) return fail_errno("cannot receive from " + options_.peer, errno);
  }
}

}  // namespace thaw
