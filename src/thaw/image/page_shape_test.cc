// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using ::testing::HasSubstr;

TEST(PageShape, ParsesTheExampleOfItsHeader) {
  const auto shape = parse_page_shape("thaw shape v1 pages=65536\n16 6\n31 2\n");
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_EQ(*shape, (PageShape{65536, {{16, 6}, {31, 2}}}));
  EXPECT_EQ(shape->data_pages(), 8u);
  EXPECT_EQ(format_page_shape(*shape), "thaw shape v1 pages=65536\n16 6\n31 2\n");
}

TEST(PageShape, ARunMayFillTheImageAndThereMayBeNone) {
  const auto full = parse_page_shape("thaw shape v1 pages=4294967296\n0 4294967296\n");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->data_pages(), kShapePagesMax);
  const auto empty = parse_page_shape("thaw shape v1 pages=0\n");
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_EQ(*empty, PageShape{});
}

struct Refusal {
  const char* text;
  const char* message;
};

TEST(PageShape, RefusesAndNamesTheLine) {
  const Refusal refusals[] = {
      {"", "line 1: the header is missing"},
      {"thaw shape v1 pages=8", "line 1: its end is cut off"},
      {"thaw trace v1 pages=8\n", "line 1: it must be"},
      {"thaw shape v1 pages=4294967297\n", "line 1: the number of pages"},
      {"thaw shape v1 pages=08\n", "line 1: the number of pages"},
      {"thaw shape v1 pages=8\n\n", "line 2: it must begin with a page number"},
      {"thaw shape v1 pages=8\n-1 1\n", "line 2: it must begin with a page number"},
      {"thaw shape v1 pages=8\n1\n", "line 2: after the page"},
      {"thaw shape v1 pages=8\n1 0\n", "line 2: after the page"},
      {"thaw shape v1 pages=8\n1 2 3\n", "line 2: after the page"},
      {"thaw shape v1 pages=8\n1 2\r\n", "line 2: after the page"},
      {"thaw shape v1 pages=8\n1 2\n3 1\n", "line 3: page 3 is not behind a zero page"},
      {"thaw shape v1 pages=8\n4 2\n1 1\n", "line 3: page 1 is not behind a zero page"},
      {"thaw shape v1 pages=8\n7 2\n", "line 2: the run ends past the image"},
      {"thaw shape v1 pages=8\n1 2\n5 1", "line 3: its end is cut off"},
  };
  for (const Refusal& refusal : refusals) {
    const auto shape = parse_page_shape(refusal.text);
    ASSERT_FALSE(shape) << refusal.text;
    EXPECT_EQ(shape.error().code, ErrorCode::kInvalid) << refusal.text;
    EXPECT_THAT(shape.error().message, HasSubstr(refusal.message)) << refusal.text;
  }
}

TEST(PageShape, AnotherVersionIsUnsupported) {
  const auto shape = parse_page_shape("thaw shape v2 pages=8\n");
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, ErrorCode::kUnsupported);
}

TEST(PageShape, FilesAreReadAndErrorsNameThem) {
  const TempDir dir;
  ASSERT_TRUE(replace_file(dir.file("shape"), as_bytes("thaw shape v1 pages=9\n3 4\n"), 0600));
  const auto shape = read_page_shape(dir.file("shape"));
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_EQ(*shape, (PageShape{9, {{3, 4}}}));
  const auto missing = read_page_shape(dir.file("none"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr(dir.file("none")));
}

TEST(PageShapeDeathTest, TheWriterRefusesWhatTheParserWould) {
  EXPECT_DEATH(format_page_shape({4, {{2, 3}}}), "run.count <= shape.page_count");
  EXPECT_DEATH(format_page_shape({9, {{2, 3}, {5, 1}}}), "run.page >= free_from");
}

}  // namespace
}  // namespace thaw
