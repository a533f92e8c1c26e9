// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/function_snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "thaw/base/check.h"
#include "thaw/freeze/diff_file.h"
#include "thaw/freeze/pack_writer.h"
#include "thaw/freeze/relayout.h"
#include "thaw/freeze/snapshot_child.h"
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

Result<Fd> make_sized(const std::string& path, uint64_t bytes) {
  ASSIGN_OR_RETURN(Fd file, open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    return fail_errno("cannot size " + path, errno);
  }
  return file;
}

/// Sparse image files of one content, written together.
class ImageWriter {
 public:
  /// Empty paths are left out.
  static Result<ImageWriter> make(const std::vector<std::string>& paths, uint64_t bytes) {
    ImageWriter writer;
    for (const std::string& path : paths) {
      if (path.empty()) continue;
      ASSIGN_OR_RETURN(Fd file, make_sized(path, bytes));
      writer.files_.emplace_back(path, std::move(file));
    }
    return writer;
  }

  Result<void> write(uint64_t page, ByteSpan data) const {
    for (const auto& [path, file] : files_) {
      TRY(write_all_at(file.get(), page * kPageBytes, data, path));
    }
    return {};
  }

  /// Random bytes; the same for the same seed and runs.
  Result<void> write_random(std::span<const PageRun> runs, uint64_t seed) const {
    uint64_t state = seed;
    Bytes block(kBlockPages * kPageBytes);
    return for_blocks(runs, [&](PageRun run) {
      const size_t size = run.count * kPageBytes;
      for (size_t at = 0; at < size; at += sizeof state) {
        const uint64_t word = next_word(state);
        std::memcpy(block.data() + at, &word, sizeof word);
      }
      return write(run.page, ByteSpan(block).first(size));
    });
  }

  /// The same pages of another file.
  Result<void> copy(std::span<const PageRun> runs, const std::string& from) const {
    ASSIGN_OR_RETURN(const Fd source, open_file(from, O_RDONLY));
    Bytes block(kBlockPages * kPageBytes);
    return for_blocks(runs, [&](PageRun run) -> Result<void> {
      const MutableByteSpan bytes = MutableByteSpan(block).first(run.count * kPageBytes);
      TRY(read_exact_at(source.get(), run.page * kPageBytes, bytes, from));
      return write(run.page, bytes);
    });
  }

  Result<void> sync() const {
    for (const auto& [path, file] : files_) {
      if (::fsync(file.get()) != 0) return fail_errno("cannot write " + path, errno);
    }
    return {};
  }

 private:
  static constexpr uint64_t kBlockPages = 256;

  template <typename Each>
  static Result<void> for_blocks(std::span<const PageRun> runs, const Each& each) {
    for (const PageRun& run : runs) {
      for (uint64_t page = run.page; page < run.end(); page += kBlockPages) {
        TRY(each({page, std::min(run.end() - page, kBlockPages)}));
      }
    }
    return {};
  }

  std::vector<std::pair<std::string, Fd>> files_;
};

PageRuns pages_of(const PageTrace& trace, bool written_only) {
  std::vector<uint32_t> pages;
  for (const TraceEvent& event : trace.events) {
    if (event.write || !written_only) pages.push_back(static_cast<uint32_t>(event.page));
  }
  return runs_of(std::move(pages));
}

PageRuns touched_pages(const FunctionTrace& trace) {
  PageRuns pages = unite(pages_of(trace.recorded, false), pages_of(trace.measured, false));
  return trace.other ? unite(pages, pages_of(*trace.other, false)) : pages;
}

}  // namespace

Result<std::unique_ptr<FunctionSnapshot>> FunctionSnapshot::make(
    Catalog& catalog, const KeyProvider& keys, const FunctionTrace& trace,
    const FunctionSnapshotOptions& options) {
  std::unique_ptr<FunctionSnapshot> snapshot(new FunctionSnapshot(trace, options, nullptr));
  TRY(snapshot->write_images());
  TRY(snapshot->freeze_layouts(catalog, keys));
  return snapshot;
}

Result<std::unique_ptr<FunctionSnapshot>> FunctionSnapshot::make_child(
    Catalog& catalog, const KeyProvider& keys, const FunctionSnapshotOptions& options,
    ChildPages pages) const {
  CHECK(!options_.plain_path.empty() && parent_ == nullptr);
  std::unique_ptr<FunctionSnapshot> child(new FunctionSnapshot(trace_, options, this));
  TRY(child->write_child_images(changed_pages(pages)));
  TRY(child->freeze_children(catalog, keys));
  return child;
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
  TRY(catalog.bind_new(keys.tenant(), name(Layout::kLinear), target));
  TRY(put_recording(catalog, keys, target, manifest));
  ASSIGN_OR_RETURN(linear_, open_image(catalog, keys, name(Layout::kLinear)));
  TRY(relayout(catalog, keys, options_.name, target, manifest, {}, progress));
  ASSIGN_OR_RETURN(hot_, open_image(catalog, keys, options_.name));
  return {};
}

Result<void> FunctionSnapshot::freeze_children(Catalog& catalog, const KeyProvider& keys) {
  Progress progress;
  ASSIGN_OR_RETURN(const auto diff, open_diff(options_.plain_path, bytes()));
  for (const Layout layout : {Layout::kLinear, Layout::kHot}) {
    const std::string parent = parent_->name(layout);
    ASSIGN_OR_RETURN(const NameTarget target, catalog.resolve(keys.tenant(), parent));
    ASSIGN_OR_RETURN(const Bytes bytes, catalog.read_manifest(target));
    ASSIGN_OR_RETURN(const Manifest manifest, decode_manifest(bytes, keys));
    ChildMemory memory{.source = diff.get(), .candidates = PageRuns{}, .trusted = true};
    memory.candidates->assign(diff->data_runs().begin(), diff->data_runs().end());
    ASSIGN_OR_RETURN(const ChildResult child,
                     freeze_child(catalog, keys, name(layout), {parent, target, manifest},
                                  std::move(memory), {}, {}, progress));
    if (layout == Layout::kLinear) {
      // The parent's packs hold the parent's pages.
      ASSIGN_OR_RETURN(const Bytes own, catalog.read_manifest(child.freeze.target));
      ASSIGN_OR_RETURN(const Manifest own_manifest, decode_manifest(own, keys));
      TRY(put_recording(catalog, keys, child.freeze.target, own_manifest));
    }
    ASSIGN_OR_RETURN((layout == Layout::kLinear ? linear_ : hot_),
                     open_image(catalog, keys, name(layout)));
  }
  return {};
}

Result<void> FunctionSnapshot::put_recording(Catalog& catalog, const KeyProvider& keys,
                                             const NameTarget& target,
                                             const Manifest& manifest) const {
  Progress progress;
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
  return put_working_set(catalog, keys, target, set);
}

Result<void> FunctionSnapshot::write_images() const {
  ASSIGN_OR_RETURN(const ImageWriter writer,
                   ImageWriter::make({options_.plain_path, options_.oracle_path}, bytes()));
  TRY(options_.memory_path.empty() ? writer.write_random(trace_.shape.runs, options_.seed)
                                   : writer.copy(trace_.shape.runs, options_.memory_path));
  return writer.sync();
}

Result<void> FunctionSnapshot::write_child_images(const PageRuns& changed) const {
  ASSIGN_OR_RETURN(const ImageWriter oracle, ImageWriter::make({options_.oracle_path}, bytes()));
  TRY(oracle.copy(touched_pages(trace_), parent_->options_.oracle_path));
  TRY(oracle.write_random(changed, options_.seed));
  ASSIGN_OR_RETURN(const ImageWriter diff, ImageWriter::make({options_.plain_path}, bytes()));
  TRY(diff.write_random(changed, options_.seed));
  return diff.sync();
}

PageRuns FunctionSnapshot::changed_pages(ChildPages pages) const {
  if (pages == ChildPages::kWritten) return pages_of(trace_.recorded, true);
  return intersect(touched_pages(trace_), trace_.shape.runs);
}

MemoryLayers FunctionSnapshot::layers() const {
  if (parent_ == nullptr) return {options_.plain_path, ""};
  return {parent_->options_.plain_path, options_.plain_path};
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

std::vector<ChunkRequest> FunctionSnapshot::linear_chunks() const {
  std::vector<ChunkRequest> requests;
  const Manifest& manifest = linear_->manifest();
  for (uint32_t chunk = 0; chunk < manifest.clear.chunks.size(); ++chunk) {
    requests.push_back(request_for(manifest, chunk, Priority::kPrefetch));
  }
  return requests;
}

ReplayVmmOptions FunctionSnapshot::vmm() const {
  ReplayVmmOptions vmm = ReplayVmmOptions::firecracker(Generation::kV1_12);
  vmm.image_path = options_.oracle_path;
  vmm.mapped_path = layers().image_path;
  vmm.overlay_path = layers().diff_path;
  vmm.thread_id = true;  // as the QEMU preload library does: faults can be served near the guest
  vmm.regions = {{bytes(), 0}};
  vmm.touching.order = ReplayTouching::Order::kTrace;
  vmm.touching.trace = trace_.measured;
  vmm.touching.check = ReplayTouching::Check::kAfterTrace;
  return vmm;
}

}  // namespace thaw
