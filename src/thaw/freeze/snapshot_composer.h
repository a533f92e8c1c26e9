// SPDX-License-Identifier: Apache-2.0
//
// From what a manifest shall consist of to the manifest in a store: chunks that an older manifest
// has are kept, others are sealed, all by the one pipeline. Freezing a snapshot, laying one out
// anew and adding a diff to a parent are three ways to fill in a Composition.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/freeze/seal_pipeline.h"
#include "thaw/image/layout_plan.h"
#include "thaw/image/manifest.h"
#include "thaw/image/page_digests.h"
#include "thaw/image/working_set.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// One image of the new manifest.
struct ImagePart {
  ImageKind kind = ImageKind::kMemory;
  std::string name;
  uint64_t bytes = 0;
  SealInput sealed;          // what is sealed of it
  std::vector<Extent> kept;  // what is where the old manifest has it; its chunk numbers
};

struct Composition {
  uint64_t root_id = 0;
  uint32_t chunk_bytes = 0;
  Layout layout = Layout::kLinear;
  const Manifest* old = nullptr;  // whose chunks are kept; of the same root and chunk size
  std::vector<ImagePart> images;
  std::vector<KeptHotChunk> kept_hot;
  PageRuns hot_pages;
  bool page_digests = false;                 // of the memory are wanted
  const PageDigests* old_digests = nullptr;  // of the old manifest, if pages of it are kept
  std::vector<std::pair<std::string, std::string>> annotations;
};

/// The image as the old manifest has it.
ImagePart keep_image(const Image& image);

/// What was called (FreezeOptions::on_step): the step's name.
using StepHook = std::function<void(std::string_view step)>;

struct ComposedSnapshot {
  Manifest manifest;
  SealStats sealed;
  std::optional<PageDigests> digests;
};

/// Seals what is to be sealed; all chunks are durable on return. Errors of seal_images().
Result<ComposedSnapshot> compose_snapshot(ObjectStore& store, const KeyProvider& keys,
                                          const Composition& composition, unsigned threads,
                                          const StepHook& on_step, Progress& progress);

/// What belongs to a manifest and how its name is bound.
struct Publication {
  std::string_view name;
  bool replace = false;
  /// With replace: what the name must still point at when it is bound.
  std::optional<NameTarget> expected;
  // Their manifest is filled in.
  std::optional<WorkingSet> working_set;
  std::optional<PageDigests> digests;
};

struct PublishedSnapshot {
  NameTarget target;
  uint64_t manifest_bytes = 0;
};

/// Writes the manifest, what belongs to it, then the name, each durable before the next begins.
/// kExists if the name is taken and may not be replaced, or points elsewhere than expected;
/// kInterrupted if `progress` was cancelled before the name was bound.
Result<PublishedSnapshot> publish_snapshot(Catalog& catalog, const KeyProvider& keys,
                                           const Manifest& manifest, Publication publication,
                                           const StepHook& on_step, Progress& progress);

}  // namespace thaw
