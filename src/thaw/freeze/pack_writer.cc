// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/pack_writer.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/freeze/snapshot_composer.h"
#include "thaw/freeze/stored_image.h"
#include "thaw/image/pack_layout.h"

namespace thaw {
namespace {

/// A pack has a chunk for each recipe, in this order, also where two have the same content and the
/// store keeps one.
Pack pack_of(PackKind kind, std::span<const ChunkRecipe> recipes, const Manifest& sealed) {
  const PageMap& map = sealed.images.front().map;
  Pack pack;
  pack.kind = kind;
  pack.chunk_keys = SecretBytes(recipes.size() * kKeyBytes);
  for (const ChunkRecipe& recipe : recipes) {
    const uint32_t number = static_cast<uint32_t>(pack.chunks.size());
    const uint32_t chunk = map.locate(recipe.runs.front().page).chunk;
    const ByteSpan key = sealed.chunk_key(chunk);
    std::ranges::copy(key, pack.chunk_keys.data() + size_t{number} * kKeyBytes);
    pack.chunks.push_back(sealed.clear.chunks[chunk]);
    uint16_t slot = 0;
    for (const PageRun& run : recipe.runs) {
      const auto count = static_cast<uint16_t>(run.count);
      pack.extents.push_back({static_cast<uint32_t>(run.page), number, slot, count});
      slot = static_cast<uint16_t>(slot + count);
    }
    CHECK(slot == pack.chunks.back().pages);  // the map told which pages are zero
  }
  return pack;
}

}  // namespace

Result<Pack> seal_pack(ObjectStore& store, const KeyProvider& keys, const Manifest& manifest,
                       std::span<const WorkingPage> working_set, const PackOptions& options,
                       Progress& progress) {
  const Image* memory = manifest.find(ImageKind::kMemory);
  if (memory == nullptr) {
    return fail(ErrorCode::kInvalid, "the snapshot has no memory whose pages could be packed");
  }
  std::vector<ChunkRecipe> recipes;
  uint64_t pages = 0;
  for (PageRuns& runs : plan_pack(options.kind, memory->map, working_set, options.gap_pages,
                                  manifest.clear.chunk_bytes / kPageBytes)) {
    pages += count_pages(runs);
    recipes.push_back({std::move(runs), std::nullopt});
  }
  progress.bytes_total = pages * kPageBytes;
  progress.bytes_done = 0;
  ASSIGN_OR_RETURN(const auto source, StoredImage::open(store, manifest, *memory, options.threads));
  Composition composition;
  composition.root_id = manifest.clear.root_id;
  composition.chunk_bytes = manifest.clear.chunk_bytes;
  composition.images.push_back(
      {ImageKind::kMemory, memory->name, memory->bytes, {source.get(), &recipes}, {}});
  ASSIGN_OR_RETURN(const ComposedSnapshot composed,
                   compose_snapshot(store, keys, composition, options.threads, {}, progress));
  return pack_of(options.kind, recipes, composed.manifest);
}

}  // namespace thaw
