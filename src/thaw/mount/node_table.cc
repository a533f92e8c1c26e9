// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/node_table.h"

#include <algorithm>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/crypto/digest.h"

namespace thaw {

uint64_t Node::inode_number() const {
  if (kind == NodeKind::kRoot) return NodeTable::kRootId;
  Bytes identity;
  ByteWriter writer(identity);
  writer.put(static_cast<uint8_t>(kind));
  writer.put(snapshot->target().root_id);
  writer.put_bytes(snapshot->target().manifest.digest);
  if (kind == NodeKind::kFile) {
    writer.put(uint64_t{image});
  } else {
    writer.put_bytes(as_bytes(name));
  }
  const Digest digest = sha256(identity);
  uint64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  return number | 2;  // never 0 (no inode) nor 1 (the root)
}

std::string Node::describe() const {
  switch (kind) {
    case NodeKind::kRoot:
      return "/";
    case NodeKind::kSnapshot:
      return name;
    case NodeKind::kDisks:
      return name + "/disks";
    case NodeKind::kFile:
      const Image& shown = opened->image(image);
      return name + (shown.kind == ImageKind::kDisk ? "/disks/" : "/") + shown.name;
  }
  return name;
}

NodeTable::NodeTable() {
  state_.with([](State& state) { state.by_id[kRootId] = {std::make_shared<const Node>(), 1}; });
}

NodeTable::Key NodeTable::key_of(const Node& node) {
  const NameTarget& target = node.snapshot->target();
  const bool is_file = node.kind == NodeKind::kFile;
  return {node.kind, is_file ? std::string() : node.name, target.root_id, target.manifest,
          node.image};
}

std::shared_ptr<const Node> NodeTable::find(uint64_t id) const {
  return state_.with([&](const State& state) -> std::shared_ptr<const Node> {
    const auto found = state.by_id.find(id);
    return found == state.by_id.end() ? nullptr : found->second.node;
  });
}

uint64_t NodeTable::look_up(Node node) {
  CHECK(node.kind != NodeKind::kRoot);
  Key key = key_of(node);
  return state_.with([&](State& state) {
    const auto [known, is_new] = state.by_key.try_emplace(std::move(key), state.next_id);
    if (is_new) {
      state.by_id[state.next_id++].node = std::make_shared<const Node>(std::move(node));
    }
    ++state.by_id[known->second].lookups;
    return known->second;
  });
}

void NodeTable::forget(uint64_t id, uint64_t lookups) {
  if (id == kRootId) return;
  // Freed after the lock: the last node of a snapshot frees its manifest.
  const std::shared_ptr<const Node> gone =
      state_.with([&](State& state) -> std::shared_ptr<const Node> {
        const auto found = state.by_id.find(id);
        if (found == state.by_id.end()) return nullptr;
        Entry& entry = found->second;
        entry.lookups -= std::min(entry.lookups, lookups);
        if (entry.lookups != 0) return nullptr;
        std::shared_ptr<const Node> node = std::move(entry.node);
        state.by_key.erase(key_of(*node));
        state.by_id.erase(found);
        return node;
      });
}

size_t NodeTable::size() const {
  return state_.with([](const State& state) { return state.by_id.size(); });
}

}  // namespace thaw
