// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/shared_chunks.h"

#include <set>

#include "thaw/base/name.h"
#include "thaw/cli/workspace.h"

namespace thaw {
namespace {

std::set<ChunkId> ids_of(const ManifestClear& clear) {
  std::set<ChunkId> ids;
  for (const ChunkEntry& chunk : clear.chunks) ids.insert(chunk.id);
  return ids;
}

SharedChunks count(const ManifestClear& clear, const std::set<ChunkId>& common,
                   uint64_t snapshots) {
  SharedChunks shared;
  shared.snapshots = snapshots;
  for (const ChunkEntry& chunk : clear.chunks) {
    if (!common.contains(chunk.id)) continue;
    ++shared.chunks;
    shared.bytes += uint64_t{chunk.pages} * kPageBytes;
  }
  return shared;
}

/// Adds the chunks of `other` that `own` has; true if there are any.
bool add_common(const std::set<ChunkId>& own, const ManifestClear& other,
                std::set<ChunkId>& common) {
  bool any = false;
  for (const ChunkEntry& chunk : other.chunks) {
    if (!own.contains(chunk.id)) continue;
    any = true;
    common.insert(chunk.id);
  }
  return any;
}

}  // namespace

SharedChunks shared_between(const ManifestClear& clear, const ManifestClear& other) {
  std::set<ChunkId> common;
  const bool any = clear.root_id == other.root_id && add_common(ids_of(clear), other, common);
  return count(clear, common, any);
}

Result<SharedChunks> shared_with_others(const Catalog& catalog, const std::string& tenant,
                                        const std::string& name, const ManifestClear& clear) {
  const std::set<ChunkId> own = ids_of(clear);
  std::set<ChunkId> common;
  uint64_t snapshots = 0;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, catalog.names(tenant));
  for (const std::string& other : names) {
    if (other == name) continue;
    const auto read = read_named_manifest(catalog, tenant, other);
    if (!read && read.error().code == ErrorCode::kNotFound) continue;  // removed meanwhile
    if (!read) return fail(read.error());
    const Result<ManifestClear> theirs = decode_manifest_clear(read->second);
    if (!theirs) return fail(Error(theirs.error()).with_context("snapshot " + quote(other)));
    if (theirs->root_id != clear.root_id) continue;
    snapshots += add_common(own, *theirs, common);
  }
  return count(clear, common, snapshots);
}

}  // namespace thaw
