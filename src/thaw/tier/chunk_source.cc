// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/chunk_source.h"

#include <future>

namespace thaw {

Result<ChunkRef> fetch_and_wait(ChunkSource& source, const ChunkRequest& request) {
  std::promise<Result<ChunkRef>> promise;
  source.fetch(request, [&](Result<ChunkRef> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

}  // namespace thaw
