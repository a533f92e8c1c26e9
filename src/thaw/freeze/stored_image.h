// SPDX-License-Identifier: Apache-2.0
//
// StoredImage: an image of a snapshot in a store as a source of pages, for whoever moves pages to
// other chunks or compares with them. Every chunk is verified before a byte of it is used; chunks
// that are asked for again come from memory.
#pragma once

#include <memory>
#include <string>

#include "thaw/base/worker_pool.h"
#include "thaw/freeze/image_source.h"
#include "thaw/image/layout_plan.h"
#include "thaw/image/manifest.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// Immutable, so callable from many threads. Borrows the store and the manifest, which has `image`.
class StoredImage final : public ImageSource {
 public:
  /// `threads` verify; 0: one more than the cores. Errors of TierStack::create().
  static Result<std::unique_ptr<StoredImage>> open(const ObjectStore& store,
                                                   const Manifest& manifest, const Image& image,
                                                   unsigned threads);

  const std::string& describe() const override { return description_; }
  uint64_t bytes() const override { return image_.bytes; }
  std::span<const PageRun> data_runs() const override { return data_runs_; }
  /// kCorrupt or kNotFound names the chunk that is not intact.
  Result<void> read_pages(PageRun run, MutableByteSpan out) const override;
  /// Objects never change.
  Result<void> check_unchanged() const override { return {}; }

 private:
  StoredImage(const Image& image, const WorkerOptions& workers)
      : image_(image),
        description_("image " + image.name),
        data_runs_(data_pages_of(image.map)),
        workers_(workers.thread_count(), workers.queue_max) {}

  const Image& image_;
  const std::string description_;
  const PageRuns data_runs_;
  WorkerPool workers_;
  std::unique_ptr<TierStack> tiers_;
  std::unique_ptr<PageReader> reader_;
};

/// One image with some pages of another: what a diff makes of its parent. Immutable. Borrows both,
/// which have one size.
class OverlayImage final : public ImageSource {
 public:
  /// The pages of `top_pages` are those of `top`, whether or not it has data there.
  OverlayImage(const ImageSource& below, const ImageSource& top, PageRuns top_pages);

  const std::string& describe() const override { return top_.describe(); }
  uint64_t bytes() const override { return below_.bytes(); }
  std::span<const PageRun> data_runs() const override { return data_runs_; }
  Result<void> read_pages(PageRun run, MutableByteSpan out) const override;
  Result<void> check_unchanged() const override { return top_.check_unchanged(); }

 private:
  const ImageSource& below_;
  const ImageSource& top_;
  const PageRuns top_pages_;
  const PageRuns data_runs_;
};

}  // namespace thaw
