// SPDX-License-Identifier: Apache-2.0
//
// What a recording mount hears of: every page of a memory image that is read, when it is first
// asked for, and no page that was not.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "thaw/mount/mounted_store_test.h"

namespace thaw {
namespace {

constexpr uint64_t kPages = 2000;

struct Heard {
  ManifestId manifest;
  PageRun pages;
};

class RecordingMountTest : public testing::Test {
 protected:
  void mount() {
    MountOptions options = MountedStore::quick();
    options.readahead_kb = 128;  // must not matter
    options.on_memory_read = [this](const ManifestId& manifest, PageRun pages) {
      heard_.with([&](std::vector<Heard>& heard) { heard.push_back({manifest, pages}); });
    };
    mounted_.emplace(options);
    fixture_ = make_snapshot(mounted_->store, {.name = "web", .memory_pages = kPages});
  }
  std::vector<uint64_t> pages() const {
    return heard_.with([&](const std::vector<Heard>& heard) {
      std::vector<uint64_t> pages;
      for (const Heard& one : heard) {
        EXPECT_EQ(one.manifest, fixture_.target.manifest);
        for (uint64_t page = one.pages.page; page < one.pages.end(); ++page) pages.push_back(page);
      }
      return pages;
    });
  }

  Guarded<std::vector<Heard>> heard_;  // outlives the mount that tells it
  std::optional<MountedStore> mounted_;
  SnapshotFixture fixture_;
};

TEST_F(RecordingMountTest, HearsOfEachPageOfAMappingOnceAndInOrder) {
  SKIP_WITHOUT_FUSE();
  mount();
  const Bytes& oracle = fixture_.oracle(ImageKind::kMemory);
  std::vector<uint64_t> order(kPages);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(3));
  order.resize(700);
  const TestFile file(mounted_->file("web/memory"), O_RDWR);
  const TestMapping mapping(file, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  ASSERT_EQ(mapping.bytes().size(), oracle.size());
  for (const uint64_t page : order) {
    const MutableByteSpan bytes = mapping.bytes().subspan(page * kPageBytes, kPageBytes);
    if (page % 3 == 0) bytes[17] = oracle[page * kPageBytes + 17];  // a store asks for it, too
    ASSERT_TRUE(same(bytes, ByteSpan(oracle).subspan(page * kPageBytes, kPageBytes))) << page;
  }
  EXPECT_EQ(pages(), order);
}

TEST_F(RecordingMountTest, AReadOfSeveralPagesTouchesEachInOrder) {
  SKIP_WITHOUT_FUSE();
  mount();
  const Bytes& oracle = fixture_.oracle(ImageKind::kMemory);
  const TestFile file(mounted_->file("web/memory"));
  const Bytes read = file.read(10 * kPageBytes + 100, 3 * kPageBytes);
  EXPECT_TRUE(same(read, ByteSpan(oracle).subspan(10 * kPageBytes + 100, 3 * kPageBytes)));
  EXPECT_EQ(pages(), (std::vector<uint64_t>{10, 11, 12, 13}));
}

TEST_F(RecordingMountTest, OtherImagesAreNotHeardOf) {
  SKIP_WITHOUT_FUSE();
  mount();
  EXPECT_TRUE(same(TestFile(mounted_->file("web/vmstate")).read_all(),
                   fixture_.oracle(ImageKind::kVmstate)));
  EXPECT_TRUE(pages().empty());
}

}  // namespace
}  // namespace thaw
