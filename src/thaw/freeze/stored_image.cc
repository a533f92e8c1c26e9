// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/stored_image.h"

#include <algorithm>

namespace thaw {

Result<std::unique_ptr<StoredImage>> StoredImage::open(const ObjectStore& store,
                                                       const Manifest& manifest, const Image& image,
                                                       unsigned threads) {
  WorkerOptions workers;
  workers.threads = threads;
  std::unique_ptr<StoredImage> stored(new StoredImage(image, workers));
  TierOptions tiers;
  tiers.memory.slot_bytes = manifest.clear.chunk_bytes;
  ASSIGN_OR_RETURN(stored->tiers_, TierStack::create(store, stored->workers_, tiers));
  stored->reader_ = std::make_unique<PageReader>(manifest, image, stored->tiers_->top());
  return stored;
}

Result<void> StoredImage::read_pages(PageRun run, MutableByteSpan out) const {
  const uint64_t offset = run.page * kPageBytes;
  const size_t bytes = static_cast<size_t>(std::min<uint64_t>(out.size(), image_.bytes - offset));
  TRY(reader_->read(offset, out.first(bytes)));
  std::fill(out.begin() + static_cast<ptrdiff_t>(bytes), out.end(), std::byte{0});
  return {};
}

OverlayImage::OverlayImage(const ImageSource& below, const ImageSource& top, PageRuns top_pages)
    : below_(below),
      top_(top),
      top_pages_(std::move(top_pages)),
      data_runs_(
          unite(subtract(below.data_runs(), top_pages_), intersect(top.data_runs(), top_pages_))) {}

Result<void> OverlayImage::read_pages(PageRun run, MutableByteSpan out) const {
  const PageRun asked[] = {run};
  // Of the many runs only those that may meet the few pages asked for.
  const auto first = std::ranges::lower_bound(top_pages_, run.page + 1, {}, &PageRun::end);
  const auto last = std::ranges::lower_bound(top_pages_, run.end(), {}, &PageRun::page);
  const std::span<const PageRun> near(first, std::max(first, last));
  const auto part_of = [&](const PageRun& part) {
    return out.subspan(static_cast<size_t>(part.page - run.page) * kPageBytes,
                       static_cast<size_t>(part.count) * kPageBytes);
  };
  for (const PageRun& part : intersect(asked, near)) {
    TRY(top_.read_pages(part, part_of(part)));
  }
  for (const PageRun& part : subtract(asked, near)) {
    TRY(below_.read_pages(part, part_of(part)));
  }
  return {};
}

}  // namespace thaw
