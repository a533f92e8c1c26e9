// SPDX-License-Identifier: Apache-2.0
//
// MemcacheNode: one connection to one memcached, pipelined, never blocking. Answers come in the
// order of the requests; the opaque number they echo is checked all the same. A request that is
// abandoned or expired keeps its place, and its answer's bytes are thrown away as they come.
//
// A connection is stuck, and closed, when the oldest answer is overdue and nothing has been
// received for stall_timeout: what is behind it in the stream cannot arrive before it. Requests
// wait for a connection that is being made; without one they are refused at once.
#pragma once

#include <deque>
#include <memory>
#include <random>
#include <string>

#include "thaw/net/tcp_stream.h"
#include "thaw/zone/circuit_breaker.h"
#include "thaw/zone/memcache_reply_reader.h"
#include "thaw/zone/node_counters.h"
#include "thaw/zone/stripe_node.h"
#include "thaw/zone/zone_options.h"

namespace thaw {

class MemcacheNode final : public StripeNode,
                           private TcpStream::Owner,
                           private MemcacheReplyReader::Handler {
 public:
  /// Begins to connect. Borrows loop and resolver; `counters` are shared with whoever reports.
  MemcacheNode(EventLoop& loop, Resolver& resolver, const ZoneNodeAddress& address,
               const NodeLimits& limits, std::shared_ptr<const TlsContext> tls,
               std::shared_ptr<NodeCounters> counters, uint64_t seed);
  ~MemcacheNode() override;

  RequestId get(const StripeId& id, MutableByteSpan out, Deadline deadline, Done done) override;
  RequestId set(const StripeId& id, ByteSpan header, ByteSpan payload,
                std::shared_ptr<const void> keep_alive, Deadline deadline, Done done) override;
  RequestId remove(const StripeId& id, Deadline deadline, Done done) override;
  void abandon(RequestId request) override;
  void close() override;

 private:
  using Time = EventLoop::Time;
  enum class Kind { kGet, kSet, kRemove, kProbe };
  struct Request {
    Kind kind = Kind::kProbe;
    Time deadline{};
    Done done;  // empty: nobody waits any more
    StripeId stripe;
    StripeHeader header{};  // of a get: as received
    MutableByteSpan out{};
    StripeOutcome value_outcome = StripeOutcome::kOk;  // of a get: what is known before its end
  };

  // TcpStream::Owner
  void on_open() override;
  void on_readable() override;
  void on_closed(const Error& error) override;
  // MemcacheReplyReader::Handler
  Result<std::optional<MemcacheReplyReader::ValuePlace>> on_value(
      const MemcacheReply& reply) override;
  Result<void> on_reply(const MemcacheReply& reply) override;

  bool accepts_requests() const;
  RequestId send(Request request, Outgoing outgoing, std::string_view tail);
  Result<StripeOutcome> outcome_of(const Request& request, const MemcacheReply& reply) const;
  Result<void> check_order(const MemcacheReply& reply) const;
  void count(const Request& request, StripeOutcome outcome);
  void forget(Request& request);
  void fail_all();

  void start_connecting();
  void connect_to(const Result<std::vector<SocketAddress>>& addresses);
  void connection_lost(const std::string& why);
  void schedule_reconnect();
  void send_probe();
  void breaker_failed();
  void set_timer(Time time);
  void on_timer();

  EventLoop& loop_;
  Resolver& resolver_;
  const ZoneNodeAddress address_;
  const NodeLimits limits_;
  const std::shared_ptr<NodeCounters> counters_;
  // Held weakly by look-ups under way, which know by it whether the node is still there.
  std::shared_ptr<MemcacheNode*> alive_ = std::make_shared<MemcacheNode*>(this);

  TcpStream stream_;
  MemcacheReplyReader reader_;
  CircuitBreaker breaker_;
  std::mt19937_64 random_;
  std::deque<Request> pipeline_;  // the oldest first
  RequestId front_id_ = 1;        // of the pipeline's first; the others follow one by one
  Time received_at_{};            // when bytes came last, or the pipeline began to fill
  bool connected_ = false;
  bool closed_ = false;
  size_t address_turn_ = 0;  // which of a host's addresses to try
  uint32_t reconnects_ = 0;  // in a row without an answer
  EventLoop::TimerId reconnect_timer_;
  EventLoop::TimerId timer_;  // the next deadline, or when the stream may be found stuck
};

}  // namespace thaw
