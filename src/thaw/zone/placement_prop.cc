// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "thaw/zone/placement.h"

namespace thaw {
namespace {

std::vector<WeightedNode> named_nodes(size_t count) {
  std::vector<WeightedNode> nodes;
  for (size_t i = 0; i < count; ++i) nodes.push_back({"node-" + std::to_string(i), 1});
  return nodes;
}

/// The node of each partition's slot by name; "" for none.
std::vector<std::string> table_of(const std::vector<WeightedNode>& nodes, unsigned slots) {
  const Result<Placement> placement = Placement::create(nodes, slots);
  std::vector<std::string> table;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    for (const Placement::Node node : placement->nodes_of_partition(partition)) {
      table.push_back(node == Placement::kNoNode ? "" : nodes[node].name);
    }
  }
  return table;
}

struct Movement {
  double of_slots = 0;            // the share of slots that changed
  double of_readable_chunks = 0;  // the share of partitions that lost at most one stripe
};

Movement movement(const std::vector<std::string>& before, const std::vector<std::string>& after,
                  unsigned slots) {
  size_t moved = 0;
  size_t readable = 0;
  for (size_t partition = 0; partition < kPartitions; ++partition) {
    size_t here = 0;
    for (size_t slot = 0; slot < slots; ++slot) {
      here += before[partition * slots + slot] != after[partition * slots + slot] ? 1 : 0;
    }
    moved += here;
    readable += here <= 1 ? 1 : 0;
  }
  return {static_cast<double>(moved) / static_cast<double>(before.size()),
          static_cast<double>(readable) / kPartitions};
}

RC_GTEST_PROP(PlacementProperty, NodesAreDistinctAndBoundsHold, ()) {
  const size_t count = *rc::gen::inRange<size_t>(1, 24);
  const unsigned slots = *rc::gen::inRange(1U, 11U);
  std::vector<WeightedNode> nodes = named_nodes(count);
  for (WeightedNode& node : nodes) {
    node.weight = *rc::gen::element(1.0, 1.0, 1.0, 2.0, 0.5, 10.0, 0.01, 1000.0);
  }
  const Result<Placement> placement = Placement::create(nodes, slots);
  RC_ASSERT(placement.has_value());
  std::vector<uint32_t> loads(count);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    std::set<Placement::Node> seen;
    for (const Placement::Node node : placement->nodes_of_partition(partition)) {
      if (node == Placement::kNoNode) continue;
      RC_ASSERT(node < count);
      RC_ASSERT(seen.insert(node).second);
      ++loads[node];
    }
    RC_ASSERT(seen.size() == std::min<size_t>(slots, count));
  }
  double weight_sum = 0;
  for (const WeightedNode& node : nodes) weight_sum += node.weight;
  for (size_t i = 0; i < count; ++i) {
    RC_ASSERT(loads[i] <= placement->bounds()[i]);
    RC_ASSERT(placement->bounds()[i] <= kPartitions);
  }
  // Where no node's share is more than one slot a chunk, the bound is the weight's share and a
  // tenth.
  const bool plain = std::all_of(nodes.begin(), nodes.end(), [&](const WeightedNode& node) {
    return node.weight * slots <= weight_sum;
  });
  for (size_t i = 0; plain && i < count; ++i) {
    const double share = nodes[i].weight / weight_sum * slots * kPartitions;
    RC_ASSERT(placement->bounds()[i] <= std::ceil(1.1 * share + 1e-6));
  }
}

RC_GTEST_PROP(PlacementProperty, TheOrderOfTheListDoesNotMatter, ()) {
  std::vector<WeightedNode> nodes = named_nodes(*rc::gen::inRange<size_t>(1, 12));
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i].weight = 1 + static_cast<double>(i % 3);
  const auto table = table_of(nodes, 5);
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  std::shuffle(nodes.begin(), nodes.end(), random);
  RC_ASSERT(table_of(nodes, 5) == table);
}

// A node that joins N others takes 1 / (N + 1) of the slots. What moves besides is what it
// displaces: little once there are twice as many nodes as stripes.
TEST(Placement, AJoiningOrLeavingNodeMovesAboutItsShare) {
  struct Case {
    size_t nodes;
    unsigned slots;
    double shares_max;  // slots moved, in shares of the new node
    double readable_min;
  };
  for (const Case& each : {Case{6, 5, 1.5, 0.75}, Case{10, 5, 1.25, 0.93}, Case{20, 5, 1.15, 0.97},
                           Case{50, 5, 1.35, 0.98}, Case{24, 12, 1.25, 0.90}}) {
    SCOPED_TRACE(each.nodes);
    const auto before = table_of(named_nodes(each.nodes), each.slots);
    const auto after = table_of(named_nodes(each.nodes + 1), each.slots);
    const Movement moved = movement(before, after, each.slots);
    const double share = 1.0 / static_cast<double>(each.nodes + 1);
    EXPECT_GE(moved.of_slots, 0.8 * share);
    EXPECT_LE(moved.of_slots, each.shares_max * share);
    EXPECT_GE(moved.of_readable_chunks, each.readable_min);
  }
}

TEST(Placement, WeightsAreSharesOfTheSlots) {
  std::vector<WeightedNode> nodes = named_nodes(20);
  for (size_t i = 0; i < 5; ++i) nodes[i].weight = 2;
  const auto table = table_of(nodes, 5);
  std::map<std::string, size_t> loads;
  for (const std::string& name : table) ++loads[name];
  for (size_t i = 0; i < nodes.size(); ++i) {
    const double share = nodes[i].weight / 25 * static_cast<double>(table.size());
    EXPECT_NEAR(static_cast<double>(loads[nodes[i].name]), share, 0.15 * share);
  }
}

TEST(Placement, FewerNodesThanSlotsLeaveTheLastOnesEmpty) {
  const auto table = table_of(named_nodes(3), 5);
  for (size_t partition = 0; partition < kPartitions; ++partition) {
    for (size_t slot = 0; slot < 5; ++slot) {
      EXPECT_EQ(table[partition * 5 + slot].empty(), slot >= 3);
    }
  }
  for (const std::string& name : table_of({}, 5)) EXPECT_EQ(name, "");
}

TEST(Placement, ThePartitionIsTheFirstTwelveBits) {
  ChunkId chunk;
  chunk.digest[0] = std::byte{0xab};
  chunk.digest[1] = std::byte{0xcd};
  EXPECT_EQ(Placement::partition_of(chunk), 0xabcU);
}

// Workers of different versions have to agree: these must not change with the code.
TEST(Placement, IsTheSameForEver) {
  const auto table = table_of(named_nodes(7), 5);
  const std::vector<std::string> first(table.begin(), table.begin() + 10);
  EXPECT_EQ(first, (std::vector<std::string>{"node-1", "node-4", "node-0", "node-2", "node-3",
                                             "node-3", "node-5", "node-1", "node-4", "node-0"}));
}

TEST(Placement, RefusesTwinsAndBadWeights) {
  EXPECT_FALSE(Placement::create(std::vector<WeightedNode>{{"a", 1}, {"a", 1}}, 1));
  EXPECT_FALSE(Placement::create(std::vector<WeightedNode>{{"a", 0}}, 1));
  EXPECT_FALSE(Placement::create(std::vector<WeightedNode>{{"a", -1}}, 1));
  EXPECT_FALSE(Placement::create(std::vector<WeightedNode>{{"a", std::nan("")}}, 1));
  EXPECT_FALSE(Placement::create(named_nodes(kZoneNodesMax + 1), 1));
  EXPECT_TRUE(Placement::create(std::vector<WeightedNode>{{"a", 1e300}, {"b", 1e-300}}, 2));
}

}  // namespace
}  // namespace thaw
