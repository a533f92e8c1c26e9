// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <barrier>
#include <fstream>
#include <thread>

#include "thaw/freeze/image_file.h"
#include "thaw/freeze/seal_pipeline.h"
#include "thaw/freeze/snapshot_verify.h"
#include "thaw/testing/faulty_store.h"
#include "thaw/testing/forwarding_store.h"
#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr uint32_t kWindow = 16 * 1024;  // 4 pages

FreezeOptions small_chunks(unsigned threads = 0) {
  FreezeOptions options;
  options.chunk_bytes = kWindow;
  options.threads = threads;
  return options;
}

/// A file whose medium fails from some page on.
class FailingSource final : public ImageSource {
 public:
  FailingSource(const std::string& path, uint64_t bad_page)
      : file_(std::move(*ImageFile::open(path, ImageKind::kMemory))), bad_page_(bad_page) {}
  const std::string& describe() const override { return file_->describe(); }
  uint64_t bytes() const override { return file_->bytes(); }
  std::span<const PageRun> data_runs() const override { return file_->data_runs(); }
  Result<void> read_pages(PageRun run, MutableByteSpan out) const override {
    if (run.end() > bad_page_) {
      return fail_errno(
          "cannot read " + describe() + " at byte " + std::to_string(bad_page_ * kPageBytes), EIO);
    }
    return file_->read_pages(run, out);
  }
  Result<void> check_unchanged() const override { return file_->check_unchanged(); }

 private:
  std::unique_ptr<ImageFile> file_;
  uint64_t bad_page_;
};

class FreezeTest : public testing::Test {
 protected:
  std::string image(const std::string& name, const std::vector<PageTag>& tags,
                    size_t last_page_bytes = kPageBytes) {
    const std::string path = directory_.file(name);
    write_image(path, tags, last_page_bytes);
    return path;
  }

  const TempDir directory_{"/dev/shm"};
  MemoryStore store_;
  FreezeFixture fixture_{store_};
};

TEST_F(FreezeTest, CutsTheLinearLayout) {
  const SourcePaths paths{image("memory", {2, 3, 0, 4, 0, 0, 1, 0, 5, 1, 6, 7}),
                          image("vmstate", {8, 9}, 100),
                          {{"root", image("root", {2, 3, 0, 4, 10})}}};
  const auto result = fixture_.freeze_paths("snap", paths, small_chunks());
  ASSERT_TRUE(result) << result.error().message;
  const FreezeStats& stats = result->stats;
  EXPECT_EQ(stats.bytes_total, 12 * kPageBytes + kPageBytes + 100 + 5 * kPageBytes);
  EXPECT_EQ(stats.data_bytes, 12 * kPageBytes);
  EXPECT_EQ(stats.zero_bytes, 2 * kPageBytes);
  EXPECT_EQ(stats.hole_bytes, 5 * kPageBytes);
  EXPECT_EQ(stats.chunks_total, 4u);
  EXPECT_EQ(stats.chunks_created, 4u);
  EXPECT_EQ(stats.chunks_existed, 0u);
  EXPECT_EQ(stats.chunks_duplicate, 1u);  // the disk's first window is the memory's
  EXPECT_EQ(stats.bytes_written, 9 * kPageBytes);
  EXPECT_GT(stats.manifest_bytes, 0u);
  EXPECT_EQ(fixture_.objects("chunks").size(), 4u);

  const Manifest manifest = fixture_.load("snap");
  EXPECT_EQ(manifest.clear.layout, Layout::kLinear);
  EXPECT_EQ(manifest.clear.chunk_bytes, kWindow);
  ASSERT_EQ(manifest.images.size(), 3u);
  const auto extents = [&](ImageKind kind, const char* name) {
    const std::span<const Extent> all = manifest.find(kind, name)->map.extents();
    return std::vector<Extent>(all.begin(), all.end());
  };
  EXPECT_THAT(
      extents(ImageKind::kMemory, ""),
      ElementsAre(Extent{0, 0, 0, 2}, Extent{3, 0, 2, 1}, Extent{8, 1, 0, 1}, Extent{10, 1, 1, 2}));
  EXPECT_THAT(extents(ImageKind::kVmstate, ""), ElementsAre(Extent{0, 2, 0, 2}));
  EXPECT_THAT(extents(ImageKind::kDisk, "root"),
              ElementsAre(Extent{0, 0, 0, 2}, Extent{3, 0, 2, 1}, Extent{4, 3, 0, 1}));
}

TEST_F(FreezeTest, WritesItsAnnotationsAndTheUsers) {
  FreezeOptions options;
  options.annotations = {{"guest", "debian"}};
  ASSERT_TRUE(fixture_.freeze_paths("snap", {image("memory", {2}), "", {}}, options));
  const auto annotations = fixture_.load("snap").annotations;
  ASSERT_EQ(annotations.size(), 3u);
  EXPECT_EQ(annotations[0].first, "created");
  EXPECT_THAT(annotations[0].second, testing::MatchesRegex("20[0-9-]+T[0-9:]+Z"));
  EXPECT_EQ(annotations[1], (std::pair<std::string, std::string>("tool", "thaw 0.1.0")));
  EXPECT_EQ(annotations[2], options.annotations[0]);
}

TEST_F(FreezeTest, TheTablesDoNotDependOnThreads) {
  std::vector<PageTag> tags;
  for (size_t i = 0; i < 1000; ++i) tags.push_back(static_cast<PageTag>((i * i / 7) % 9));
  const std::string path = image("memory", tags);
  std::vector<ChunkEntry> first;
  for (const unsigned threads : {1u, 2u, 3u, 8u}) {
    const std::string name = "snap" + std::to_string(threads);
    ASSERT_TRUE(fixture_.freeze_paths(name, {path, "", {}}, small_chunks(threads)));
    const Manifest manifest = fixture_.load(name);
    if (first.empty()) first = manifest.clear.chunks;
    ASSERT_EQ(manifest.clear.chunks.size(), first.size());
    for (size_t i = 0; i < first.size(); ++i) ASSERT_EQ(manifest.clear.chunks[i].id, first[i].id);
  }
}

TEST_F(FreezeTest, FreezingAgainUploadsNothing) {
  const SourcePaths paths{image("memory", busy_pages(40)), "", {}};
  ASSERT_TRUE(fixture_.freeze_paths("one", paths, small_chunks()));
  const auto again = fixture_.freeze_paths("two", paths, small_chunks());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->stats.chunks_created, 0u);
  EXPECT_EQ(again->stats.chunks_existed, 10u);
  EXPECT_EQ(again->stats.bytes_written, 0u);
}

TEST_F(FreezeTest, ATakenNameIsRefusedBeforeAnyWork) {
  ASSERT_TRUE(fixture_.freeze_paths("snap", {image("memory", busy_pages(4)), "", {}}));
  const auto before = fixture_.objects();
  FreezeOptions options;
  options.on_step = [](std::string_view step) { ADD_FAILURE() << "reached " << step; };
  const auto refused =
      fixture_.freeze_paths("snap", {image("other", busy_pages(4, 9)), "", {}}, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExists);
  EXPECT_THAT(refused.error().message, HasSubstr("snap"));
  EXPECT_EQ(fixture_.objects(), before);
}

TEST_F(FreezeTest, ReplaceSwapsTheName) {
  ASSERT_TRUE(fixture_.freeze_paths("snap", {image("memory", busy_pages(4)), "", {}}));
  FreezeOptions options;
  options.replace = true;
  const auto replaced =
      fixture_.freeze_paths("snap", {image("other", busy_pages(8)), "", {}}, options);
  ASSERT_TRUE(replaced);
  EXPECT_EQ(*fixture_.catalog.resolve("test", "snap"), replaced->target);
  EXPECT_EQ(fixture_.load("snap").images[0].bytes, 8 * kPageBytes);
}

TEST_F(FreezeTest, RefusesWhatNoManifestTakes) {
  const std::string path = image("memory", busy_pages(1));
  const auto code = [&](const SourcePaths& paths, const FreezeOptions& options,
                        const char* name = "snap") {
    const auto result = fixture_.freeze_paths(name, paths, options);
    return result ? std::optional<ErrorCode>() : result.error().code;
  };
  FreezeOptions odd;
  odd.chunk_bytes = 100'000;
  EXPECT_EQ(code({path, "", {}}, odd), ErrorCode::kInvalid);
  FreezeOptions reserved;
  reserved.annotations = {{"created", "yesterday"}};
  EXPECT_EQ(code({path, "", {}}, reserved), ErrorCode::kInvalid);
  FreezeOptions twice;
  twice.annotations = {{"a", "1"}, {"a", "2"}};
  EXPECT_EQ(code({path, "", {}}, twice), ErrorCode::kInvalid);
  FreezeOptions binary;
  binary.annotations = {{"a", "\xff"}};
  EXPECT_EQ(code({path, "", {}}, binary), ErrorCode::kInvalid);
  EXPECT_EQ(code({}, {}), ErrorCode::kInvalid);
  EXPECT_EQ(code({path, "", {{"-x", path}}}, {}), ErrorCode::kInvalid);
  EXPECT_EQ(code({path, "", {{"x", path}, {"x", path}}}, {}), ErrorCode::kInvalid);
  EXPECT_EQ(code({path, "", {}}, {}, "../snap"), ErrorCode::kInvalid);
  EXPECT_EQ(code({path, directory_.file("missing"), {}}, {}), ErrorCode::kNotFound);
  EXPECT_TRUE(fixture_.objects("chunks").empty());
}

TEST_F(FreezeTest, AnEmptyStoreSaysWhatToDo) {
  MemoryStore bare;
  Catalog catalog(bare);
  const FixedKeys keys;
  const auto images = open_sources({image("memory", {2}), "", {}});
  Progress progress;
  const auto result = freeze(catalog, keys, "snap", *images, {}, progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
}

TEST_F(FreezeTest, AFailingMediumIsNamedAndBindsNothing) {
  std::vector<SourceImage> images;
  images.push_back({ImageKind::kMemory, "",
                    std::make_unique<FailingSource>(image("memory", busy_pages(400)), 201)});
  Progress progress;
  const auto result =
      freeze(fixture_.catalog, fixture_.keys, "snap", images, small_chunks(), progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, HasSubstr(directory_.file("memory") + " at byte 823296"));
  EXPECT_FALSE(fixture_.has("snap"));
  EXPECT_TRUE(fixture_.objects("manifests").empty());
}

TEST_F(FreezeTest, AFileThatShrinksOrIsWrittenMakesNoSnapshot) {
  for (const char* when : {"opened", "group_put"}) {
    for (const off_t size : {off_t{4096}, off_t{kPageBytes * 3000}}) {
      const std::string path = image("memory", busy_pages(3000));
      FreezeOptions options = small_chunks(1);
      bool done = false;
      options.on_step = [&](std::string_view step) {
        if (step != when || done) return;
        done = true;
        // A size that stays the same still moves the time of modification.
        const timespec times[2] = {{0, UTIME_OMIT}, {1, 0}};
        ASSERT_EQ(::truncate(path.c_str(), size), 0);
        ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
      };
      const auto result = fixture_.freeze_paths("snap", {path, "", {}}, options);
      ASSERT_FALSE(result) << when << " " << size;
      EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
      EXPECT_THAT(result.error().message, HasSubstr("changed while it was read"));
      EXPECT_FALSE(fixture_.has("snap"));
    }
  }
}

TEST_F(FreezeTest, CancellingStopsAtEveryStep) {
  const std::string path = image("memory", busy_pages(3000));
  for (const std::string_view when : {"opened", "group_put", "chunks_done", "manifest_put"}) {
    const auto images = open_sources({path, "", {}});
    Progress progress;
    FreezeOptions options = small_chunks();
    options.on_step = [&](std::string_view step) {
      if (step == when) progress.cancel = true;
    };
    const auto result = freeze(fixture_.catalog, fixture_.keys, "snap", *images, options, progress);
    ASSERT_FALSE(result) << when;
    EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
    EXPECT_FALSE(fixture_.has("snap"));
  }
}

TEST_F(FreezeTest, ProgressReachesItsTotal) {
  const auto images =
      open_sources({image("memory", {0, 2, 1, 0, 3}), image("vmstate", {4, 5}, 7), {}});
  Progress progress;
  ASSERT_TRUE(freeze(fixture_.catalog, fixture_.keys, "snap", *images, {}, progress));
  EXPECT_EQ(progress.bytes_total, 7 * kPageBytes);
  EXPECT_EQ(progress.bytes_done, 7 * kPageBytes);
}

TEST_F(FreezeTest, StepsComeInOrder) {
  FreezeOptions options = small_chunks();
  std::vector<std::string> steps;
  options.on_step = [&](std::string_view step) { steps.emplace_back(step); };
  // 100 chunks of 16 KiB: less than a group.
  ASSERT_TRUE(fixture_.freeze_paths("snap", {image("memory", busy_pages(400)), "", {}}, options));
  EXPECT_THAT(steps,
              ElementsAre("opened", "group_put", "chunks_done", "manifest_put", "name_bound"));
}

TEST_F(FreezeTest, AStoreThatFailsAtAnyCallLeavesTheNameFreeAndCanBeRepeated) {
  const SourcePaths paths{image("memory", busy_pages(3000)), "", {}};
  for (const bool replace : {false, true}) {
    uint64_t failures = 0;
    for (;; ++failures) {
      MemoryStore inner;
      FaultyStore faulty(inner);
      FreezeFixture fixture(faulty);
      faulty.set_plan(
          {.error = ErrorCode::kUnavailable, .fail_nth = failures, .fail_from_then_on = true});
      FreezeOptions options = small_chunks();
      options.replace = replace;
      const auto result = fixture.freeze_paths("snap", paths, options);
      faulty.set_plan({});
      if (result) break;
      EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
      EXPECT_FALSE(fixture.has("snap"));
      const size_t uploaded = fixture.objects("chunks").size();
      const auto again = fixture.freeze_paths("snap", paths, small_chunks());
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(again->stats.chunks_existed, uploaded);
      EXPECT_EQ(again->stats.chunks_created, 251 - uploaded);
    }
    EXPECT_GE(failures, 4u);  // the root, the group of chunks, the manifest, the name
  }
}

TEST_F(FreezeTest, APutThatFailsInTheMiddleIsRepeatedWithoutLoss) {
  const SourcePaths paths{image("memory", busy_pages(400)), "", {}};
  FaultyStore faulty(store_);
  FreezeFixture fixture(faulty);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const std::string name = "snap" + std::to_string(seed);
    faulty.set_plan({.seed = seed, .partial_put_rate = 0.4});
    SCOPED_TRACE(faulty.describe());
    for (int attempt = 0; attempt < 100; ++attempt) {
      if (fixture.freeze_paths(name, paths, small_chunks())) break;
    }
    faulty.set_plan({});
    Progress progress;
    const auto verdict = verify_snapshot(fixture.catalog, fixture.keys, name, {}, progress);
    ASSERT_TRUE(verdict);
    EXPECT_TRUE(verdict->good());
    for (const std::string& key : fixture.objects("chunks")) ASSERT_TRUE(store_.remove(key));
  }
}

TEST_F(FreezeTest, OfTwoAtOnceOneGetsTheName) {
  const std::string path = image("memory", busy_pages(64));
  for (const bool replace : {false, true}) {
    for (int round = 0; round < 20; ++round) {
      const std::string name = (replace ? "shared" : "snap") + std::to_string(round);
      std::barrier start(2);
      std::optional<Result<FreezeResult>> results[2];
      std::vector<std::thread> threads;
      for (auto& result : results) {
        threads.emplace_back([&] {
          FreezeOptions options = small_chunks(1);
          options.replace = replace;
          options.on_step = [&](std::string_view step) {
            if (step == "manifest_put") start.arrive_and_wait();
          };
          result = fixture_.freeze_paths(name, {path, "", {}}, options);
        });
      }
      for (std::thread& thread : threads) thread.join();
      const bool first = results[0]->has_value();
      const bool second = results[1]->has_value();
      if (replace) {
        EXPECT_TRUE(first && second);
      } else {
        ASSERT_NE(first, second);
        EXPECT_EQ((first ? results[1] : results[0])->error().code, ErrorCode::kExists);
      }
      Progress progress;
      const auto verdict = verify_snapshot(fixture_.catalog, fixture_.keys, name, {}, progress);
      ASSERT_TRUE(verdict);
      EXPECT_TRUE(verdict->good());
    }
  }
}

TEST_F(FreezeTest, LeaksNoDescriptor) {
  const std::string path = image("memory", busy_pages(64));
  const size_t before = open_descriptors();
  ASSERT_TRUE(fixture_.freeze_paths("snap", {path, path, {{"d", path}}}));
  ASSERT_FALSE(fixture_.freeze_paths("snap", {path, "", {}}));
  ASSERT_FALSE(fixture_.freeze_paths("other", {path, directory_.file("missing"), {}}));
  EXPECT_EQ(open_descriptors(), before);
}

/// Takes chunks and forgets them.
class ForgetfulStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override {
    if (requests[0].key.find("/chunks/") == std::string::npos)
      return inner_.put_if_absent(requests);
    return std::vector(requests.size(), PutOutcome::kCreated);
  }
};

uint64_t peak_resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6));
  }
  return 0;
}

TEST_F(FreezeTest, MemoryStaysUnderItsBound) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory is counted with ours";
  // 384 MiB of pages that all differ, in the largest and the smallest chunks.
  const std::string path = directory_.file("memory");
  {
    const Fd fd = *open_file(path, O_WRONLY | O_CREAT, 0600);
    Bytes block = page_of(2);
    for (uint64_t page = 0; page < 98304; ++page) {
      std::memcpy(block.data(), &page, sizeof page);
      ASSERT_TRUE(write_all(fd.get(), block, path));
    }
  }
  for (const uint32_t chunk_bytes : {kChunkBytesMin, kChunkBytesMax}) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      MemoryStore inner;
      ForgetfulStore store(inner);
      FreezeFixture fixture(store);
      FreezeOptions options;
      options.chunk_bytes = chunk_bytes;
      options.threads = 16;
      const auto result = fixture.freeze_paths("snap", {path, "", {}}, options);
      if (!result || result->stats.data_bytes != 384 * kMiB) ::_exit(2);
      ::_exit(peak_resident_kib() * kKiB < 256 * kMiB ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << "chunks of " << chunk_bytes;
  }
}

}  // namespace
}  // namespace thaw
