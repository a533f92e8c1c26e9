// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/single_flight.h"

namespace thaw {

void SingleFlight::fetch(const ChunkRequest& request, Completion done) {
  const bool first = flights_.with([&](auto& flights) {
    const auto [flight, inserted] = flights.try_emplace(request.id);
    flight->second.push_back(std::move(done));
    return inserted;
  });
  if (!first) {
    joined_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  below_.fetch(request,
               [this, id = request.id](const Result<ChunkRef>& result) { land(id, result); });
}

void SingleFlight::land(const ChunkId& id, const Result<ChunkRef>& result) {
  // Whoever comes after the flight has left the table starts a new one, and hits the tier that this
  // one filled.
  std::vector<Completion> waiting = flights_.with([&](auto& flights) {
    auto node = flights.extract(id);
    return std::move(node.mapped());
  });
  for (Completion& done : waiting) done(result);
}

}  // namespace thaw
