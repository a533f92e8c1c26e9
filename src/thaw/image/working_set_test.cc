// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/working_set.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>
#include <set>

#include "thaw/image/sealed_object.h"
#include "thaw/testing/fixed_keys.h"

namespace thaw {
namespace {

constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'W', 'S', 'E', 'T'}, 1, "working set"};

ChunkEntry chunk_of(uint32_t number, uint32_t pages) {
  return {ChunkId{sha256(std::as_bytes(std::span(&number, 1)))}, pages};
}

WorkingSet small_set() {
  WorkingSet set;
  set.manifest = ManifestId{sha256(as_bytes("m"))};
  set.recordings = {{{{2, 0, false}, {9, 5, true}, {3, 5, false}}}, {{{3, 1, false}}}};
  Pack pack;
  pack.kind = PackKind::kFaasnap;
  pack.chunks = {chunk_of(1, 2), chunk_of(2, 1)};
  pack.chunk_keys = SecretBytes::random(2 * kKeyBytes);
  pack.extents = {{9, 0, 0, 1}, {2, 0, 1, 1}, {3, 1, 0, 1}};
  set.packs.push_back(std::move(pack));
  return set;
}

void expect_equal(const WorkingSet& a, const WorkingSet& b) {
  EXPECT_EQ(a.manifest, b.manifest);
  EXPECT_EQ(a.recordings, b.recordings);
  ASSERT_EQ(a.packs.size(), b.packs.size());
  for (size_t i = 0; i < a.packs.size(); ++i) {
    EXPECT_EQ(a.packs[i].kind, b.packs[i].kind);
    EXPECT_EQ(a.packs[i].extents, b.packs[i].extents);
    EXPECT_TRUE(a.packs[i].chunk_keys.equals(b.packs[i].chunk_keys.span()));
    ASSERT_EQ(a.packs[i].chunks.size(), b.packs[i].chunks.size());
    for (size_t k = 0; k < a.packs[i].chunks.size(); ++k) {
      EXPECT_EQ(a.packs[i].chunks[k].id, b.packs[i].chunks[k].id);
      EXPECT_EQ(a.packs[i].chunks[k].pages, b.packs[i].chunks[k].pages);
    }
  }
}

TEST(WorkingSet, RoundTrip) {
  const FixedKeys keys;
  const WorkingSet set = small_set();
  const Bytes bytes = *encode_working_set(set, keys);
  expect_equal(*decode_working_set(bytes, set.manifest, 10, keys), set);
  const std::vector<ChunkEntry> chunks = *decode_working_set_chunks(bytes);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].id, chunk_of(2, 1).id);
}

TEST(WorkingSet, BelongsToOneManifestAndItsMemory) {
  const FixedKeys keys;
  const WorkingSet set = small_set();
  const Bytes bytes = *encode_working_set(set, keys);
  const Result<WorkingSet> stray =
      decode_working_set(bytes, ManifestId{sha256(as_bytes("other"))}, 10, keys);
  ASSERT_FALSE(stray);
  EXPECT_NE(stray.error().message.find("it belongs to manifest"), std::string::npos);
  EXPECT_FALSE(decode_working_set(bytes, set.manifest, 9, keys));
  EXPECT_EQ(decode_working_set(bytes, set.manifest, 10, FixedKeys("two")).error().code,
            ErrorCode::kDenied);
}

TEST(WorkingSet, EveryFlippedBitAndCutIsRefused) {
  const FixedKeys keys;
  const WorkingSet set = small_set();
  const Bytes bytes = *encode_working_set(set, keys);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    ASSERT_FALSE(decode_working_set(bad, set.manifest, 10, keys)) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(decode_working_set(ByteSpan(bytes).first(size), set.manifest, 10, keys)) << size;
  }
}

// A tenant who holds the key may seal what no writer of ours would.
class HostileWorkingSet : public testing::Test {
 protected:
  std::string refusal() {
    Bytes clear;
    ByteWriter writer(clear);
    writer.put_bytes(id_.digest);
    writer.put(uint64_t{0});
    const Bytes bytes = *make_envelope(kKind, clear, plain_, keys_);
    const Result<WorkingSet> set = decode_working_set(bytes, id_, 10, keys_);
    return set ? "accepted" : set.error().message;
  }
  void put_recording(const std::vector<std::pair<uint32_t, uint32_t>>& touches) {
    out_.put(uint64_t{touches.size()});
    for (const auto& [page, us] : touches) {
      out_.put(page);
      out_.put(us);
    }
  }

  const FixedKeys keys_;
  const ManifestId id_{sha256(as_bytes("m"))};
  Bytes plain_;
  ByteWriter out_{plain_};
};

TEST_F(HostileWorkingSet, PageTwice) {
  out_.put(uint32_t{1});
  put_recording({{1, 0}, {2, 0}, {1, 1}});
  out_.put(uint32_t{0});
  EXPECT_NE(refusal().find("stands twice"), std::string::npos);
}

TEST_F(HostileWorkingSet, PageOutOfRange) {
  out_.put(uint32_t{1});
  put_recording({{10, 0}});
  out_.put(uint32_t{0});
  EXPECT_NE(refusal().find("past the end of the memory"), std::string::npos);
}

TEST_F(HostileWorkingSet, TimeGoesBack) {
  out_.put(uint32_t{1});
  put_recording({{1, 5}, {2, 4}});
  out_.put(uint32_t{0});
  EXPECT_NE(refusal().find("goes back"), std::string::npos);
}

TEST_F(HostileWorkingSet, NoRecording) {
  out_.put(uint32_t{0});
  out_.put(uint32_t{0});
  EXPECT_NE(refusal().find("no recording"), std::string::npos);
}

// Byte by byte as FORMAT.md has it, not by our writer.
TEST_F(HostileWorkingSet, APackIsReadAsSpecified) {
  Bytes clear;
  ByteWriter writer(clear);
  writer.put_bytes(id_.digest);
  writer.put(uint64_t{2});
  for (const uint32_t number : {1u, 2u}) {
    writer.put_bytes(chunk_of(number, 0).id.digest);
    writer.put(number == 1 ? uint32_t{3} : uint32_t{1});
  }
  for (const std::byte key : {std::byte{0x11}, std::byte{0x22}}) out_.put_bytes(Bytes(32, key));
  out_.put(uint32_t{1});
  put_recording({{4, 7}, {5, 0x8000'0009}});  // the second one was a write
  out_.put(uint32_t{1});
  out_.put(uint32_t{2});  // faasnap
  out_.put(uint32_t{2});  // chunks
  out_.put(uint64_t{3});  // extents
  const auto put_extent = [&](uint32_t page, uint32_t chunk, uint16_t slot, uint16_t count) {
    out_.put(page);
    out_.put(chunk);
    out_.put(slot);
    out_.put(count);
  };
  put_extent(5, 0, 0, 1);
  put_extent(1, 0, 1, 2);
  put_extent(9, 1, 0, 1);
  const Result<WorkingSet> set =
      decode_working_set(*make_envelope(kKind, clear, plain_, keys_), id_, 10, keys_);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->recordings[0].touches, (std::vector<Touch>{{4, 7, false}, {5, 9, true}}));
  const Pack* const pack = set->find(PackKind::kFaasnap);
  ASSERT_NE(pack, nullptr);
  EXPECT_EQ(pack->extents, (std::vector<Extent>{{5, 0, 0, 1}, {1, 0, 1, 2}, {9, 1, 0, 1}}));
  EXPECT_EQ(pack->chunks[0].pages, 3u);
  EXPECT_EQ(pack->chunks[1].id, chunk_of(2, 0).id);
  EXPECT_EQ(pack->chunk_key(1)[0], std::byte{0x22});
}

TEST_F(HostileWorkingSet, PackWithoutItsChunks) {
  out_.put(uint32_t{1});
  put_recording({{1, 0}});
  out_.put(uint32_t{1});
  out_.put(uint32_t{1});
  out_.put(uint32_t{1});
  out_.put(uint64_t{0});
  EXPECT_NE(refusal().find("more chunks than there are"), std::string::npos);
}

RC_GTEST_PROP(WorkingSet, RoundTripOfAnything, ()) {
  WorkingSet set;
  const auto recordings = *rc::gen::inRange<size_t>(1, kRecordingsMax + 1);
  for (size_t i = 0; i < recordings; ++i) {
    const auto pages = *rc::gen::unique<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, 5000));
    Recording recording;
    uint32_t us = 0;
    for (const uint32_t page : pages) {
      us += *rc::gen::inRange<uint32_t>(0, 1000);
      recording.touches.push_back({page, us, *rc::gen::arbitrary<bool>()});
    }
    set.recordings.push_back(std::move(recording));
  }
  const FixedKeys keys;
  const Result<WorkingSet> decoded =
      decode_working_set(*encode_working_set(set, keys), set.manifest, 5000, keys);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded->recordings == set.recordings);
}

TEST(MergeRecordings, StableSetUnionAndMedianRank) {
  const std::vector<Recording> recordings{{{{7, 0, true}, {1, 1, false}, {2, 2, false}}},
                                          {{{1, 0, false}, {7, 1, true}}},
                                          {{{1, 0, false}, {9, 1, false}, {7, 2, false}}}};
  const std::vector<WorkingPage> all = merge_recordings(recordings, 0);
  EXPECT_EQ(all,
            (std::vector<WorkingPage>{{1, 0, 3, 0}, {7, 1, 3, 2}, {9, 1, 1, 0}, {2, 2, 1, 0}}));
  EXPECT_EQ(merge_recordings(recordings, 0.5),
            (std::vector<WorkingPage>{{1, 0, 3, 0}, {7, 1, 3, 2}}));
  EXPECT_EQ(merge_recordings(recordings, 1), merge_recordings(recordings, 0.5));
  EXPECT_TRUE(merge_recordings({}, 0).empty());
}

TEST(Jaccard, OfPages) {
  const Recording a{{{1, 0, false}, {2, 0, false}, {3, 0, false}}};
  const Recording b{{{3, 0, true}, {2, 0, false}, {8, 0, false}}};
  EXPECT_DOUBLE_EQ(jaccard(a, b), 0.5);
  EXPECT_DOUBLE_EQ(jaccard(a, a), 1);
  EXPECT_DOUBLE_EQ(jaccard({}, {}), 1);
  EXPECT_DOUBLE_EQ(jaccard(a, {}), 0);
}

}  // namespace
}  // namespace thaw
