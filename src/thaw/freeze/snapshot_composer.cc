// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_composer.h"

#include "thaw/base/check.h"
#include "thaw/crypto/key_derivation.h"
#include "thaw/freeze/snapshot_ledger.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

Result<void> note_kept_chunks(const Composition& composition, SnapshotLedger& ledger) {
  const auto note = [&](size_t image, std::span<const Extent> extents, uint32_t chunk,
                        std::optional<uint32_t> place) {
    const Manifest& old = *composition.old;
    return ledger.add(image, extents, old.clear.chunks[chunk], old.chunk_key(chunk), place);
  };
  for (size_t i = 0; i < composition.images.size(); ++i) {
    for (const Extent& extent : composition.images[i].kept) {
      TRY(note(i, {&extent, 1}, extent.chunk, std::nullopt));
    }
  }
  for (const KeptHotChunk& hot : composition.kept_hot) TRY(note(0, {}, hot.chunk, hot.place));
  return {};
}

Manifest without_chunks(const Composition& composition) {
  Manifest manifest;
  manifest.clear.root_id = composition.root_id;
  manifest.clear.chunk_bytes = composition.chunk_bytes;
  manifest.clear.layout = composition.layout;
  for (const ImagePart& image : composition.images) {
    manifest.images.push_back({image.kind, image.name, image.bytes, {}});
  }
  manifest.annotations = composition.annotations;
  return manifest;
}

Result<void> not_cancelled(const Progress& progress) {
  if (!progress.cancelled()) return {};
  return fail(ErrorCode::kInterrupted, "stopped before the snapshot had its name");
}

Result<void> bind_name(Catalog& catalog, std::string_view tenant, const Publication& publication,
                       const NameTarget& target) {
  if (!publication.replace) return catalog.bind_new(tenant, publication.name, target);
  if (publication.expected) {
    // Not one step with the rebinding: it narrows the gap in which somebody else's snapshot under
    // this name would be replaced from the length of the work to a moment.
    ASSIGN_OR_RETURN(const NameTarget now, catalog.resolve(tenant, publication.name));
    if (now != *publication.expected) {
      return fail(ErrorCode::kExists, "snapshot '" + std::string(publication.name) +
                                          "' was replaced meanwhile; nothing was changed, try "
                                          "again with the new one");
    }
  }
  return catalog.rebind(tenant, publication.name, target);
}

}  // namespace

ImagePart keep_image(const Image& image) {
  return {image.kind,
          image.name,
          image.bytes,
          {},
          {image.map.extents().begin(), image.map.extents().end()}};
}

Result<ComposedSnapshot> compose_snapshot(ObjectStore& store, const KeyProvider& keys,
                                          const Composition& composition, unsigned threads,
                                          const StepHook& on_step, Progress& progress) {
  SnapshotLedger ledger(composition.images.size());
  if (composition.old != nullptr) {
    CHECK(composition.old->clear.root_id == composition.root_id);
    CHECK(composition.old->clear.chunk_bytes == composition.chunk_bytes);
    TRY(note_kept_chunks(composition, ledger));
  }
  SealJob job;
  for (const ImagePart& image : composition.images) job.images.push_back(image.sealed);
  job.chunk_bytes = composition.chunk_bytes;
  job.threads = threads;
  job.root_id = composition.root_id;
  job.group_put = [&on_step] {
    if (on_step) on_step("group_put");
  };
  ASSIGN_OR_RETURN(const SecretBytes domain_secret, keys.domain_secret());
  const SecretBytes salt = derive_chunk_salt(domain_secret, composition.root_id);
  ComposedSnapshot composed{without_chunks(composition), {}};
  ASSIGN_OR_RETURN(composed.sealed, seal_images(job, salt, store, ledger, progress));
  std::move(ledger).write_to(composed.manifest);
  if (composition.layout == Layout::kHot) {
    const Image* memory = composed.manifest.find(ImageKind::kMemory);
    CHECK(memory != nullptr);
    composed.manifest.hot.zero_runs = zero_pages_among(composition.hot_pages, memory->map);
  }
  return composed;
}

Result<PublishedSnapshot> publish_snapshot(Catalog& catalog, const KeyProvider& keys,
                                           const Manifest& manifest, Publication publication,
                                           const StepHook& on_step, Progress& progress) {
  const auto step = [&on_step](std::string_view reached) {
    if (on_step) on_step(reached);
  };
  PublishedSnapshot published;
  ASSIGN_OR_RETURN(const Bytes bytes, encode_manifest(manifest, keys));
  published.target = {manifest.clear.root_id, manifest_id(bytes)};
  published.manifest_bytes = bytes.size();
  TRY(not_cancelled(progress));
  TRY(catalog.write_manifest(published.target, bytes));
  step("manifest_put");

  if (publication.working_set) {
    publication.working_set->manifest = published.target.manifest;
    TRY(put_working_set(catalog, keys, published.target, *publication.working_set));
    step("working_set_put");
  }
  TRY(not_cancelled(progress));
  TRY(bind_name(catalog, keys.tenant(), publication, published.target));
  step("name_bound");
  return published;
}

}  // namespace thaw
