// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/disk_cache.h"

#include <gtest/gtest.h>

#include "thaw/cache/disk_cache_test.h"

namespace thaw {
namespace {

TEST_F(DiskCacheTest, WhatWasWrittenIsReadBack) {
  open_cache();
  for (uint64_t chunk = 0; chunk < 10; ++chunk) {
    EXPECT_FALSE(hits(chunk));
    EXPECT_EQ(fill(chunk), FillOutcome::kWritten);
    EXPECT_EQ(fill(chunk), FillOutcome::kPresent);
    EXPECT_TRUE(hits(chunk));
  }
  const DiskCacheStatus status = cache_->status();
  EXPECT_EQ(status.slots_used, 10u);
  EXPECT_EQ(status.hits, 10u);
  EXPECT_EQ(status.misses, 10u);
  EXPECT_EQ(status.inserts, 10u);
  EXPECT_EQ(status.evictions, 0u);
}

TEST_F(DiskCacheTest, ReopensWithItsChunks) {
  open_cache();
  for (uint64_t chunk = 0; chunk < 10; ++chunk) EXPECT_EQ(fill(chunk), FillOutcome::kWritten);
  open_cache();
  for (uint64_t chunk = 0; chunk < 10; ++chunk) EXPECT_TRUE(hits(chunk));
  EXPECT_EQ(cache_->status().slots_used, 10u);
}

}  // namespace
}  // namespace thaw
