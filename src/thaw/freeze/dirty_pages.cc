// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/dirty_pages.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/chunk/zero_page.h"
#include "thaw/freeze/first_error.h"
#include "thaw/freeze/thread_count.h"
#include "thaw/image/hot_layout.h"

namespace thaw {
namespace {

// What a thread takes at once, and what it reads at once: the latter stays in the L2 cache.
constexpr uint64_t kBlockPages = 4096;
constexpr uint64_t kReadPages = 32;
constexpr uint64_t kBuffersBytesMax = 64 * kMiB;

class DigestComparer final : public PageComparer {
 public:
  DigestComparer(const PageDigests& digests, const DataPageIndex& index, const SecretBytes& key)
      : digests_(digests), index_(index), digester_(key) {}
  Result<void> compare(PageRun run, ByteSpan now, std::span<bool> differs) override {
    for (uint64_t i = 0; i < run.count; ++i) {
      const PageDigest digest = digester_.of(now.subspan(i * kPageBytes, kPageBytes));
      differs[i] = digest != digests_.pages[index_.of(run.page + i)];
    }
    return {};
  }

 private:
  const PageDigests& digests_;
  const DataPageIndex& index_;
  PageDigester digester_;
};

class PlainComparer final : public PageComparer {
 public:
  explicit PlainComparer(const ImageSource& older)
      : older_(older), buffer_(kReadPages * kPageBytes) {}
  Result<void> compare(PageRun run, ByteSpan now, std::span<bool> differs) override {
    const MutableByteSpan before(buffer_.data(), now.size());
    TRY(older_.read_pages(run, before));
    for (uint64_t i = 0; i < run.count; ++i) {
      differs[i] =
          std::memcmp(now.data() + i * kPageBytes, before.data() + i * kPageBytes, kPageBytes) != 0;
    }
    return {};
  }

 private:
  const ImageSource& older_;
  SecretBytes buffer_;
};

class Search {
 public:
  Search(const ImageSource& now, std::span<const PageRun> candidates, const PageMap& older,
         const MakeComparer& make_comparer, Progress& progress)
      : now_(now),
        older_(older),
        older_data_(data_pages_of(older)),
        data_(intersect(candidates, now.data_runs())),
        holes_(subtract(candidates, now.data_runs())),
        make_comparer_(make_comparer),
        progress_(progress),
        blocks_(cut_windows(data_, kBlockPages)),
        found_(blocks_.size()) {}

  Result<DirtyPages> run(unsigned wanted) {
    const unsigned count = bounded_threads(wanted, 2 * kReadPages * kPageBytes, kBuffersBytesMax);
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < count; ++i) threads.emplace_back([this] { search(); });
    search();
    for (std::thread& thread : threads) thread.join();
    TRY(error_.result());
    progress_.advance(count_pages(holes_) * kPageBytes);
    DirtyPages dirty;
    dirty.cleared = intersect(holes_, older_data_);
    PageRuns cleared;
    for (const DirtyPages& block : found_) {
      for (const PageRun& run : block.changed) append_run(dirty.changed, run);
      for (const PageRun& run : block.cleared) append_run(cleared, run);
    }
    dirty.cleared = unite(dirty.cleared, cleared);
    return dirty;
  }

 private:
  /// The body of one thread.
  void search() {
    const std::unique_ptr<PageComparer> comparer = make_comparer_ ? make_comparer_() : nullptr;
    SecretBytes buffer(kReadPages * kPageBytes);
    while (!error_.failed()) {
      const size_t block = next_.fetch_add(1, std::memory_order_relaxed);
      if (block >= blocks_.size()) return;
      const Result<void> done = search_block(block, comparer.get(), buffer);
      if (!done) return error_.set(done.error());
    }
  }

  Result<void> search_block(size_t block, PageComparer* comparer, SecretBytes& buffer) {
    for (PageRun run : blocks_[block]) {
      while (run.count > 0) {
        if (progress_.cancelled()) return fail(ErrorCode::kInterrupted, "stopped on request");
        const PageRun part{run.page, std::min(run.count, kReadPages)};
        const MutableByteSpan bytes(buffer.data(), static_cast<size_t>(part.count) * kPageBytes);
        TRY(now_.read_pages(part, bytes));
        TRY(judge(part, bytes, comparer, found_[block]));
        progress_.advance(bytes.size());
        run = {part.end(), run.count - part.count};
      }
    }
    return {};
  }

  Result<void> judge(PageRun part, ByteSpan bytes, PageComparer* comparer, DirtyPages& found) {
    const auto page_bytes = [&](uint64_t page, uint64_t count) {
      return bytes.subspan(static_cast<size_t>(page - part.page) * kPageBytes,
                           static_cast<size_t>(count) * kPageBytes);
    };
    // By page of the part: whether it has new content that is not zero.
    std::array<bool, kReadPages> changed{};
    PageRuns to_compare;
    for (uint64_t page = part.page; page < part.end(); ++page) {
      const bool had_data = !older_.locate(page).zero;
      if (is_zero(page_bytes(page, 1))) {
        if (had_data) append_run(found.cleared, {page, 1});
      } else if (had_data && comparer != nullptr) {
        append_run(to_compare, {page, 1});
      } else {
        changed[page - part.page] = true;
      }
    }
    for (const PageRun& run : to_compare) {
      TRY(comparer->compare(run, page_bytes(run.page, run.count),
                            std::span(changed).subspan(run.page - part.page, run.count)));
    }
    for (uint64_t i = 0; i < part.count; ++i) {
      if (changed[i]) append_run(found.changed, {part.page + i, 1});
    }
    return {};
  }

  const ImageSource& now_;
  const PageMap& older_;
  const PageRuns older_data_;
  const PageRuns data_;   // candidates that may be other than zero
  const PageRuns holes_;  // candidates that are zero
  const MakeComparer& make_comparer_;
  Progress& progress_;
  FirstError error_;
  const std::vector<PageRuns> blocks_;
  std::vector<DirtyPages> found_;  // by block; each written by one thread
  std::atomic<size_t> next_{0};
};

}  // namespace

MakeComparer compare_digests(const PageDigests& digests, const PageMap& older,
                             const SecretBytes& key) {
  CHECK(digests.pages.size() == older.data_pages());
  const auto index = std::make_shared<const DataPageIndex>(older);  // outlives each comparer
  return [&digests, &key, index] { return std::make_unique<DigestComparer>(digests, *index, key); };
}

MakeComparer compare_pages(const ImageSource& older) {
  return [&older] { return std::make_unique<PlainComparer>(older); };
}

Result<DirtyPages> find_dirty_pages(const ImageSource& now, std::span<const PageRun> candidates,
                                    const PageMap& older, const MakeComparer& make_comparer,
                                    unsigned threads, Progress& progress) {
  CHECK(pages_for(now.bytes()) == older.page_count());
  return Search(now, candidates, older, make_comparer, progress).run(threads);
}

}  // namespace thaw
