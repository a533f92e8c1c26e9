// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_composer.h"

#include "thaw/base/check.h"
#include "thaw/crypto/key_derivation.h"
#include "thaw/freeze/snapshot_ledger.h"
#include "thaw/store/stored_page_digests.h"
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

/// The digests of a memory by page while it is composed: those of kept pages are known already.
std::vector<PageDigest> kept_digests(const Composition& composition, const ImagePart& memory) {
  std::vector<PageDigest> digests(static_cast<size_t>(pages_for(memory.bytes)));
  if (memory.kept.empty()) return digests;
  CHECK(composition.old_digests != nullptr);
  const DataPageIndex index(composition.old->find(ImageKind::kMemory)->map);
  for (const Extent& extent : memory.kept) {
    for (uint64_t page = extent.page; page < extent.end(); ++page) {
      digests[static_cast<size_t>(page)] = composition.old_digests->pages[index.of(page)];
    }
  }
  return digests;
}

PageDigests of_data_pages(std::span<const PageDigest> digests, const PageMap& map) {
  PageDigests kept;
  kept.pages.reserve(map.data_pages());
  for (const Extent& extent : map.extents()) {
    const auto begin = digests.begin() + extent.page;
    kept.pages.insert(kept.pages.end(), begin, begin + extent.count);
  }
  return kept;
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
  std::vector<PageDigest> digests;
  for (const ImagePart& image : composition.images) {
    job.images.push_back(image.sealed);
    if (!composition.page_digests || image.kind != ImageKind::kMemory) continue;
    digests = kept_digests(composition, image);
    job.images.back().digests = &digests;
  }
  job.chunk_bytes = composition.chunk_bytes;
  job.threads = threads;
  job.root_id = composition.root_id;
  job.group_put = [&on_step] {
    if (on_step) on_step("group_put");
  };
  ASSIGN_OR_RETURN(const SecretBytes domain_secret, keys.domain_secret());
  const SecretBytes salt = derive_chunk_salt(domain_secret, composition.root_id);
  const SecretBytes digest_key = derive_page_digest_key(domain_secret);
  if (composition.page_digests) job.digest_key = &digest_key;
  ComposedSnapshot composed{without_chunks(composition), {}, {}};
  ASSIGN_OR_RETURN(composed.sealed, seal_images(job, salt, store, ledger, progress));
  std::move(ledger).write_to(composed.manifest);
  const Image* memory = composed.manifest.find(ImageKind::kMemory);
  if (composition.page_digests && memory != nullptr) {
    composed.digests = of_data_pages(digests, memory->map);
  }
  if (composition.layout == Layout::kHot) {
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
  if (publication.digests) {
    publication.digests->manifest = published.target.manifest;
    TRY(put_page_digests(catalog, keys, published.target, *publication.digests));
    step("digests_put");
  }
  TRY(not_cancelled(progress));
  TRY(bind_name(catalog, keys.tenant(), publication, published.target));
  step("name_bound");
  return published;
}

}  // namespace thaw
