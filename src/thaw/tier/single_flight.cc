// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/single_flight.h"

namespace thaw {

void SingleFlight::fetch(const ChunkRequest& request, Completion done) {
  // One pass for this call, which may outlast the flight, and one for the flight.
  const Gate::Pass inside = gate_.enter();
  Gate::Pass pass = gate_.enter();
  if (!inside || !pass) {
    done(fail(ErrorCode::kInterrupted,
              "chunk " + request.id.hex() + " was not fetched: the tiers are closing"));
    return;
  }
  enum class Way { kFirst, kJoin, kJoinAndPromote };
  const Way way = flights_.with([&](auto& flights) {
    const auto [entry, inserted] = flights.try_emplace(request.id);
    Flight& flight = entry->second;
    flight.waiting.push_back(std::move(done));
    if (inserted) {
      flight.priority = request.priority;
      flight.pass = std::move(pass);
      return Way::kFirst;
    }
    if (request.priority == Priority::kFault && flight.priority == Priority::kPrefetch) {
      flight.priority = Priority::kFault;
      return Way::kJoinAndPromote;
    }
    return Way::kJoin;
  });
  if (way != Way::kFirst) {
    joined_.fetch_add(1, std::memory_order_relaxed);
    if (way == Way::kJoinAndPromote) below_.promote(request.id);
    return;
  }
  below_.fetch(request,
               [this, id = request.id](const Result<ChunkRef>& result) { land(id, result); });
}

bool SingleFlight::fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) {
  if (flights_.with([&](auto& flights) { return flights.contains(request.id); })) return false;
  // Shared because completions are copied.
  const auto pass = std::make_shared<Gate::Pass>(gate_.enter());
  return *pass && below_.fetch_part(request, part,
                                    [pass, done = std::move(done)](std::optional<ChunkPart> got) {
                                      done(std::move(got));
                                    });
}

void SingleFlight::land(const ChunkId& id, const Result<ChunkRef>& result) {
  // Whoever comes after the flight has left the table starts a new one, and hits the tier that this
  // one filled.
  const Flight flight = flights_.with([&](auto& flights) {
    auto node = flights.extract(id);
    return std::move(node.mapped());
  });
  for (const Completion& done : flight.waiting) done(result);
}

}  // namespace thaw
