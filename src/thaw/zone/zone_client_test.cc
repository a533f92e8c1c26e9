// SPDX-License-Identifier: Apache-2.0
//
// The zone client against real servers that work: every shape, sizes, limits, other nodes.
#include "thaw/zone/zone_client.h"

#include <gtest/gtest.h>

#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

struct Shape {
  unsigned data;
  unsigned parity;
};

class ZoneShapeTest : public ZoneTest, public testing::WithParamInterface<Shape> {};

INSTANTIATE_TEST_SUITE_P(Shapes, ZoneShapeTest,
                         testing::Values(Shape{4, 1}, Shape{4, 2}, Shape{8, 3}, Shape{1, 0},
                                         Shape{16, 4}, Shape{3, 1}, Shape{5, 0}),
                         [](const auto& param_info) {
                           return std::to_string(param_info.param.data) + "and" +
                                  std::to_string(param_info.param.parity);
                         });

TEST_P(ZoneShapeTest, WhatIsPutIsGotByteForByte) {
  const auto [data, parity] = GetParam();
  for (unsigned i = 0; i < data + parity; ++i) add_server();
  ZoneOptions options = patient_options(data, parity);
  options.item_bytes_max = 8 * kMiB;  // the servers' own limit is what refuses
  connect(options);
  for (const uint32_t pages : {1U, 2U, 3U, 17U, 127U, 128U, 200U}) {
    const TestChunk chunk = make_chunk(pages, pages);
    EXPECT_FALSE(get_and_compare(*client_, chunk));
    EXPECT_EQ(put_and_wait(*client_, chunk), data + parity);
    EXPECT_TRUE(get_and_compare(*client_, chunk));
    EXPECT_EQ(remove_and_wait(*client_, chunk), data + parity);
    EXPECT_FALSE(get_and_compare(*client_, chunk));
  }
  const ZoneStatus status = client_->status();
  EXPECT_EQ(status.gets, 21U);
  EXPECT_EQ(status.hits, 7U);
  EXPECT_EQ(status.misses, 14U);
  EXPECT_EQ(status.puts_complete, 7U);
  EXPECT_EQ(status.gets_in_flight, 0U);
  EXPECT_EQ(status.put_bytes_in_flight, 0U);
}

}  // namespace
}  // namespace thaw
