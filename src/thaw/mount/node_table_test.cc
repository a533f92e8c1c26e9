// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/node_table.h"

#include <gtest/gtest.h>

#include <set>

#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {
namespace {

class NoChunks final : public ChunkSource {
 public:
  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest&, Completion done) override {
    done(fail(ErrorCode::kNotFound, "no chunks"));
  }
  void promote(const ChunkId&) override {}
  std::string describe() const override { return "nothing"; }
};

class NodeTableTest : public testing::Test {
 protected:
  NodeTableTest() : fixture_(make_snapshot(store_, {})) {}

  Node snapshot(const std::string& name, const NameTarget& target) {
    return {NodeKind::kSnapshot, name, snapshots_.get(target), nullptr, 0};
  }
  Node file(const std::string& name, size_t image) {
    const auto shown = snapshots_.get(fixture_.target);
    return {NodeKind::kFile, name, shown, *shown->open(), image};
  }

  MemoryStore store_;
  SnapshotFixture fixture_;
  Catalog catalog_{store_};
  NoChunks chunks_;
  SnapshotTable snapshots_{{catalog_, fixture_.keys, chunks_}};
  NodeTable nodes_;
};

TEST_F(NodeTableTest, ANodeLivesAsLongAsItsLookups) {
  const uint64_t id = nodes_.look_up(file("a", 0));
  EXPECT_EQ(nodes_.look_up(file("a", 0)), id);
  EXPECT_EQ(nodes_.size(), 2u);
  nodes_.forget(id, 1);
  ASSERT_NE(nodes_.find(id), nullptr);
  EXPECT_EQ(nodes_.find(id)->describe(), "a/memory");
  nodes_.forget(id, 1);
  EXPECT_EQ(nodes_.find(id), nullptr);
  EXPECT_EQ(nodes_.size(), 1u);
  EXPECT_NE(nodes_.look_up(file("a", 0)), id) << "an id was used twice";
}

TEST_F(NodeTableTest, TheManifestGoesWithTheLastNode) {
  const auto alive = [&] {
    return std::weak_ptr<const MountedSnapshot>(snapshots_.get(fixture_.target));
  };
  const uint64_t directory = nodes_.look_up(snapshot("a", fixture_.target));
  const uint64_t memory = nodes_.look_up(file("a", 0));
  const std::weak_ptr<const MountedSnapshot> shown = alive();
  nodes_.forget(directory, 1);
  EXPECT_FALSE(shown.expired());
  nodes_.forget(memory, 1);
  EXPECT_TRUE(shown.expired());
}

TEST_F(NodeTableTest, ForgettingTooMuchOrTheRootIsHarmless) {
  const uint64_t id = nodes_.look_up(file("a", 0));
  nodes_.forget(id, 1000);
  nodes_.forget(id, 1);
  nodes_.forget(NodeTable::kRootId, 1000);
  EXPECT_NE(nodes_.find(NodeTable::kRootId), nullptr);
  EXPECT_EQ(nodes_.size(), 1u);
}

TEST_F(NodeTableTest, FilesAreTheSameUnderEveryNameAndDirectoriesAreNot) {
  EXPECT_EQ(nodes_.look_up(file("a", 0)), nodes_.look_up(file("b", 0)));
  EXPECT_NE(nodes_.look_up(file("a", 0)), nodes_.look_up(file("a", 1)));
  EXPECT_NE(nodes_.look_up(snapshot("a", fixture_.target)),
            nodes_.look_up(snapshot("b", fixture_.target)));
}

TEST_F(NodeTableTest, InodeNumbersFollowTheContent) {
  NameTarget other = fixture_.target;
  other.manifest.digest[0] ^= std::byte{1};
  const std::set<uint64_t> numbers = {file("a", 0).inode_number(), file("a", 1).inode_number(),
                                      snapshot("a", fixture_.target).inode_number(),
                                      snapshot("b", fixture_.target).inode_number(),
                                      snapshot("a", other).inode_number()};
  EXPECT_EQ(numbers.size(), 5u);
  EXPECT_EQ(file("a", 0).inode_number(), file("b", 0).inode_number());
}

}  // namespace
}  // namespace thaw
