// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/linear_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/freeze/image_file.h"
#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

using testing::ElementsAre;

/// A source of zeros that has data where it is told to.
class RunsOnly final : public ImageSource {
 public:
  RunsOnly(uint64_t pages, std::vector<PageRun> runs) : pages_(pages), runs_(std::move(runs)) {}
  const std::string& describe() const override { return name_; }
  uint64_t bytes() const override { return pages_ * kPageBytes; }
  std::span<const PageRun> data_runs() const override { return runs_; }
  Result<void> read_pages(PageRun, MutableByteSpan out) const override {
    std::fill(out.begin(), out.end(), std::byte{0});
    return {};
  }
  Result<void> check_unchanged() const override { return {}; }

 private:
  std::string name_ = "runs";
  uint64_t pages_;
  std::vector<PageRun> runs_;
};

std::vector<std::pair<size_t, PageRun>> windows_of(WindowCursor& cursor) {
  std::vector<std::pair<size_t, PageRun>> all;
  while (const std::optional<Window> window = cursor.next()) {
    all.emplace_back(window->image, window->pages);
  }
  return all;
}

TEST(WindowCursor, DealsOutEachWindowWithDataOnceInOrder) {
  const RunsOnly first(30, {{1, 1}, {3, 6}, {20, 1}});
  const RunsOnly hole(1000, {});
  const RunsOnly last(5, {{4, 1}});
  WindowCursor cursor({{&first}, {&hole}, {&last}}, 4);
  EXPECT_THAT(windows_of(cursor),
              ElementsAre(std::pair(0u, PageRun{0, 4}), std::pair(0u, PageRun{4, 4}),
                          std::pair(0u, PageRun{8, 4}), std::pair(0u, PageRun{20, 4}),
                          std::pair(2u, PageRun{4, 1})));
  EXPECT_FALSE(cursor.next());
}

TEST(WindowCursor, AHoleOfTheLargestImageCostsNothing) {
  const uint64_t pages = uint64_t{1} << 32;
  const RunsOnly source(pages, {{pages - 1, 1}});
  WindowCursor cursor({{&source}}, 4);
  EXPECT_THAT(windows_of(cursor), ElementsAre(std::pair(0u, PageRun{pages - 4, 4})));
}

TEST(WindowReader, KeepsThePagesThatAreNotZero) {
  const TempDir directory("/dev/shm");
  const std::string path = directory.file("image");
  //                 0  1  2  3  4  5  6  7 | 8  9
  write_image(path, {0, 5, 6, 1, 7, 0, 1, 8, 9, 1});
  const auto file = ImageFile::open(path, ImageKind::kMemory);
  ASSERT_TRUE(file);
  WindowCursor cursor({{file->get()}}, 8);
  WindowReader reader(8);
  std::optional<Window> window = cursor.next();
  ASSERT_TRUE(window);
  ASSERT_TRUE(reader.read(**file, *window));
  EXPECT_EQ(reader.pages(), 4u);
  EXPECT_EQ(reader.zero_pages(), 2u);
  EXPECT_THAT(std::vector<Extent>(reader.extents().begin(), reader.extents().end()),
              ElementsAre(Extent{1, 0, 0, 2}, Extent{4, 0, 2, 1}, Extent{7, 0, 3, 1}));
  Bytes expected;
  for (const PageTag tag : std::vector<PageTag>{5, 6, 7, 8}) {
    const Bytes page = page_of(tag);
    expected.insert(expected.end(), page.begin(), page.end());
  }
  EXPECT_EQ(Bytes(reader.plaintext().begin(), reader.plaintext().end()), expected);

  window = cursor.next();
  ASSERT_TRUE(window);
  ASSERT_TRUE(reader.read(**file, *window));
  EXPECT_EQ(reader.pages(), 1u);
  EXPECT_EQ(reader.zero_pages(), 1u);
  EXPECT_THAT(std::vector<Extent>(reader.extents().begin(), reader.extents().end()),
              ElementsAre(Extent{8, 0, 0, 1}));
}

TEST(WindowReader, AWindowOfZerosHasNoPages) {
  const RunsOnly source(1024, {{0, 1024}});
  WindowCursor cursor({{&source}}, 1024);
  WindowReader reader(1024);
  ASSERT_TRUE(reader.read(source, *cursor.next()));
  EXPECT_EQ(reader.pages(), 0u);
  EXPECT_EQ(reader.zero_pages(), 1024u);
  EXPECT_TRUE(reader.plaintext().empty());
}

TEST(WindowCursor, DealsOutRecipesInTheirOrder) {
  const RunsOnly source(100, {{0, 100}});
  const std::vector<ChunkRecipe> recipes{{{{50, 2}, {7, 1}}, 3}, {{{90, 4}}, std::nullopt}};
  const std::vector<ChunkRecipe> none;
  WindowCursor cursor({{&source, &recipes}, {&source, &none}, {nullptr}}, 4);
  std::optional<Window> window = cursor.next();
  ASSERT_TRUE(window);
  EXPECT_THAT(window->runs, ElementsAre(PageRun{50, 2}, PageRun{7, 1}));
  EXPECT_EQ(window->place, 3u);
  window = cursor.next();
  ASSERT_TRUE(window);
  EXPECT_THAT(window->runs, ElementsAre(PageRun{90, 4}));
  EXPECT_EQ(window->place, std::nullopt);
  EXPECT_FALSE(cursor.next());
}

TEST(WindowReader, PutsTheRunsOfARecipeSlotAfterSlot) {
  const TempDir directory("/dev/shm");
  const std::string path = directory.file("memory");
  write_image(path, {2, 3, kHolePage, 5, 6, 7, kZeroPage, 9});
  const auto file = ImageFile::open(path, ImageKind::kMemory);
  ASSERT_TRUE(file);
  const std::vector<ChunkRecipe> recipes{{{{5, 3}, {0, 2}}, 0}};
  WindowCursor cursor({{file->get(), &recipes}}, 8);
  WindowReader reader(8);
  ASSERT_TRUE(reader.read(**file, *cursor.next()));
  EXPECT_THAT(reader.extents(),
              ElementsAre(Extent{5, 0, 0, 1}, Extent{7, 0, 1, 1}, Extent{0, 0, 2, 2}));
  Bytes wanted;
  for (const PageTag tag : std::initializer_list<PageTag>{7, 9, 2, 3}) {
    const Bytes page = page_of(tag);
    wanted.insert(wanted.end(), page.begin(), page.end());
  }
  EXPECT_TRUE(std::ranges::equal(reader.plaintext(), wanted));
  EXPECT_EQ(reader.zero_pages(), 1u);
}

}  // namespace
}  // namespace thaw
