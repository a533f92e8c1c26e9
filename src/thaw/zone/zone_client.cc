// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/zone_client.h"

#include <algorithm>
#include <condition_variable>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {
namespace {

/// What memcached's limit covers besides the value: its item header, the key, and what it rounds.
constexpr uint64_t kItemOverheadBytes = 256;

uint64_t read(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}
void bump(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

/// Waits on one thread for what another hands over.
template <typename T>
class Handover {
 public:
  void give(T value) {
    // Notified under the lock: once it is released the waiter's frame may go.
    const MutexLock lock(mutex_);
    value_ = std::move(value);
    changed_.notify_one();
  }
  T take() {
    MutexLock lock(mutex_);
    while (!value_) lock.wait(changed_);
    return std::move(*value_);
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_ GUARDED_BY(mutex_);
};

size_t count_ok(const StripeOutcomes& outcomes) {
  return static_cast<size_t>(std::count(outcomes.begin(), outcomes.end(), StripeOutcome::kOk));
}

}  // namespace

ZoneClient::ZoneClient(const ZoneOptions& options)
    : options_(options),
      shape_{static_cast<uint8_t>(options.data_stripes),
             static_cast<uint8_t>(options.parity_stripes)},
      code_(std::make_shared<ReedSolomon>(options.data_stripes, options.parity_stripes)) {}

Result<std::unique_ptr<ZoneClient>> ZoneClient::create(const ZoneOptions& options) {
  TRY(options.validate());
  std::shared_ptr<const TlsContext> tls;
  if (options.tls) {
    ASSIGN_OR_RETURN(tls, TlsContext::create(*options.tls));
  }
  std::unique_ptr<ZoneClient> client(new ZoneClient(options));
  for (unsigned i = 0; i < options.threads; ++i) {
    // Each loop's nodes count on from their loop's seed.
    const uint64_t seed = options.seed + (uint64_t{i} << 32);
    ASSIGN_OR_RETURN(auto loop, ZoneLoop::start(options, client->resolver_, tls, seed));
    client->loops_.push_back(std::move(loop));
  }
  TRY(client->set_nodes(options.nodes));
  return client;
}

ZoneClient::~ZoneClient() {
  for (const auto& loop : loops_) loop->close();
  gate_.close_and_wait();
}

Result<std::shared_ptr<const Fleet>> ZoneClient::make_fleet(
    const std::vector<ZoneNodeAddress>& nodes, StripeShape shape, const Fleet* before) {
  TRY(validate_zone_nodes(nodes));
  std::vector<WeightedNode> weighted;
  for (const ZoneNodeAddress& node : nodes)
    weighted.push_back({node.effective_name(), node.weight});
  ASSIGN_OR_RETURN(Placement placement, Placement::create(weighted, shape.total()));
  auto fleet = std::make_shared<Fleet>(Fleet{nodes, {}, std::move(placement)});
  for (const ZoneNodeAddress& node : nodes) {
    std::shared_ptr<NodeCounters> counters;
    for (size_t i = 0; before != nullptr && i < before->nodes.size(); ++i) {
      const ZoneNodeAddress& old = before->nodes[i];
      if (old.effective_name() == node.effective_name() && old.host == node.host &&
          old.port == node.port) {
        counters = before->counters[i];
      }
    }
    fleet->counters.push_back(counters ? counters : std::make_shared<NodeCounters>());
  }
  return fleet;
}

Result<void> ZoneClient::set_nodes(const std::vector<ZoneNodeAddress>& nodes) {
  const MutexLock lock(fleet_change_);
  const auto before = fleet_.with([](const auto& fleet) { return fleet; });
  ASSIGN_OR_RETURN(const auto fleet, make_fleet(nodes, shape_, before.get()));
  for (const auto& loop : loops_) loop->use_fleet(fleet);
  fleet_.with([&](auto& current) { current = fleet; });
  return {};
}

ZoneLoop& ZoneClient::next_loop() {
  return *loops_[turn_.fetch_add(1, std::memory_order_relaxed) % loops_.size()];
}

std::shared_ptr<ZoneClient::Call> ZoneClient::begin_call() {
  auto call = std::make_shared<Call>();
  call->pass = gate_.enter();
  CHECK(call->pass);  // nobody may call while the client is destroyed
  return call;
}

Result<void> ZoneClient::fits(uint32_t pages) const {
  const uint64_t item =
      uint64_t{stripe_bytes(pages, shape_)} + kStripeHeaderBytes + kItemOverheadBytes;
  if (item <= options_.item_bytes_max) return {};
  const uint64_t mib = (item + kMiB - 1) / kMiB;
  return fail(ErrorCode::kExhausted,
              "a stripe of a chunk of " + std::to_string(pages) + " pages takes an item of " +
                  std::to_string(item) + " bytes, the zone's nodes take " +
                  std::to_string(options_.item_bytes_max) + "; run memcached with -I " +
                  std::to_string(mib) + "m and raise item_bytes_max");
}

void ZoneClient::get(const ChunkId& chunk, uint32_t pages, Deadline deadline, GetDone done) {
  CHECK(pages >= 1 && pages <= kChunkPagesMax);
  bump(counters_.gets);
  if (!fits(pages)) {
    bump(counters_.gets_unusable);
    bump(counters_.misses);
    done(nullptr);
    return;
  }
  if (counters_.gets_in_flight.fetch_add(1) >= options_.gets_in_flight_max) {
    counters_.gets_in_flight.fetch_sub(1);
    bump(counters_.gets_refused);
    bump(counters_.misses);
    done(nullptr);
    return;
  }
  std::shared_ptr<Call> call = begin_call();
  call->stripes = std::make_unique<StripeSet>(chunk, pages, shape_, code_);
  call->get_done = std::move(done);
  deadline = std::min(deadline, deadline_in(std::chrono::milliseconds(options_.get_timeout_ms)));
  ZoneLoop& loop = next_loop();
  loop.post([this, &loop, call = std::move(call), deadline]() mutable {
    start_get(loop, std::move(call), deadline);
  });
}

void ZoneClient::start_get(ZoneLoop& loop, std::shared_ptr<Call> call, Deadline deadline) {
  StripeSet& stripes = *call->stripes;
  StripeNodes nodes = loop.nodes_of(stripes.chunk(), shape_.data);
  if (nodes.empty()) bump(counters_.gets_unusable);
  FanOut::start(
      std::move(nodes), {shape_.data, shape_.parity},
      [&](StripeNode& node, unsigned index, StripeNode::Done stripe_done) {
        const StripeId id = stripes.id(index);
        return node.get(
            id, stripes.room(index), deadline,
            [&node, id, deadline, stripe_done = std::move(stripe_done)](StripeOutcome outcome) {
              // What is under the key is of no use to anybody. If another worker has
              // replaced it meanwhile, one good stripe less is no harm.
              if (outcome == StripeOutcome::kCorrupt) {
                node.remove(id, deadline, [](StripeOutcome) {});
              }
              stripe_done(outcome);
            });
      },
      [this, call](const StripeOutcomes& outcomes) { finish_get(*call, outcomes); });
}

void ZoneClient::finish_get(Call& call, const StripeOutcomes& outcomes) {
  counters_.gets_in_flight.fetch_sub(1);
  for (unsigned i = 0; i < shape_.total(); ++i) {
    if (outcomes[i] == StripeOutcome::kOk) call.stripes->mark_present(i);
  }
  if (call.stripes->present_count() < shape_.data) {
    bump(counters_.misses);
    call.stripes.reset();
  } else {
    bump(counters_.hits);
    if (call.stripes->is_degraded()) bump(counters_.hits_degraded);
  }
  std::exchange(call.get_done, nullptr)(std::move(call.stripes));
}

Deadline ZoneClient::set_deadline() const {
  return deadline_in(std::chrono::milliseconds(options_.set_timeout_ms));
}

void ZoneClient::put(const ChunkId& chunk, ByteSpan ciphertext,
                     std::shared_ptr<const void> keep_alive, CountDone done) {
  bump(counters_.puts);
  if (!fits(static_cast<uint32_t>(ciphertext.size() / kPageBytes))) {
    bump(counters_.puts_too_large);
    done(0);
    return;
  }
  // The parity counts as soon as it is made, so the sum is taken before.
  const uint64_t bytes =
      ciphertext.size() +
      uint64_t{stripe_bytes(static_cast<uint32_t>(ciphertext.size() / kPageBytes), shape_)} *
          shape_.parity;
  if (counters_.put_bytes_in_flight.fetch_add(bytes) + bytes > options_.put_bytes_in_flight_max) {
    counters_.put_bytes_in_flight.fetch_sub(bytes);
    bump(counters_.puts_refused);
    done(0);
    return;
  }
  std::shared_ptr<Call> call = begin_call();
  call->count_done = std::move(done);
  const auto encoded = std::make_shared<const EncodedChunk>(chunk, ciphertext,
                                                            std::move(keep_alive), shape_, *code_);
  ZoneLoop& loop = next_loop();
  loop.post([this, &loop, call = std::move(call), encoded, bytes, deadline = set_deadline()] {
    FanOut::start(
        loop.nodes_of(encoded->id(0).chunk, shape_.data), {shape_.total(), shape_.total()},
        [&](StripeNode& node, unsigned index, StripeNode::Done stripe_done) {
          return node.set(encoded->id(index), encoded->header(index), encoded->payload(index),
                          encoded, deadline, std::move(stripe_done));
        },
        [this, call, bytes](const StripeOutcomes& outcomes) {
          counters_.put_bytes_in_flight.fetch_sub(bytes);
          const size_t stored = count_ok(outcomes);
          if (stored == shape_.total()) bump(counters_.puts_complete);
          std::exchange(call->count_done, nullptr)(stored);
        });
  });
}

void ZoneClient::remove(const ChunkId& chunk, uint32_t pages, CountDone done) {
  bump(counters_.removes);
  std::shared_ptr<Call> call = begin_call();
  call->count_done = std::move(done);
  ZoneLoop& loop = next_loop();
  loop.post([this, &loop, call = std::move(call), chunk, pages, deadline = set_deadline()] {
    FanOut::start(
        loop.nodes_of(chunk, 0), {shape_.total(), shape_.total()},
        [&](StripeNode& node, unsigned index, StripeNode::Done stripe_done) {
          return node.remove({chunk, pages, shape_, static_cast<uint8_t>(index)}, deadline,
                             std::move(stripe_done));
        },
        [call](const StripeOutcomes& outcomes) {
          std::exchange(call->count_done, nullptr)(count_ok(outcomes));
        });
  });
}

template <typename Begin>
StripeOutcomes ZoneClient::fan_out_and_wait(const ChunkId& chunk, Begin begin) {
  Handover<StripeOutcomes> handover;
  const std::shared_ptr<Call> call = begin_call();
  ZoneLoop& loop = next_loop();
  CHECK(!loop.in_loop());
  loop.post([&] {
    FanOut::start(loop.nodes_of(chunk, 0), {shape_.total(), shape_.total()}, begin,
                  [&](const StripeOutcomes& outcomes) { handover.give(outcomes); });
  });
  return handover.take();
}

StripeOutcomes ZoneClient::read_all(StripeSet& stripes) {
  const Deadline deadline = deadline_in(std::chrono::milliseconds(options_.get_timeout_ms));
  const StripeOutcomes outcomes = fan_out_and_wait(
      stripes.chunk(), [&, deadline](StripeNode& node, unsigned index, StripeNode::Done done) {
        return node.get(stripes.id(index), stripes.room(index), deadline, std::move(done));
      });
  for (unsigned i = 0; i < shape_.total(); ++i) {
    if (outcomes[i] == StripeOutcome::kOk) stripes.mark_present(i);
  }
  return outcomes;
}

unsigned ZoneClient::write_stripes(const std::shared_ptr<const EncodedChunk>& encoded,
                                   const std::vector<bool>& wanted) {
  const StripeOutcomes outcomes = fan_out_and_wait(
      encoded->id(0).chunk,
      [&, deadline = set_deadline()](StripeNode& node, unsigned index,
                                     StripeNode::Done done) -> StripeNode::RequestId {
        if (!wanted[index]) return 0;
        return node.set(encoded->id(index), encoded->header(index), encoded->payload(index),
                        encoded, deadline, std::move(done));
      });
  return static_cast<unsigned>(count_ok(outcomes));
}

unsigned ZoneClient::remove_stripes(const ChunkId& chunk, uint32_t pages,
                                    const std::vector<bool>& wanted) {
  const StripeOutcomes outcomes = fan_out_and_wait(
      chunk,
      [&, deadline = set_deadline()](StripeNode& node, unsigned index,
                                     StripeNode::Done done) -> StripeNode::RequestId {
        if (!wanted[index]) return 0;
        return node.remove({chunk, pages, shape_, static_cast<uint8_t>(index)}, deadline,
                           std::move(done));
      });
  return static_cast<unsigned>(count_ok(outcomes));
}

ChunkCheck ZoneClient::check(const ChunkId& chunk, uint32_t pages, std::optional<ByteSpan> known,
                             CheckMode mode) {
  CHECK(pages >= 1 && pages <= kChunkPagesMax);
  CHECK(!known || known->size() == size_t{pages} * kPageBytes);
  StripeSet stripes(chunk, pages, shape_, code_);
  const StripeOutcomes outcomes = read_all(stripes);
  Sha256 hasher;
  auto truth = std::make_shared<AlignedBuffer>();
  ChunkCheck check = judge_stripes(stripes, outcomes, code_, hasher, known, *truth);
  if (mode == CheckMode::kLook) return check;
  const bool truth_known = truth->size() != 0;
  std::vector<bool> wanted;
  for (const StripeState state : check.stripes) {
    wanted.push_back(state == StripeState::kCorrupt ||
                     (truth_known && state == StripeState::kMissing));
  }
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return check;
  if (!truth_known || !fits(pages)) {
    check.removed = remove_stripes(chunk, pages, wanted);
    return check;
  }
  check.rewritten = write_stripes(
      std::make_shared<const EncodedChunk>(chunk, truth->span(), truth, shape_, *code_), wanted);
  return check;
}

const char* to_string(ZoneNodeState state) {
  switch (state) {
    case ZoneNodeState::kUp:
      return "up";
    case ZoneNodeState::kDown:
      return "down";
    case ZoneNodeState::kBreakerOpen:
      return "breaker open";
  }
  return "?";
}

ZoneStatus ZoneClient::status() const {
  const auto fleet = fleet_.with([](const auto& current) { return current; });
  ZoneStatus status;
  status.usable = fleet->nodes.size() >= shape_.data;
  for (size_t i = 0; i < fleet->nodes.size(); ++i) {
    const ZoneNodeAddress& address = fleet->nodes[i];
    const NodeCounters& counters = *fleet->counters[i];
    ZoneNodeStatus node;
    node.name = address.effective_name();
    node.host = address.host;
    node.port = address.port;
    node.weight = address.weight;
    if (read(counters.connections) != 0) node.state = ZoneNodeState::kUp;
    if (read(counters.breakers_open) != 0) node.state = ZoneNodeState::kBreakerOpen;
    node.in_flight = read(counters.in_flight);
    node.requests = read(counters.requests);
    node.hits = read(counters.hits);
    node.misses = read(counters.misses);
    node.stored = read(counters.stored);
    node.removed = read(counters.removed);
    node.not_accepted = read(counters.not_accepted);
    node.timeouts = read(counters.timeouts);
    node.failures = read(counters.failures);
    node.corrupt = read(counters.corrupt);
    node.abandoned = read(counters.abandoned);
    node.refused = read(counters.refused);
    node.refused_full = read(counters.refused_full);
    node.connects = read(counters.connects);
    node.disconnects = read(counters.disconnects);
    node.breaker_opened = read(counters.breaker_opened);
    node.bytes_received = read(counters.bytes_received);
    node.bytes_sent = read(counters.bytes_sent);
    node.bytes_discarded = read(counters.bytes_discarded);
    status.nodes.push_back(std::move(node));
  }
  status.gets = read(counters_.gets);
  status.hits = read(counters_.hits);
  status.hits_degraded = read(counters_.hits_degraded);
  status.misses = read(counters_.misses);
  status.gets_refused = read(counters_.gets_refused);
  status.gets_unusable = read(counters_.gets_unusable);
  status.gets_in_flight = read(counters_.gets_in_flight);
  status.puts = read(counters_.puts);
  status.puts_complete = read(counters_.puts_complete);
  status.puts_refused = read(counters_.puts_refused);
  status.puts_too_large = read(counters_.puts_too_large);
  status.put_bytes_in_flight = read(counters_.put_bytes_in_flight);
  status.removes = read(counters_.removes);
  return status;
}

}  // namespace thaw
