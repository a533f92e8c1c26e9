// SPDX-License-Identifier: Apache-2.0
//
// TcpStream: one outgoing connection on an event loop, plain or TLS, that never blocks and never
// copies a large body where it is plain: writes gather from the caller's memory, reads scatter into
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/net/event_loop.h"
#include "thaw/net/socket_address.h"
#include "thaw/net/tls_context.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Bytes to send: `head`, which the stream owns, then `body`, which `keep_alive` holds.
struct Outgoing {
  std::string head;
  ByteSpan body{};
  // Shared: one chunk's bytes go to several connections, and any of them may outlive the request.
  std::shared_ptr<const void> keep_alive;

  size_t bytes() const { return head.size() + body.size(); }
};

/// Belongs to the loop's thread, from construction to destruction.
class TcpStream final : private FdHandler {
 public:
  /// Told what happens, on the loop's thread. May call the stream, but not destroy it.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Connected (and the TLS handshake done).
    virtual void on_open() = 0;
    /// There may be bytes: read() until it says that there are no more.
    virtual void on_readable() = 0;
    /// Connecting or sending failed; the stream is closed already.
    virtual void on_closed(const Error& error) = 0;
  };
  struct Options {
    std::string peer;  // for messages and the TLS name check: the host
    std::chrono::milliseconds connect_timeout{200};
    uint64_t queued_bytes_max = 8 * 1024 * 1024;
    std::shared_ptr<const TlsContext> tls;  // null: plain. Shared by all connections of a fleet.
  };
  enum class State { kClosed, kConnecting, kOpen };

  TcpStream(EventLoop& loop, Owner& owner, Options options);
  ~TcpStream() override;
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  /// Begins to connect a closed stream; on_open() or on_closed() follows, never inside this call.
  void connect(const SocketAddress& address);
  /// Closes without a word and drops what was not sent. A closed stream may connect again.
  void close();
  State state() const { return state_; }

  /// Queues bytes, to be sent in order once the stream is open; all that is queued in one turn of
  /// the loop leaves together. False, and nothing taken, if the stream is closed or more than
  /// queued_bytes_max would wait.
  [[nodiscard]] bool write(Outgoing outgoing);
  /// What waits to be sent.
  uint64_t queued_bytes() const { return queued_bytes_; }

  struct ReadOutcome {
    size_t bytes = 0;
    bool more = false;  // there may be more at once: read again
  };
  /// Reads what is there into the buffers, in order; empty ones are skipped. kGone if the peer has
  /// closed; after an error the stream is to be closed.
  Result<ReadOutcome> read(std::span<const MutableByteSpan> buffers);
  /// Reads at most `bytes_max` and throws them away; without a copy where it is plain.
  Result<ReadOutcome> discard(uint64_t bytes_max);

 private:
  void on_events(uint32_t events) override;
  Result<void> begin_connect(const SocketAddress& address);
  Result<void> finish_connect();
  Result<void> continue_handshake();
  void become_open();
  Result<void> flush();
  Result<void> flush_plain();
  Result<void> flush_tls();
  void sent(size_t bytes);
  Result<ReadOutcome> read_tls(std::span<const MutableByteSpan> buffers);
  Result<void> watch_for(bool writable);
  void schedule_flush();
  void fail_with(Error error);

  EventLoop& loop_;
  Owner& owner_;
  const Options options_;
  // Tasks that wait in the loop hold it weakly, so that they know when the stream has gone.
  std::shared_ptr<TcpStream*> alive_ = std::make_shared<TcpStream*>(this);

  State state_ = State::kClosed;
  uint64_t connection_ = 0;  // counts connects and closes: a task of another one is stale
  Fd socket_;
  SslPointer ssl_;
  EventLoop::WatchId watch_ = 0;
  EventLoop::TimerId connect_timer_;
  uint32_t watched_ = 0;
  bool flush_scheduled_ = false;
  bool tls_wants_write_ = false;
  std::deque<Outgoing> queue_;
  size_t front_sent_ = 0;  // of the front, head and body counted through
  uint64_t queued_bytes_ = 0;
};

}  // namespace thaw
