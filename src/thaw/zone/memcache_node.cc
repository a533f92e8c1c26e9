// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/memcache_node.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/base/name.h"

namespace thaw {
namespace {

constexpr std::string_view kValueEnd = "\r\n";
/// Reconnection delays are jittered by up to this part either way.
constexpr double kJitter = 0.25;
/// Enough to reach any maximum from a millisecond.
constexpr uint32_t kDoublingsMax = 31;

TcpStream::Options stream_options(const ZoneNodeAddress& address, const NodeLimits& limits,
                                  std::shared_ptr<const TlsContext> tls) {
  TcpStream::Options options;
  options.peer = address.host;
  options.connect_timeout = std::chrono::milliseconds(limits.connect_timeout_ms);
  options.queued_bytes_max = limits.queued_bytes_max;
  options.tls = std::move(tls);
  return options;
}

}  // namespace

MemcacheNode::MemcacheNode(EventLoop& loop, Resolver& resolver, const ZoneNodeAddress& address,
                           const NodeLimits& limits, std::shared_ptr<const TlsContext> tls,
                           std::shared_ptr<NodeCounters> counters, uint64_t seed)
    : loop_(loop),
      resolver_(resolver),
      address_(address),
      limits_(limits),
      counters_(std::move(counters)),
      stream_(loop, *this, stream_options(address, limits, std::move(tls))),
      reader_(*this),
      breaker_(limits.breaker, seed),
      random_(seed) {
  start_connecting();
}

MemcacheNode::~MemcacheNode() { close(); }

void MemcacheNode::close() {
  if (std::exchange(closed_, true)) return;
  alive_.reset();
  loop_.cancel(std::exchange(reconnect_timer_, {}));
  loop_.cancel(std::exchange(timer_, {}));
  if (std::exchange(connected_, false)) subtract(counters_->connections);
  if (breaker_.state() != CircuitBreaker::State::kClosed) subtract(counters_->breakers_open);
  stream_.close();
  reader_.reset();
  fail_all();
}

void MemcacheNode::fail_all() {
  std::deque<Request> lost;
  lost.swap(pipeline_);
  front_id_ += lost.size();
  subtract(counters_->in_flight, lost.size());
  for (Request& request : lost) {
    if (!request.done) continue;
    count(request, StripeOutcome::kFailed);
    request.done(StripeOutcome::kFailed);
  }
}

bool MemcacheNode::accepts_requests() const {
  return breaker_.state() == CircuitBreaker::State::kClosed &&
         stream_.state() != TcpStream::State::kClosed;
}

StripeNode::RequestId MemcacheNode::get(const StripeId& id, MutableByteSpan out, Deadline deadline,
                                        Done done) {
  CHECK(out.size() == id.payload_bytes());
  Request request;
  request.kind = Kind::kGet;
  request.deadline = deadline;
  request.done = std::move(done);
  request.stripe = id;
  request.out = out;
  return send(std::move(request), {}, {});
}

StripeNode::RequestId MemcacheNode::set(const StripeId& id, ByteSpan header, ByteSpan payload,
                                        std::shared_ptr<const void> keep_alive, Deadline deadline,
                                        Done done) {
  CHECK(header.size() == kStripeHeaderBytes && payload.size() == id.payload_bytes());
  Request request;
  request.kind = Kind::kSet;
  request.deadline = deadline;
  request.done = std::move(done);
  request.stripe = id;
  return send(std::move(request), {std::string(as_text(header)), payload, std::move(keep_alive)},
              kValueEnd);
}

StripeNode::RequestId MemcacheNode::remove(const StripeId& id, Deadline deadline, Done done) {
  Request request;
  request.kind = Kind::kRemove;
  request.deadline = deadline;
  request.done = std::move(done);
  request.stripe = id;
  return send(std::move(request), {}, {});
}

StripeNode::RequestId MemcacheNode::send(Request request, Outgoing outgoing,
                                         std::string_view tail) {
  const bool probe = request.kind == Kind::kProbe;
  if (!probe && !accepts_requests()) {
    add(counters_->refused);
    return 0;
  }
  const RequestId id = front_id_ + pipeline_.size();
  std::string line;
  const auto value_bytes = static_cast<uint32_t>(outgoing.bytes());
  switch (request.kind) {
    case Kind::kGet:
      line = encode_memcache_get(request.stripe.key(), id);
      break;
    case Kind::kSet:
      line = encode_memcache_set(request.stripe.key(), value_bytes, limits_.ttl_s, id);
      break;
    case Kind::kRemove:
      line = encode_memcache_delete(request.stripe.key(), id);
      break;
    case Kind::kProbe:
      line = encode_memcache_noop();
      break;
  }
  outgoing.head.insert(0, line);
  const uint64_t bytes = outgoing.bytes() + tail.size();
  // Both parts or none: half a request would shift all that follow.
  if (pipeline_.size() >= limits_.requests_max ||
      bytes > limits_.queued_bytes_max - stream_.queued_bytes()) {
    add(counters_->refused);
    add(counters_->refused_full);
    return 0;
  }
  CHECK(stream_.write(std::move(outgoing)));
  if (!tail.empty()) CHECK(stream_.write({std::string(tail), {}, nullptr}));
  if (pipeline_.empty()) received_at_ = std::chrono::steady_clock::now();
  if (!probe) add(counters_->requests);
  add(counters_->in_flight);
  add(counters_->bytes_sent, bytes);
  pipeline_.push_back(std::move(request));
  set_timer(pipeline_.back().deadline);
  return id;
}

void MemcacheNode::forget(Request& request) {
  request.done = nullptr;
  request.out = {};
  // Only the oldest one's value can be under way.
  if (&request == &pipeline_.front() && reader_.in_value()) reader_.drop_value();
}

void MemcacheNode::abandon(RequestId request) {
  if (request < front_id_ || request - front_id_ >= pipeline_.size()) return;
  Request& found = pipeline_[static_cast<size_t>(request - front_id_)];
  if (!found.done) return;
  add(counters_->abandoned);
  forget(found);
}

void MemcacheNode::on_readable() {
  bool received = false;
  while (stream_.state() == TcpStream::State::kOpen) {
    const uint64_t useless = reader_.discardable();
    const auto buffers = reader_.buffers();
    const auto outcome = useless != 0 ? stream_.discard(useless) : stream_.read(buffers);
    if (!outcome) {
      connection_lost(outcome.error().message);
      return;
    }
    if (outcome->bytes != 0) {
      if (!received) received_at_ = std::chrono::steady_clock::now();
      received = true;
      add(counters_->bytes_received, outcome->bytes);
      if (useless != 0) {
        add(counters_->bytes_discarded, outcome->bytes);
        reader_.discarded(outcome->bytes);
      } else if (const Result<void> taken = reader_.received(outcome->bytes); !taken) {
        connection_lost(taken.error().message);
        return;
      }
    }
    if (!outcome->more) return;
  }
}

Result<void> MemcacheNode::check_order(const MemcacheReply& reply) const {
  if (reply.kind == MemcacheReply::Kind::kClientError) {
    return fail(ErrorCode::kCorrupt, "it did not understand us: " + quote(std::string(reply.text)));
  }
  if (pipeline_.empty()) {
    return fail(ErrorCode::kCorrupt, "an answer that nobody asked for");
  }
  const bool echoed = reply.opaque.has_value();
  const bool must_echo =
      reply.kind == MemcacheReply::Kind::kValue || reply.kind == MemcacheReply::Kind::kDone;
  if ((echoed && *reply.opaque != front_id_) || (must_echo && !echoed)) {
    return fail(ErrorCode::kCorrupt, "an answer to another request than its turn is");
  }
  return {};
}

Result<std::optional<MemcacheReplyReader::ValuePlace>> MemcacheNode::on_value(
    const MemcacheReply& reply) {
  TRY(check_order(reply));
  Request& request = pipeline_.front();
  if (request.kind != Kind::kGet) {
    return fail(ErrorCode::kCorrupt, "a value for a request that asks for none");
  }
  if (reply.value_bytes != kStripeHeaderBytes + request.stripe.payload_bytes()) {
    request.value_outcome = StripeOutcome::kCorrupt;
    return std::nullopt;
  }
  if (!request.done) return std::nullopt;
  return MemcacheReplyReader::ValuePlace{request.header, request.out};
}

Result<StripeOutcome> MemcacheNode::outcome_of(const Request& request,
                                               const MemcacheReply& reply) const {
  using ReplyKind = MemcacheReply::Kind;
  if (reply.kind == ReplyKind::kServerError) return StripeOutcome::kNotAccepted;
  switch (request.kind) {
    case Kind::kGet:
      if (reply.kind == ReplyKind::kMiss) return StripeOutcome::kMiss;
      if (reply.kind != ReplyKind::kValue) break;
      if (!request.done || request.value_outcome != StripeOutcome::kOk) {
        return request.value_outcome;
      }
      return check_stripe(request.stripe, request.header, request.out) ? StripeOutcome::kOk
                                                                       : StripeOutcome::kCorrupt;
    case Kind::kSet:
      if (reply.kind == ReplyKind::kDone) return StripeOutcome::kOk;
      if (reply.kind == ReplyKind::kNotStored) return StripeOutcome::kNotAccepted;
      break;
    case Kind::kRemove:
      if (reply.kind == ReplyKind::kDone) return StripeOutcome::kOk;
      if (reply.kind == ReplyKind::kNotFound) return StripeOutcome::kMiss;
      break;
    case Kind::kProbe:
      if (reply.kind == ReplyKind::kNoop) return StripeOutcome::kOk;
      break;
  }
  return fail(ErrorCode::kCorrupt,
              "an answer of the wrong kind: " + quote(std::string(reply.text)));
}

Result<void> MemcacheNode::on_reply(const MemcacheReply& reply) {
  TRY(check_order(reply));
  ASSIGN_OR_RETURN(const StripeOutcome outcome, outcome_of(pipeline_.front(), reply));
  Request request = std::move(pipeline_.front());
  pipeline_.pop_front();
  ++front_id_;
  subtract(counters_->in_flight);
  reconnects_ = 0;
  if (outcome == StripeOutcome::kCorrupt) {
    breaker_failed();
  } else if (request.kind == Kind::kProbe) {
    if (breaker_.state() == CircuitBreaker::State::kProbing) {
      breaker_.on_probe_success();
      subtract(counters_->breakers_open);
      log_info("zone node " + address_.effective_name() + " answers again");
    }
  } else if (request.kind != Kind::kRemove) {
    // A removal says little: it is what a node that keeps handing over nonsense gets in between.
    breaker_.on_success();
  }
  if (request.kind == Kind::kProbe || !request.done) return {};
  count(request, outcome);
  request.done(outcome);
  return {};
}

void MemcacheNode::count(const Request& request, StripeOutcome outcome) {
  switch (outcome) {
    case StripeOutcome::kOk:
      if (request.kind == Kind::kGet) add(counters_->hits);
      if (request.kind == Kind::kSet) add(counters_->stored);
      if (request.kind == Kind::kRemove) add(counters_->removed);
      break;
    case StripeOutcome::kMiss:
      if (request.kind == Kind::kGet) add(counters_->misses);
      break;
    case StripeOutcome::kCorrupt:
      add(counters_->corrupt);
      break;
    case StripeOutcome::kNotAccepted:
      add(counters_->not_accepted);
      break;
    case StripeOutcome::kTimeout:
      add(counters_->timeouts);
      break;
    case StripeOutcome::kFailed:
      add(counters_->failures);
      break;
    case StripeOutcome::kRefused:    // counted where they are refused
    case StripeOutcome::kAbandoned:  // and abandoned
      break;
  }
}

void MemcacheNode::start_connecting() {
  resolver_.resolve(address_.host, address_.port,
                    [this, alive = std::weak_ptr(alive_),
                     loop = &loop_](Result<std::vector<SocketAddress>> addresses) {
                      if (loop->in_loop()) {
                        connect_to(addresses);
                        return;
                      }
                      loop->post([alive, addresses = std::move(addresses)] {
                        if (const auto self = alive.lock()) (*self)->connect_to(addresses);
                      });
                    });
}

void MemcacheNode::connect_to(const Result<std::vector<SocketAddress>>& addresses) {
  if (!addresses) {
    connection_lost(addresses.error().message);
    return;
  }
  reader_.reset();
  stream_.connect((*addresses)[address_turn_++ % addresses->size()]);
  if (breaker_.state() == CircuitBreaker::State::kProbing) send_probe();
}

void MemcacheNode::on_open() {
  connected_ = true;
  add(counters_->connects);
  add(counters_->connections);
}

void MemcacheNode::on_closed(const Error& error) { connection_lost(error.message); }

void MemcacheNode::connection_lost(const std::string& why) {
  stream_.close();
  reader_.reset();
  if (std::exchange(connected_, false)) subtract(counters_->connections);
  add(counters_->disconnects);
  log_debug("zone node " + address_.effective_name() + ": " + why);
  loop_.cancel(std::exchange(timer_, {}));
  ++reconnects_;
  breaker_failed();
  schedule_reconnect();
  fail_all();
}

void MemcacheNode::breaker_failed() {
  const CircuitBreaker::State before = breaker_.state();
  breaker_.on_failure(std::chrono::steady_clock::now());
  if (before == CircuitBreaker::State::kOpen || breaker_.state() != CircuitBreaker::State::kOpen) {
    return;
  }
  if (before == CircuitBreaker::State::kClosed) {
    add(counters_->breakers_open);
    add(counters_->breaker_opened);
    log_warning("zone node " + address_.effective_name() +
                " fails again and again: not asked until it answers a probe");
  }
  schedule_reconnect();
}

void MemcacheNode::schedule_reconnect() {
  loop_.cancel(std::exchange(reconnect_timer_, {}));
  Time time = breaker_.probe_at();
  if (breaker_.state() != CircuitBreaker::State::kOpen) {
    const uint32_t doublings = std::min(reconnects_ - 1, kDoublingsMax);
    const uint64_t delay_ms = std::min<uint64_t>(uint64_t{limits_.reconnect_delay_ms} << doublings,
                                                 limits_.reconnect_delay_ms_max);
    const double factor = std::uniform_real_distribution<double>(1 - kJitter, 1 + kJitter)(random_);
    time = std::chrono::steady_clock::now() + std::chrono::microseconds(static_cast<int64_t>(
                                                  static_cast<double>(delay_ms) * 1000 * factor));
  }
  reconnect_timer_ = loop_.call_at(time, [this] {
    reconnect_timer_ = {};
    breaker_.begin_probe(std::chrono::steady_clock::now());
    if (stream_.state() == TcpStream::State::kClosed) {
      start_connecting();
    } else {
      send_probe();
    }
  });
}

void MemcacheNode::send_probe() {
  Request request;
  request.kind = Kind::kProbe;
  request.deadline =
      std::chrono::steady_clock::now() +
      std::chrono::milliseconds(limits_.connect_timeout_ms + limits_.stall_timeout_ms);
  if (send(std::move(request), {}, {}) == 0) breaker_failed();
}

void MemcacheNode::set_timer(Time time) {
  if (timer_ && timer_.time <= time) return;
  loop_.cancel(timer_);
  timer_ = loop_.call_at(time, [this] {
    timer_ = {};
    on_timer();
  });
}

void MemcacheNode::on_timer() {
  const Time now = std::chrono::steady_clock::now();
  std::vector<Done> expired;
  Time next = Time::max();
  for (Request& request : pipeline_) {
    if (!request.done) continue;
    if (request.deadline > now) {
      next = std::min(next, request.deadline);
      continue;
    }
    count(request, StripeOutcome::kTimeout);
    expired.push_back(std::move(request.done));
    forget(request);
  }
  if (!pipeline_.empty()) {
    const Time stuck_at =
        std::max(pipeline_.front().deadline,
                 received_at_ + std::chrono::milliseconds(limits_.stall_timeout_ms));
    if (stuck_at <= now) {
      connection_lost("an answer is overdue and nothing comes");
    } else {
      set_timer(std::min(next, stuck_at));
    }
  }
  for (Done& done : expired) done(StripeOutcome::kTimeout);
}

}  // namespace thaw
