// SPDX-License-Identifier: Apache-2.0
//
// diff_freeze: a child of which 2 % of the pages differ from its parent's, frozen from a diff file,
// over a twentieth of what freezing all of the memory takes plus reading the diff; and the bytes
// that it writes over those of the full freeze.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <random>

#include "thaw/base/check.h"
#include "thaw/bench/bench_functions.h"
#include "thaw/bench/paired.h"
#include "thaw/crypto/secret.h"
#include "thaw/freeze/diff_file.h"
#include "thaw/freeze/snapshot_child.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/dir_store.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kDirtyShare = 0.02;
constexpr double kFullShare = 0.05;
constexpr uint64_t kDirtyRunPages = 4;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

class DiffBench {
 public:
  // The memory has the shape of a real guest's, over and over.
  explicit DiffBench(const BenchScale& scale)
      : pages_((scale.smoke ? 64 : 1024) * kMiB / kPageBytes),
        store_(*DirStore::create(dir_.path())),
        catalog_(*store_) {
    const PageShape shape = load_function_traces(scale.smoke)[0].shape;
    const Fd file = *open_file(memory_path(), O_RDWR | O_CREAT, 0600);
    CHECK(::ftruncate(file.get(), static_cast<off_t>(pages_ * kPageBytes)) == 0);
    for (uint64_t base = 0; base < pages_; base += shape.page_count) {
      for (const PageRun& run : shape.runs) write_random(file, {base + run.page, run.count});
    }
    CHECK(catalog_.initialise());
    Progress progress;
    target_ =
        freeze(catalog_, keys_, "parent", *open_sources({memory_path(), "", {}}), {}, progress)
            ->target;
    parent_ = *decode_manifest(*catalog_.read_manifest(target_), keys_);
  }

  // Milliseconds, and MiB written.
  std::vector<double> child() {
    write_diff();
    Progress progress;
    const Clock::time_point begin = Clock::now();
    const auto diff = *open_diff(diff_path(), pages_ * kPageBytes);
    ChildMemory memory{.source = diff.get(), .candidates = PageRuns{}, .trusted = true};
    memory.candidates->assign(diff->data_runs().begin(), diff->data_runs().end());
    const auto child =
        freeze_child(catalog_, keys_, "child" + std::to_string(++children_),
                     {"parent", target_, parent_}, std::move(memory), {}, {}, progress);
    const double ms = ms_since(begin);
    CHECK(child && child->changed_pages == dirty_pages_);
    return {ms, mib(child->freeze.stats.bytes_written)};
  }

  // The same of a full freeze into a store of its own, cut to what a child may take.
  std::vector<double> allowance() {
    const TempDir dir("/dev/shm");
    const auto store = *DirStore::create(dir.path());
    Catalog catalog(*store);
    CHECK(catalog.initialise());
    Progress progress;
    Clock::time_point begin = Clock::now();
    const auto full =
        freeze(catalog, keys_, "full", *open_sources({memory_path(), "", {}}), {}, progress);
    const double full_ms = ms_since(begin);
    CHECK(full.has_value());
    begin = Clock::now();
    const auto diff = *open_diff(diff_path(), pages_ * kPageBytes);
    Bytes bytes(kDirtyRunPages * kPageBytes);
    for (const PageRun& run : diff->data_runs()) {
      bytes.resize(std::max<size_t>(bytes.size(), run.count * kPageBytes));
      CHECK(diff->read_pages(run, MutableByteSpan(bytes).first(run.count * kPageBytes)));
    }
    return {full_ms * kFullShare + ms_since(begin), mib(full->stats.bytes_written) * kFullShare};
  }

 private:
  std::string memory_path() const { return dir_.file("memory"); }
  std::string diff_path() const { return dir_.file("diff"); }
  static double mib(uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(kMiB);
  }

  void write_random(const Fd& file, PageRun run) {
    Bytes bytes(run.count * kPageBytes);
    fill_random(bytes);
    CHECK(write_all_at(file.get(), run.page * kPageBytes, bytes, "image"));
  }

  // Other pages and other bytes each time, so that nothing of it is in the store.
  void write_diff() {
    ::unlink(diff_path().c_str());
    const Fd file = *open_file(diff_path(), O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(::ftruncate(file.get(), static_cast<off_t>(pages_ * kPageBytes)) == 0);
    const auto wanted = static_cast<uint64_t>(static_cast<double>(pages_) * kDirtyShare);
    // Runs of so many pages at places of their own.
    const uint64_t places = pages_ / kDirtyRunPages;
    const uint64_t runs = wanted / kDirtyRunPages;
    dirty_pages_ = 0;
    for (uint64_t i = 0; i < runs; ++i) {
      const uint64_t begin = places * i / runs, end = places * (i + 1) / runs;
      const uint64_t place = begin + random_() % (end - begin);
      write_random(file, {place * kDirtyRunPages, kDirtyRunPages});
      dirty_pages_ += kDirtyRunPages;
    }
  }

  const FixedKeys keys_;
  const TempDir dir_{"/dev/shm"};
  const uint64_t pages_;
  std::unique_ptr<DirStore> store_;
  Catalog catalog_;
  NameTarget target_;
  Manifest parent_;
  std::mt19937_64 random_{1};
  uint64_t children_ = 0;
  uint64_t dirty_pages_ = 0;
};

}  // namespace

std::vector<Comparison> bench_diff(const BenchScale& scale) {
  DiffBench bench(scale);
  return compare_all(
      {{.name = "diff_freeze",
        .what = "2 % of 1 GiB from a diff over a twentieth of a full freeze and reading the diff",
        .unit = "ms",
        .target = 1},
       {.name = "diff_freeze_bytes",
        .what = "what it writes over a twentieth of what the full freeze writes",
        .unit = "MiB",
        .target = 1}},
      scale.rounds(), [&] { return bench.child(); }, [&] { return bench.allowance(); });
}

}  // namespace thaw
