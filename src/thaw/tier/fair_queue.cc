// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/fair_queue.h"

#include <algorithm>
#include <utility>

#include "thaw/base/check.h"

namespace thaw {

Result<void> FairQueueOptions::validate() const {
  if (requests_max == 0 || fault_reserve >= requests_max) {
    return fail(ErrorCode::kInvalid,
                "the origin's requests_max must be at least 1 and above its fault_reserve");
  }
  if (queued_max == 0) return fail(ErrorCode::kInvalid, "queued_max must be at least 1");
  return {};
}

void FairQueue::Lane::push(Waiting waiting) {
  std::list<Waiting>& flow = flows[waiting.request.flow];
  if (flow.empty()) turns.push_back(waiting.request.flow);
  flow.push_back(std::move(waiting));
}

FairQueue::Waiting FairQueue::Lane::pop() {
  DCHECK(!turns.empty());
  const uint64_t turn = turns.front();
  turns.pop_front();
  const auto flow = flows.find(turn);
  Waiting waiting = std::move(flow->second.front());
  flow->second.pop_front();
  if (flow->second.empty()) {
    flows.erase(flow);
  } else {
    turns.push_back(turn);
  }
  return waiting;
}

void FairQueue::fetch(const ChunkRequest& request, Completion done) {
  // Moved from only if it is queued, so that a refusal can still be told.
  const bool queued = state_.with([&](State& state) {
    if (state.queued >= options_.queued_max) return false;
    ++state.queued;
    if (state.in_flight >= options_.requests_max) {
      counters_.waited.fetch_add(1, std::memory_order_relaxed);
    }
    Lane& lane = request.priority == Priority::kFault ? state.faults : state.prefetches;
    lane.push({request, std::move(done)});
    return true;
  });
  if (!queued) {
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    done(fail(ErrorCode::kExhausted, "chunk " + request.id.hex() + " was not fetched: " +
                                         std::to_string(options_.queued_max) +
                                         " requests wait for the origin (queued_max)"));
    return;
  }
  pump();
}

void FairQueue::promote(const ChunkId& id) {
  const bool moved = state_.with([&](State& state) {
    for (auto& [flow, list] : state.prefetches.flows) {
      const auto found = std::find_if(list.begin(), list.end(), [&](const Waiting& waiting) {
        return waiting.request.id == id;
      });
      if (found == list.end()) continue;
      Waiting waiting = std::move(*found);
      const uint64_t owner = flow;
      list.erase(found);
      if (list.empty()) {
        std::erase(state.prefetches.turns, owner);
        state.prefetches.flows.erase(owner);
      }
      waiting.request.priority = Priority::kFault;
      state.faults.push(std::move(waiting));
      return true;
    }
    return false;
  });
  if (!moved) {
    below_.promote(id);
    return;
  }
  counters_.promoted.fetch_add(1, std::memory_order_relaxed);
  pump();
}

// What may go next, if anything may.
std::optional<FairQueue::Waiting> FairQueue::next(State& state) {
  const bool fault = !state.faults.empty() && state.in_flight < options_.requests_max;
  const bool prefetch =
      !state.prefetches.empty() && state.in_flight < options_.requests_max - options_.fault_reserve;
  if (!fault && !prefetch) return std::nullopt;
  --state.queued;
  ++state.in_flight;
  uint64_t peak = counters_.in_flight_peak.load(std::memory_order_relaxed);
  if (state.in_flight > peak) {
    counters_.in_flight_peak.store(state.in_flight, std::memory_order_relaxed);
  }
  return (fault ? state.faults : state.prefetches).pop();
}

// One thread at a time hands requests down. A source that completes at once would otherwise make
// each completion begin the next request inside the one before, as deep as the queue is long.
void FairQueue::pump() {
  const bool mine = state_.with([](State& state) { return !std::exchange(state.pumping, true); });
  if (!mine) return;
  while (true) {
    std::optional<Waiting> waiting = state_.with([this](State& state) {
      std::optional<Waiting> found = next(state);
      if (!found) state.pumping = false;
      return found;
    });
    if (!waiting) return;
    dispatch(std::move(*waiting));
  }
}

void FairQueue::dispatch(Waiting waiting) {
  const auto landed = [this, done = std::move(waiting.done)](Result<ChunkRef> result) {
    state_.with([](State& state) { --state.in_flight; });
    pump();
    done(std::move(result));  // last: the queue may be gone when it returns
  };
  const ChunkRequest& request = waiting.request;
  if (request.deadline != kNoDeadline && std::chrono::steady_clock::now() >= request.deadline) {
    counters_.expired.fetch_add(1, std::memory_order_relaxed);
    landed(
        fail(ErrorCode::kUnavailable, "chunk " + request.id.hex() +
                                          " was not fetched: its deadline passed while it waited "
                                          "for its turn at the origin"));
    return;
  }
  counters_.dispatched.fetch_add(1, std::memory_order_relaxed);
  below_.fetch(request, landed);
}

std::string FairQueue::describe() const {
  return "fair_queue(" + std::to_string(options_.requests_max) + ") -> " + below_.describe();
}

}  // namespace thaw
