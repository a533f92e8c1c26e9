// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/function_snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "thaw/freeze/pack_writer.h"
#include "thaw/freeze/relayout.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/sys/file_io.h"
#include "thaw/tier/page_reader.h"

namespace thaw {
namespace {

// splitmix64: as random as sealing needs, and faster than a disk.
uint64_t next_word(uint64_t& state) {
  uint64_t value = state += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

Result<std::shared_ptr<const ResumeImage>> open_image(const Catalog& catalog,
                                                      const KeyProvider& keys,
                                                      const std::string& name) {
  ASSIGN_OR_RETURN(const NameTarget target, catalog.resolve(keys.tenant(), name));
  ASSIGN_OR_RETURN(const Bytes bytes, catalog.read_manifest(target));
  ASSIGN_OR_RETURN(Manifest manifest, decode_manifest(bytes, keys));
  const uint64_t pages = pages_for(manifest.find(ImageKind::kMemory)->bytes);
  ASSIGN_OR_RETURN(std::optional<WorkingSet> set, open_working_set(catalog, keys, target, pages));
  return ResumeImage::make(std::move(manifest), std::move(set));
}

}  // namespace

Result<std::unique_ptr<FunctionSnapshot>> FunctionSnapshot::make(
    Catalog& catalog, const KeyProvider& keys, const FunctionTrace& trace,
    const FunctionSnapshotOptions& options) {
  std::unique_ptr<FunctionSnapshot> snapshot(new FunctionSnapshot(trace, options));
  TRY(snapshot->write_images());
  TRY(snapshot->freeze_layouts(catalog, keys));
  return snapshot;
}

Result<void> FunctionSnapshot::freeze_layouts(Catalog& catalog, const KeyProvider& keys) {
  Progress progress;
  ASSIGN_OR_RETURN(const std::vector<SourceImage> sources,
                   open_sources({options_.oracle_path, "", {}}));
  const FreezeOptions freezing{.chunk_bytes = options_.chunk_bytes};
  ASSIGN_OR_RETURN(const auto frozen,
                   freeze(catalog, keys, options_.name, sources, freezing, progress));
  const NameTarget target = frozen.target;
  ASSIGN_OR_RETURN(const Bytes bytes, catalog.read_manifest(target));
  ASSIGN_OR_RETURN(const Manifest manifest, decode_manifest(bytes, keys));

  WorkingSet set;
  set.manifest = target.manifest;
  set.recordings.push_back(recording_of(trace_.recorded));
  if (options_.packs) {
    const std::vector<WorkingPage> pages = merge_recordings(set.recordings);
    for (const PackKind kind : {PackKind::kReap, PackKind::kFaasnap}) {
      // The published gaps, of a local disk.
      const uint32_t gap_pages = kind == PackKind::kFaasnap ? kFaasnapGapPages : 0;
      ASSIGN_OR_RETURN(Pack pack, seal_pack(catalog.store(), keys, manifest, pages,
                                            {.kind = kind, .gap_pages = gap_pages}, progress));
      set.packs.push_back(std::move(pack));
    }
  }
  TRY(put_working_set(catalog, keys, target, set));
  ASSIGN_OR_RETURN(linear_, open_image(catalog, keys, options_.name));
  TRY(relayout(catalog, keys, options_.name, target, manifest, {}, progress));
  ASSIGN_OR_RETURN(hot_, open_image(catalog, keys, options_.name));
  return {};
}

Result<void> FunctionSnapshot::write_images() const {
  std::vector<std::pair<std::string, Fd>> files;
  for (const std::string& path : {options_.plain_path, options_.oracle_path}) {
    if (path.empty()) continue;
    ASSIGN_OR_RETURN(Fd file, open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    if (::ftruncate(file.get(), static_cast<off_t>(bytes())) != 0) {
      return fail_errno("cannot size " + path, errno);
    }
    files.emplace_back(path, std::move(file));
  }
  uint64_t state = options_.seed;
  Bytes block(256 * kPageBytes);
  for (const PageRun& run : trace_.shape.runs) {
    for (uint64_t page = run.page; page < run.end();) {
      const size_t size = std::min<uint64_t>(run.end() - page, 256) * kPageBytes;
      for (size_t at = 0; at < size; at += sizeof state) {
        const uint64_t word = next_word(state);
        std::memcpy(block.data() + at, &word, sizeof word);
      }
      const ByteSpan data = ByteSpan(block).first(size);
      for (const auto& [path, file] : files) {
        TRY(write_all_at(file.get(), page * kPageBytes, data, path));
      }
      page += size / kPageBytes;
    }
  }
  for (const auto& [path, file] : files) {
    if (::fsync(file.get()) != 0) return fail_errno("cannot write " + path, errno);
  }
  return {};
}

std::vector<ChunkRequest> FunctionSnapshot::touched_chunks() const {
  std::vector<ChunkRequest> requests;
  for (const auto& image : {linear_, hot_}) {
    std::set<uint32_t> chunks;
    const PageTrace* const other = trace_.other ? &*trace_.other : nullptr;
    for (const PageTrace* trace : {&trace_.recorded, &trace_.measured, other}) {
      if (trace == nullptr) continue;
      for (const TraceEvent& event : trace->events) {
        const PageLocation location = image->map().locate(event.page);
        if (!location.zero) chunks.insert(location.chunk);
      }
    }
    const HotSet& hot = image->manifest().hot;
    for (uint32_t chunk = 0; chunk < hot.chunks + hot.skirt_chunks; ++chunk) chunks.insert(chunk);
    for (const uint32_t chunk : chunks) {
      requests.push_back(request_for(image->manifest(), chunk, Priority::kPrefetch));
    }
  }
  for (const Pack& pack : linear_->working_set()->packs) {
    for (const ChunkEntry& chunk : pack.chunks) {
      requests.push_back({.root_id = linear_->manifest().clear.root_id,
                          .id = chunk.id,
                          .pages = chunk.pages,
                          .priority = Priority::kPrefetch});
    }
  }
  return requests;
}

ReplayVmmOptions FunctionSnapshot::vmm() const {
  ReplayVmmOptions vmm = ReplayVmmOptions::firecracker(Generation::kV1_12);
  vmm.image_path = options_.oracle_path;
  vmm.mapped_path = options_.plain_path;
  vmm.regions = {{bytes(), 0}};
  vmm.touching.order = ReplayTouching::Order::kTrace;
  vmm.touching.trace = trace_.measured;
  vmm.touching.check = ReplayTouching::Check::kAfterTrace;
  return vmm;
}

}  // namespace thaw
