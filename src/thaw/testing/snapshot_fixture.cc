// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/snapshot_fixture.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/chunk/zero_page.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

using Random = std::mt19937_64;

constexpr size_t kPutGroup = 64;  // chunks a call to the store

template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "snapshot fixture: %s\n", result.error().message.c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Random bytes; one page in eight has a single byte that is not zero, at its end, which a scan for
/// zero pages must not miss.
void fill_page(Random& random, MutableByteSpan page) {
  if (random() % 8 == 0) {
    page.back() = static_cast<std::byte>(random() | 1);
    return;
  }
  for (size_t at = 0; at < page.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(page.data() + at, &word, std::min(sizeof word, page.size() - at));
  }
  page.back() |= std::byte{1};  // a short last page is not zero by chance
}

Bytes random_image(Random& random, uint64_t bytes, double zero_share, double mean_run) {
  CHECK(zero_share >= 0 && zero_share <= 1 && mean_run >= 1);
  Bytes image(bytes);
  const uint64_t pages = pages_for(bytes);
  const auto run_length = [&](double mean) -> uint64_t {
    if (mean <= 1) return 1;
    return 1 + std::geometric_distribution<uint64_t>(1 / mean)(random);
  };
  // Runs of data and of zeros alternate, unless there is only one kind. A run of zeros has at least
  // one page, so where their mean is below one, some runs of data follow each other without any.
  const double mean_zero = zero_share < 1 ? mean_run * zero_share / (1 - zero_share) : 0;
  for (uint64_t page = 0; page < pages && zero_share < 1;) {
    const uint64_t data_end = zero_share > 0 ? std::min(pages, page + run_length(mean_run)) : pages;
    for (; page < data_end; ++page) {
      const uint64_t offset = page * kPageBytes;
      fill_page(random, MutableByteSpan(image).subspan(
                            offset, std::min<uint64_t>(kPageBytes, bytes - offset)));
    }
    const bool skip = mean_zero >= 1 || std::bernoulli_distribution(mean_zero)(random);
    if (skip) page += run_length(mean_zero);
  }
  return image;
}

/// Runs of pages that are not zero, none across a multiple of `window` pages.
std::vector<PageRun> data_runs(const Bytes& image, uint64_t window) {
  std::vector<PageRun> runs;
  Bytes page_bytes(kPageBytes);
  for (uint64_t page = 0; page < pages_for(image.size()); ++page) {
    const uint64_t offset = page * kPageBytes;
    const size_t bytes = std::min<uint64_t>(kPageBytes, image.size() - offset);
    std::fill(page_bytes.begin(), page_bytes.end(), std::byte{0});
    std::memcpy(page_bytes.data(), image.data() + offset, bytes);
    if (is_zero(page_bytes)) continue;
    if (!runs.empty() && runs.back().end() == page && page % window != 0) {
      ++runs.back().count;
    } else {
      runs.push_back({page, 1});
    }
  }
  return runs;
}

/// Seals chunks, collects the chunk table and keys, and puts the objects in groups.
class ChunkWriter {
 public:
  ChunkWriter(ObjectStore& store, uint64_t root_id, const SecretBytes& salt)
      : store_(store), root_id_(root_id), sealer_(salt) {}

  /// The chunk's number.
  uint32_t add(ByteSpan plaintext) {
    Bytes ciphertext(plaintext.size());
    keys_.resize(keys_.size() + kKeyBytes);
    const MutableByteSpan key = MutableByteSpan(keys_).last(kKeyBytes);
    const ChunkId id = sealer_.seal(plaintext, ciphertext, key);
    chunks_.push_back({id, static_cast<uint32_t>(plaintext.size() / kPageBytes)});
    waiting_.emplace_back(chunk_key(root_id_, id), std::move(ciphertext));
    if (waiting_.size() == kPutGroup) flush();
    return static_cast<uint32_t>(chunks_.size() - 1);
  }

  void finish(Manifest& manifest) {
    flush();
    manifest.clear.chunks = std::move(chunks_);
    manifest.chunk_keys = SecretBytes::copy_of(keys_);
  }

  std::vector<uint32_t> chunk_pages() const {
    std::vector<uint32_t> pages;
    for (const ChunkEntry& chunk : chunks_) pages.push_back(chunk.pages);
    return pages;
  }

 private:
  void flush() {
    std::vector<PutRequest> requests;
    for (const auto& [key, data] : waiting_) requests.push_back({key, data});
    must(store_.put_if_absent(requests));
    waiting_.clear();
  }

  ObjectStore& store_;
  const uint64_t root_id_;
  ChunkSealer sealer_;
  std::vector<ChunkEntry> chunks_;
  Bytes keys_;
  std::vector<std::pair<std::string, Bytes>> waiting_;
};

PageMap write_image(ChunkWriter& writer, const Bytes& image, const SnapshotFixtureOptions& options,
                    Random& random) {
  const uint64_t window = options.chunk_bytes / kPageBytes;
  std::vector<PageRun> runs = data_runs(image, window);
  const bool linear = options.layout == Layout::kLinear;
  if (!linear) std::shuffle(runs.begin(), runs.end(), random);

  std::vector<Extent> extents;
  Bytes plaintext;
  size_t first_open = 0;  // the first extent of the chunk that is being filled
  const auto close_chunk = [&] {
    if (plaintext.empty()) return;
    const uint32_t chunk = writer.add(plaintext);
    for (size_t i = first_open; i < extents.size(); ++i) extents[i].chunk = chunk;
    first_open = extents.size();
    plaintext.clear();
  };
  uint64_t open_window = 0;
  for (const PageRun& run : runs) {
    const bool full = plaintext.size() + run.count * kPageBytes > options.chunk_bytes;
    if (full || (linear && run.page / window != open_window)) close_chunk();
    open_window = run.page / window;
    extents.push_back({static_cast<uint32_t>(run.page), 0,
                       static_cast<uint16_t>(plaintext.size() / kPageBytes),
                       static_cast<uint16_t>(run.count)});
    const size_t at = plaintext.size();
    plaintext.resize(at + run.count * kPageBytes);  // zero-padded: the last page may be short
    const uint64_t offset = run.page * kPageBytes;
    std::memcpy(plaintext.data() + at, image.data() + offset,
                std::min<uint64_t>(run.count * kPageBytes, image.size() - offset));
  }
  close_chunk();
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.page < b.page; });
  return must(PageMap::make(pages_for(image.size()), std::move(extents), writer.chunk_pages()));
}

/// The hot set that the options ask for; the memory's chunks are the first of the table.
HotSet hot_set(const SnapshotFixtureOptions& options, const PageMap& memory) {
  HotSet hot;
  if (options.layout != Layout::kHot) return hot;
  uint32_t chunks = 0;
  for (const Extent& extent : memory.extents()) chunks = std::max(chunks, extent.chunk + 1);
  hot.chunks = std::min(options.hot_chunks, chunks);
  if (hot.chunks == 0) return hot;
  hot.skirt_chunks = std::min(options.skirt_chunks, chunks - hot.chunks);
  bool take = true;
  memory.for_each_run(0, memory.page_count(), [&](uint64_t page, const PageLocation& location) {
    if (!location.zero) return;
    if (std::exchange(take, !take)) hot.zero_runs.push_back({page, location.count});
  });
  return hot;
}

}  // namespace

SnapshotFixture make_snapshot(ObjectStore& store, const SnapshotFixtureOptions& options) {
  must(validate_chunk_bytes(options.chunk_bytes));
  Random random(options.seed);
  SnapshotFixture fixture{options, FixedKeys(options.tenant), {}, {}, {}};
  const SecretBytes domain_secret = must(fixture.keys.domain_secret());
  const SecretBytes salt = derive_chunk_salt(domain_secret, options.root_id);
  ChunkWriter writer(store, options.root_id, salt);

  Manifest manifest;
  const auto add_image = [&](ImageKind kind, const std::string& name, uint64_t bytes,
                             double zero_share) {
    Bytes plaintext = random_image(random, bytes, zero_share, options.mean_run_pages);
    PageMap map = write_image(writer, plaintext, options, random);
    manifest.images.push_back({kind, name, bytes, std::move(map)});
    fixture.oracles.push_back(std::move(plaintext));
  };
  if (options.memory_pages != 0) {
    add_image(ImageKind::kMemory, "memory", options.memory_pages * kPageBytes, options.zero_share);
  }
  if (options.vmstate_bytes != 0) {
    add_image(ImageKind::kVmstate, "vmstate", options.vmstate_bytes, 0);
  }
  for (const SnapshotFixtureOptions::Disk& disk : options.disks) {
    add_image(ImageKind::kDisk, disk.name, disk.bytes, options.zero_share);
  }
  manifest.clear.root_id = options.root_id;
  manifest.clear.chunk_bytes = options.chunk_bytes;
  manifest.clear.layout = options.layout;
  if (const Image* memory = manifest.find(ImageKind::kMemory)) {
    manifest.hot = hot_set(options, memory->map);
  }
  manifest.annotations.emplace_back("fixture.seed", std::to_string(options.seed));
  writer.finish(manifest);

  const Bytes encoded = must(encode_manifest(manifest, fixture.keys));
  fixture.target = {options.root_id, manifest_id(encoded)};
  Catalog catalog(store);
  must(catalog.write_manifest(fixture.target, encoded));
  must(catalog.rebind(options.tenant, options.name, fixture.target));
  const Bytes stored = must(catalog.read_manifest(fixture.target));
  fixture.manifest = must(decode_manifest(stored, fixture.keys));
  return fixture;
}

const Image& SnapshotFixture::image(ImageKind kind, std::string_view disk) const {
  const Image* found = manifest.find(kind, disk);
  CHECK(found != nullptr);
  return *found;
}

const Bytes& SnapshotFixture::oracle(ImageKind kind, std::string_view disk) const {
  return oracles[static_cast<size_t>(&image(kind, disk) - manifest.images.data())];
}

uint32_t SnapshotFixture::chunk_of(const Image& image, uint64_t page) const {
  const PageLocation location = image.map.locate(page);
  CHECK(!location.zero);
  return location.chunk;
}

std::string SnapshotFixture::chunk_key_of(uint32_t chunk) const {
  return chunk_key(target.root_id, manifest.clear.chunks[chunk].id);
}

void flip_bit(ObjectStore& store, const std::string& key, uint64_t byte) {
  Bytes bytes = must(store.get(key, kEnvelopeBytesMax));
  CHECK(byte < bytes.size());
  bytes[byte] ^= std::byte{1};
  must(store.replace(key, bytes));
}

}  // namespace thaw
