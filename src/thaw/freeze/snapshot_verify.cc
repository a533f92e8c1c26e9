// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_verify.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "thaw/freeze/chunk_sweep.h"
#include "thaw/image/manifest.h"
#include "thaw/store/stored_page_digests.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

/// Chunks that were found good in this run, by root.
using GoodChunks = std::set<std::pair<uint64_t, ChunkId>>;

/// The manifest of `target`, its digest checked, opened with the key.
Result<Manifest> open_manifest(const Catalog& catalog, const KeyProvider& keys,
                               const NameTarget& target) {
  const std::string context = "object " + manifest_key(target.root_id, target.manifest);
  Result<Bytes> bytes = catalog.read_manifest(target);
  if (!bytes) return fail(std::move(bytes).error().with_context(context));
  Result<Manifest> manifest = decode_manifest(*bytes, keys);
  if (!manifest) return fail(std::move(manifest).error().with_context(context));
  if (manifest->clear.root_id != target.root_id) {
    return fail(ErrorCode::kCorrupt, context + ": the manifest belongs to another root");
  }
  return manifest;
}

Result<void> verify_chunks(const ObjectStore& store, const ManifestClear& clear,
                           const VerifyOptions& options, GoodChunks& known, Progress& progress,
                           SnapshotVerdict& verdict) {
  std::vector<uint32_t> wanted;
  progress.bytes_total = 0;
  progress.bytes_done = 0;
  for (uint32_t i = 0; i < clear.chunks.size(); ++i) {
    if (known.contains({clear.root_id, clear.chunks[i].id})) {
      ++verdict.chunks_skipped;
      continue;
    }
    wanted.push_back(i);
    progress.bytes_total += uint64_t{clear.chunks[i].pages} * kPageBytes;
  }
  const SweepOptions sweep{options.threads, 1, options.keep_going};
  ASSIGN_OR_RETURN(SweepReport report,
                   sweep_chunks(store, clear, wanted, sweep, progress,
                                [](unsigned, uint32_t, ByteSpan) { return Result<void>(); }));
  verdict.chunks_good += report.chunks_good;
  verdict.chunks_bad += report.chunks_bad;
  verdict.bytes_checked += progress.bytes_done;
  for (ChunkFailure& failure : report.failures) {
    verdict.bad.push_back(
        {chunk_key(clear.root_id, clear.chunks[failure.chunk].id), std::move(failure.error)});
  }
  // A snapshot with a bad chunk teaches nothing about its others: which of them were reached, and
  // which failed beyond the list's limit, is not known.
  if (verdict.good()) {
    for (const uint32_t i : wanted) known.emplace(clear.root_id, clear.chunks[i].id);
  }
  return {};
}

/// The chunks of its packs as a manifest would list them.
ManifestClear pack_chunks(const WorkingSet& set, const ManifestClear& clear) {
  ManifestClear packed{clear.root_id, clear.chunk_bytes, clear.layout, {}};
  for (const Pack& pack : set.packs) {
    for (const ChunkEntry& chunk : pack.chunks) {
      // Buffers have this size, and nothing binds a pack to the capacity.
      packed.chunk_bytes =
          std::max(packed.chunk_bytes, static_cast<uint32_t>(chunk.pages * kPageBytes));
      packed.chunks.push_back(chunk);
    }
  }
  return packed;
}

Result<void> verify_working_set(const Catalog& catalog, const KeyProvider& keys,
                                const Manifest& manifest, const VerifyOptions& options,
                                GoodChunks& known, Progress& progress, SnapshotVerdict& verdict) {
  const Image* const memory = manifest.find(ImageKind::kMemory);
  const Result<std::optional<WorkingSet>> set = open_working_set(
      catalog, keys, verdict.target, memory == nullptr ? 0 : memory->map.page_count());
  if (!set) {
    verdict.bad.push_back(
        {working_set_key(verdict.target.root_id, verdict.target.manifest), set.error()});
    return {};
  }
  if (!*set) return {};
  return verify_chunks(catalog.store(), pack_chunks(**set, manifest.clear), options, known,
                       progress, verdict);
}

/// That they are intact and of this manifest. Whether they are right is for whoever sealed them:
/// comparing needs the plaintext.
void verify_page_digests(const Catalog& catalog, const KeyProvider& keys, const Manifest& manifest,
                         SnapshotVerdict& verdict) {
  const Image* const memory = manifest.find(ImageKind::kMemory);
  if (memory == nullptr) return;
  const Result<std::optional<PageDigests>> digests =
      open_page_digests(catalog, keys, verdict.target, memory->map.data_pages());
  if (digests) return;
  verdict.bad.push_back(
      {page_digests_key(verdict.target.root_id, verdict.target.manifest), digests.error()});
}

Result<SnapshotVerdict> verify_one(const Catalog& catalog, const KeyProvider& keys,
                                   std::string_view name, const VerifyOptions& options,
                                   GoodChunks& known, Progress& progress) {
  const auto started = std::chrono::steady_clock::now();
  SnapshotVerdict verdict;
  verdict.name = name;
  ASSIGN_OR_RETURN(verdict.target, catalog.resolve(keys.tenant(), name));
  Result<Manifest> manifest = open_manifest(catalog, keys, verdict.target);
  if (manifest) {
    TRY(verify_chunks(catalog.store(), manifest->clear, options, known, progress, verdict));
    if (verdict.good() || options.keep_going) {
      TRY(verify_working_set(catalog, keys, *manifest, options, known, progress, verdict));
    }
    if (verdict.good() || options.keep_going) {
      verify_page_digests(catalog, keys, *manifest, verdict);
    }
  } else {
    verdict.bad.push_back({manifest_key(verdict.target.root_id, verdict.target.manifest),
                           std::move(manifest).error()});
  }
  verdict.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return verdict;
}

}  // namespace

Result<SnapshotVerdict> verify_snapshot(const Catalog& catalog, const KeyProvider& keys,
                                        std::string_view name, const VerifyOptions& options,
                                        Progress& progress) {
  GoodChunks known;
  return verify_one(catalog, keys, name, options, known, progress);
}

Result<std::vector<SnapshotVerdict>> verify_tenant(const Catalog& catalog, const KeyProvider& keys,
                                                   const VerifyOptions& options,
                                                   Progress& progress) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, catalog.names(keys.tenant()));
  GoodChunks known;
  std::vector<SnapshotVerdict> verdicts;
  for (const std::string& name : names) {
    Result<SnapshotVerdict> verdict = verify_one(catalog, keys, name, options, known, progress);
    if (!verdict && verdict.error().code == ErrorCode::kNotFound) continue;
    if (!verdict) return fail(std::move(verdict).error());
    verdicts.push_back(std::move(*verdict));
    if (!verdicts.back().good() && !options.keep_going) break;
  }
  return verdicts;
}

}  // namespace thaw
