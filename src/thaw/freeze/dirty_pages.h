// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a memory differ from an older one: by what a diff file says, by digests of the
// older pages, or by comparing with the older pages themselves. Zero pages are told apart from the
// map alone.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/crypto/page_digest.h"
#include "thaw/freeze/image_source.h"
#include "thaw/image/page_digests.h"
#include "thaw/image/page_runs.h"

namespace thaw {

struct DirtyPages {
  PageRuns changed;  // not zero now
  PageRuns cleared;  // zero now, and not zero before
};

/// Tells pages from their older content. One thread at a time.
class PageComparer {
 public:
  virtual ~PageComparer() = default;
  /// Sets differs[i] if page run.page + i, which was not zero and is now(i), has changed. `now` has
  /// run.count pages.
  virtual Result<void> compare(PageRun run, ByteSpan now, std::span<bool> differs) = 0;
};
/// Called once by each thread.
using MakeComparer = std::function<std::unique_ptr<PageComparer>()>;

/// By digests of the older pages: nothing of them is read. Borrows the digests and the key.
MakeComparer compare_digests(const PageDigests& digests, const PageMap& older,
                             const SecretBytes& key);
/// With the older pages themselves. Borrows the source.
MakeComparer compare_pages(const ImageSource& older);

/// Looks at the pages `candidates` of `now`; all others are as in `older`. Without a comparer every
/// candidate that is not zero has changed. Errors of the sources; kInterrupted. Advances `progress`
/// by the candidates' bytes.
Result<DirtyPages> find_dirty_pages(const ImageSource& now, std::span<const PageRun> candidates,
                                    const PageMap& older, const MakeComparer& make_comparer,
                                    unsigned threads, Progress& progress);

}  // namespace thaw
