// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/working_set.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "thaw/testing/fixed_keys.h"

namespace thaw {
namespace {

WorkingSet small_set() {
  return {ManifestId{sha256(as_bytes("m"))}, 3, {{2, 4, 1, 3}, {9, 1, 0, 1}}};
}

TEST(WorkingSet, RoundTrip) {
  const FixedKeys keys;
  const WorkingSet set = small_set();
  const Bytes bytes = *encode_working_set(set, keys);
  const WorkingSet decoded = *decode_working_set(bytes, set.manifest, 10, keys);
  EXPECT_EQ(decoded.recordings, 3u);
  EXPECT_EQ(decoded.runs, set.runs);
}

TEST(WorkingSet, BelongsToOneManifestAndItsMemory) {
  const FixedKeys keys;
  const WorkingSet set = small_set();
  const Bytes bytes = *encode_working_set(set, keys);
  EXPECT_FALSE(decode_working_set(bytes, ManifestId{sha256(as_bytes("other"))}, 10, keys));
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

RC_GTEST_PROP(WorkingSet, RoundTripOfAnything, ()) {
  WorkingSet set;
  set.recordings = *rc::gen::inRange<uint32_t>(1, 100);
  uint32_t page = 0;
  const auto runs = *rc::gen::inRange(0, 50);
  for (int i = 0; i < runs; ++i) {
    page += *rc::gen::inRange<uint32_t>(0, 1000);
    const auto count = *rc::gen::inRange<uint32_t>(1, 1000);
    set.runs.push_back({page, count, *rc::gen::arbitrary<uint32_t>(),
                        *rc::gen::inRange<uint32_t>(1, set.recordings + 1)});
    page += count;
  }
  const FixedKeys keys;
  const Bytes bytes = *encode_working_set(set, keys);
  const Result<WorkingSet> decoded = decode_working_set(bytes, set.manifest, page, keys);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded->runs == set.runs);
}

}  // namespace
}  // namespace thaw
