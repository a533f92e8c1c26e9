// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/shaped_source.h"

#include "thaw/base/units.h"

namespace thaw {

void ShapedSource::fetch(const ChunkRequest& request, Completion done) {
  const ShapedLink::Time arrival = link_.with([&](ShapedLink& link) {
    return link.arrival(std::chrono::steady_clock::now(), request.pages * kPageBytes);
  });
  below_.fetch(request, [this, arrival, done = std::move(done),
                         urgent = request.priority == Priority::kFault](Result<ChunkRef> result) {
    delay_.run_at(arrival, [this, done, urgent, result] {
      // The delay line has one thread; what a completion does is for the workers.
      if (!workers_.submit([done, result] { done(result); }, urgent)) done(result);
    });
  });
}

}  // namespace thaw
