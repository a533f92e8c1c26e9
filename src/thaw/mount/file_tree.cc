// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/file_tree.h"

#include <optional>

namespace thaw {
namespace {

constexpr std::string_view kDisksName = "disks";

/// The file's name in its directory; nullopt if it stands in the other one.
std::optional<std::string_view> name_in(NodeKind directory, const Image& image) {
  const NodeKind holds = image.kind == ImageKind::kDisk ? NodeKind::kDisks : NodeKind::kSnapshot;
  if (directory != holds) return std::nullopt;
  return image.name;
}

Node disks_of(const Node& snapshot) {
  return {NodeKind::kDisks, snapshot.name, snapshot.snapshot, nullptr, 0};
}

Node file_of(const Node& directory, const OpenSnapshot* opened, size_t image) {
  return {NodeKind::kFile, directory.name, directory.snapshot, opened, image};
}

Result<const OpenSnapshot*> open(const Node& directory) {
  Result<const OpenSnapshot*> opened = directory.snapshot->open();
  if (opened) return opened;
  Error error = std::move(opened).error().with_context("snapshot " + directory.name);
  // The name is there, so "not found" would send the caller looking for the wrong thing.
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kCorrupt;
  return fail(std::move(error));
}

tl::unexpected<Error> nothing_called(std::string_view name) {
  return fail(ErrorCode::kNotFound, "nothing is called " + std::string(name));
}

}  // namespace

Result<Node> FileTree::child(const Node& directory, std::string_view name) {
  if (directory.kind == NodeKind::kRoot) {
    if (!validate_name("snapshot name", name)) return nothing_called(name);
    ASSIGN_OR_RETURN(const NameTarget target, origin_.catalog.resolve(origin_.keys.tenant(), name));
    return Node{NodeKind::kSnapshot, std::string(name), snapshots_.get(target), nullptr, 0};
  }
  if (directory.kind == NodeKind::kSnapshot && name == kDisksName) return disks_of(directory);
  if (directory.kind == NodeKind::kFile) return nothing_called(name);
  ASSIGN_OR_RETURN(const OpenSnapshot* opened, open(directory));
  for (size_t i = 0; i < opened->manifest().images.size(); ++i) {
    if (name_in(directory.kind, opened->image(i)) == name) return file_of(directory, opened, i);
  }
  return nothing_called(name);
}

Result<std::vector<DirectoryEntry>> FileTree::list(const Node& directory) {
  std::vector<DirectoryEntry> entries;
  if (directory.kind == NodeKind::kRoot) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, origin_.catalog.names(origin_.keys.tenant()));
    for (std::string& name : names) entries.push_back({std::move(name), true, kUnknownInode});
    return entries;
  }
  ASSIGN_OR_RETURN(const OpenSnapshot* opened, open(directory));
  for (size_t i = 0; i < opened->manifest().images.size(); ++i) {
    if (const auto name = name_in(directory.kind, opened->image(i))) {
      entries.push_back({std::string(*name), false, file_of(directory, opened, i).inode_number()});
    }
  }
  if (directory.kind == NodeKind::kSnapshot) {
    entries.push_back({std::string(kDisksName), true, disks_of(directory).inode_number()});
  }
  return entries;
}

}  // namespace thaw
