// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/working_set_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "thaw/base/units.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

TEST(WorkingSetReport, AShapeIsWhatTheMapAndTheChunksSay) {
  for (const Layout layout : {Layout::kLinear, Layout::kHot}) {
    MemoryStore store;
    const SnapshotFixture fixture =
        make_snapshot(store, {.layout = layout, .memory_pages = 2000, .zero_share = 0.5});
    const Image& memory = fixture.image(ImageKind::kMemory);
    const Bytes& oracle = fixture.oracle(ImageKind::kMemory);
    std::vector<uint32_t> pages;
    std::set<uint32_t> chunks;
    uint64_t zero = 0;
    for (uint32_t page = 1999; page >= 3; page -= (page % 3 == 0 ? 1 : 2)) pages.push_back(page);
    const std::set<uint32_t> ascending(pages.begin(), pages.end());
    ASSERT_EQ(ascending.size(), pages.size());
    uint64_t runs = 0;
    uint64_t chunk_pages = 0;
    for (const uint32_t page : pages) {
      runs += !ascending.contains(page - 1);
      const ByteSpan bytes = ByteSpan(oracle).subspan(page * kPageBytes, kPageBytes);
      if (std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; })) {
        ++zero;
      } else if (chunks.insert(fixture.chunk_of(memory, page)).second) {
        chunk_pages += fixture.manifest.clear.chunks[fixture.chunk_of(memory, page)].pages;
      }
    }
    const PagesShape shape = shape_of(pages, memory.map, fixture.manifest.clear.chunks);
    EXPECT_EQ(shape.pages, pages.size());
    EXPECT_EQ(shape.zero_pages, zero);
    EXPECT_EQ(shape.runs, runs);
    EXPECT_EQ(shape.chunks, chunks.size());
    EXPECT_EQ(shape.chunk_pages, chunk_pages);
    EXPECT_DOUBLE_EQ(shape.amplification(),
                     static_cast<double>(chunk_pages) / static_cast<double>(pages.size() - zero));
  }
  EXPECT_EQ(PagesShape{}.amplification(), 0);
}

TEST(WorkingSetReport, TellsRecordingsTheirCommonPagesAndPacks) {
  MemoryStore store;
  const SnapshotFixture fixture = make_snapshot(store, {.memory_pages = 100, .zero_share = 0});
  WorkingSet set;
  set.manifest = fixture.target.manifest;
  set.recordings = {{{{5, 10, true}, {6, 20, false}, {90, 2'000'000, true}}},
                    {{{6, 1, true}, {5, 2, true}}},
                    {{{5, 0, false}}}};
  Pack& pack = set.packs.emplace_back();
  pack.chunks = {{ChunkId{}, 2}};
  pack.chunk_keys = SecretBytes::random(kKeyBytes);
  pack.extents = {{5, 0, 0, 2}};

  const TempDir dir;
  std::FILE* const file = std::fopen(dir.file("out").c_str(), "w+");
  ASSERT_NE(file, nullptr);
  Output out(file, file, /*json=*/false);
  report_working_set(set, fixture.image(ImageKind::kMemory).map, fixture.manifest.clear, out);
  std::fflush(file);
  const Bytes said = *read_file(dir.file("out"), kMiB);
  EXPECT_NE(as_text(said).find("in half"), std::string_view::npos);
  EXPECT_NE(as_text(said).find("pack reap: 2 pages in 1 chunk, 8.0 KiB"), std::string_view::npos)
      << as_text(said);
  const auto json = nlohmann::json::parse(out.result().text())["working_set"];
  std::fclose(file);

  EXPECT_EQ(json["recordings"], 3);
  EXPECT_EQ(json["each"][0]["pages"], 3);
  EXPECT_EQ(json["each"][0]["runs"], 2);
  EXPECT_EQ(json["each"][0]["seconds"], 2);
  EXPECT_EQ(json["each"][0]["written_pages"], 2);
  EXPECT_EQ(json["stable"]["pages"], 2);          // 5 in three, 6 in two
  EXPECT_EQ(json["stable"]["written_pages"], 1);  // 6 was written in one of two
  EXPECT_EQ(json["common"]["pages"], 1);
  EXPECT_EQ(json["union"]["pages"], 3);
  ASSERT_EQ(json["overlaps"].size(), 3u);
  EXPECT_NEAR(double(json["overlaps"][0]["jaccard"]), 2.0 / 3, 1e-6);
  EXPECT_EQ(json["overlaps"][2]["a"], 2);
  EXPECT_EQ(json["overlaps"][2]["b"], 3);
  EXPECT_EQ(json["packs"][0]["kind"], "reap");
}

TEST(WorkingSetReport, ATraceKeepsOrderWritesAndTheTimesBetween) {
  const Recording recording{{{7, 1500, true}, {3, 1500, false}, {9, 1750, false}}};
  const PageTrace expected{10, {{7, true, 0}, {3, false, 0}, {9, false, 250'000}}};
  EXPECT_EQ(trace_of(recording, 10), expected);
  EXPECT_EQ(parse_page_trace(format_page_trace(expected)).value(), expected);
  EXPECT_TRUE(trace_of({}, 10).events.empty());
}

}  // namespace
}  // namespace thaw
