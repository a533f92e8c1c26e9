// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/working_set.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'W', 'S', 'E', 'T'}, 1, "working set"};
constexpr size_t kChunkEntryBytes = kDigestBytes + sizeof(uint32_t);
constexpr size_t kTouchBytes = 2 * sizeof(uint32_t);
constexpr uint32_t kWriteBit = uint32_t{1} << 31;
constexpr size_t kPacksMax = 2;

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorCode::kInvalid, "not a valid working set: " + why);
}

std::vector<uint32_t> sorted_pages(const Recording& recording) {
  std::vector<uint32_t> pages;
  pages.reserve(recording.touches.size());
  for (const Touch& touch : recording.touches) pages.push_back(touch.page);
  std::ranges::sort(pages);
  return pages;
}

const char* fault_of(const Recording& recording, uint64_t page_count) {
  const std::vector<uint32_t> pages = sorted_pages(recording);
  if (std::ranges::adjacent_find(pages) != pages.end()) {
    return "a page stands twice in a recording";
  }
  if (!pages.empty() && pages.back() >= page_count) return "a touch is past the end of the memory";
  uint32_t us = 0;
  for (const Touch& touch : recording.touches) {
    if (touch.us < us || touch.us >= kWriteBit) return "the time of a touch goes back or too far";
    us = touch.us;
  }
  return nullptr;
}

const char* fault_of(const Pack& pack, uint64_t page_count) {
  size_t chunk = 0;  // of the extent that is due, and its slot
  uint32_t slot = 0;
  for (const Extent& extent : pack.extents) {
    if (chunk == pack.chunks.size()) return "a pack has more extents than chunks";
    if (extent.count == 0 || extent.chunk != chunk || extent.slot != slot) {
      return "the extents of a pack are out of order";
    }
    slot += extent.count;
    if (slot > pack.chunks[chunk].pages) return "an extent of a pack is past its chunk";
    if (slot == pack.chunks[chunk].pages) {
      ++chunk;
      slot = 0;
    }
    if (extent.end() > page_count) return "a pack goes past the end of the memory";
  }
  std::vector<Extent> by_page = pack.extents;
  std::ranges::sort(by_page, {}, &Extent::page);
  for (size_t i = 1; i < by_page.size(); ++i) {
    if (by_page[i].page < by_page[i - 1].end()) return "a page stands twice in a pack";
  }
  return chunk == pack.chunks.size() ? nullptr : "a pack has chunks that nothing uses";
}

const char* fault_of(const WorkingSet& set, uint64_t page_count) {
  if (set.recordings.empty() || set.recordings.size() > kRecordingsMax) {
    return "it has no recording or too many";
  }
  for (const Recording& recording : set.recordings) {
    if (const char* fault = fault_of(recording, page_count)) return fault;
  }
  for (size_t i = 0; i < set.packs.size(); ++i) {
    if (set.find(set.packs[i].kind) != &set.packs[i]) return "it has two packs of one kind";
    if (const char* fault = fault_of(set.packs[i], page_count)) return fault;
  }
  return nullptr;
}

/// The clear plane, taken apart.
struct ClearPlane {
  ManifestId manifest;
  std::vector<ChunkEntry> chunks;
};

Result<ClearPlane> parse_clear(ByteSpan bytes) {
  ByteReader reader(bytes);
  ClearPlane clear;
  const ByteSpan id = reader.get_bytes(kDigestBytes);
  const uint64_t count = reader.get<uint64_t>();
  if (!reader.ok() || reader.remaining() % kChunkEntryBytes != 0 ||
      count != reader.remaining() / kChunkEntryBytes) {
    return malformed("its chunk table does not have the size of its count");
  }
  std::ranges::copy(id, clear.manifest.digest.begin());
  clear.chunks.resize(static_cast<size_t>(count));
  for (ChunkEntry& chunk : clear.chunks) {
    std::ranges::copy(reader.get_bytes(kDigestBytes), chunk.id.digest.begin());
    chunk.pages = reader.get<uint32_t>();
    if (chunk.pages == 0 || chunk.pages > kChunkPagesMax) {
      return malformed("a chunk is empty or too large");
    }
  }
  return clear;
}

Result<Recording> parse_recording(ByteReader& reader) {
  const uint64_t count = reader.get<uint64_t>();
  if (!reader.ok() || count > kTouchesMax || count > reader.remaining() / kTouchBytes) {
    return malformed("a recording is cut or too long");
  }
  Recording recording;
  recording.touches.resize(static_cast<size_t>(count));
  for (Touch& touch : recording.touches) {
    touch.page = reader.get<uint32_t>();
    const uint32_t word = reader.get<uint32_t>();
    touch.write = (word & kWriteBit) != 0;
    touch.us = word & ~kWriteBit;
  }
  return recording;
}

/// `chunks` and `keys` are those that no pack has taken yet, and lose what this one takes.
Result<Pack> parse_pack(ByteReader& reader, std::span<const ChunkEntry>& chunks, ByteSpan& keys) {
  const uint32_t kind = reader.get<uint32_t>();
  const uint32_t chunk_count = reader.get<uint32_t>();
  const uint64_t extent_count = reader.get<uint64_t>();
  if (!reader.ok() || extent_count > reader.remaining() / sizeof(Extent)) {
    return malformed("a pack is cut");
  }
  if (kind < static_cast<uint32_t>(PackKind::kReap) ||
      kind > static_cast<uint32_t>(PackKind::kFaasnap)) {
    return malformed("a pack has an unknown kind");
  }
  if (chunk_count > chunks.size()) return malformed("a pack has more chunks than there are");
  Pack pack;
  pack.kind = static_cast<PackKind>(kind);
  pack.chunks.assign(chunks.begin(), chunks.begin() + chunk_count);
  pack.chunk_keys = SecretBytes::copy_of(keys.first(size_t{chunk_count} * kKeyBytes));
  chunks = chunks.subspan(chunk_count);
  keys = keys.subspan(size_t{chunk_count} * kKeyBytes);
  const ByteSpan raw = reader.get_bytes(extent_count * sizeof(Extent));
  pack.extents.resize(static_cast<size_t>(extent_count));
  // SAFETY: Extent is four unsigned integers without padding, in the byte order of the format.
  if (!raw.empty()) std::memcpy(pack.extents.data(), raw.data(), raw.size());
  return pack;
}

size_t secret_size(const WorkingSet& set) {
  size_t bytes = 2 * sizeof(uint32_t);
  for (const Recording& recording : set.recordings) {
    bytes += sizeof(uint64_t) + recording.touches.size() * kTouchBytes;
  }
  for (const Pack& pack : set.packs) {
    bytes += pack.chunk_keys.size() + 2 * sizeof(uint32_t) + sizeof(uint64_t) +
             pack.extents.size() * sizeof(Extent);
  }
  return bytes;
}

}  // namespace

const char* to_string(PackKind kind) { return kind == PackKind::kReap ? "reap" : "faasnap"; }

const Pack* WorkingSet::find(PackKind kind) const {
  const auto found = std::ranges::find(packs, kind, &Pack::kind);
  return found == packs.end() ? nullptr : &*found;
}

Result<Bytes> encode_working_set(const WorkingSet& set, const KeyProvider& keys) {
  CHECK(fault_of(set, kImagePagesMax) == nullptr);
  Bytes clear;
  ByteWriter clear_writer(clear);
  clear_writer.put_bytes(set.manifest.digest);
  uint64_t chunk_count = 0;
  for (const Pack& pack : set.packs) chunk_count += pack.chunks.size();
  clear_writer.put(chunk_count);
  for (const Pack& pack : set.packs) {
    for (const ChunkEntry& chunk : pack.chunks) {
      clear_writer.put_bytes(chunk.id.digest);
      clear_writer.put(chunk.pages);
    }
  }

  Bytes plain;
  plain.reserve(secret_size(set));  // so that no copy of the keys is left by a growing buffer
  ByteWriter writer(plain);
  for (const Pack& pack : set.packs) writer.put_bytes(pack.chunk_keys.span());
  writer.put(static_cast<uint32_t>(set.recordings.size()));
  for (const Recording& recording : set.recordings) {
    writer.put(uint64_t{recording.touches.size()});
    for (const Touch& touch : recording.touches) {
      writer.put(touch.page);
      writer.put(touch.us | (touch.write ? kWriteBit : 0));
    }
  }
  writer.put(static_cast<uint32_t>(set.packs.size()));
  for (const Pack& pack : set.packs) {
    writer.put(static_cast<uint32_t>(pack.kind));
    writer.put(static_cast<uint32_t>(pack.chunks.size()));
    writer.put(uint64_t{pack.extents.size()});
    writer.put_bytes(std::as_bytes(std::span(pack.extents)));
  }
  CHECK(plain.size() == secret_size(set));
  const SecretBytes secret = SecretBytes::copy_of(plain);
  wipe(plain);
  return make_envelope(kKind, clear, secret.span(), keys);
}

Result<WorkingSet> decode_working_set(ByteSpan bytes, const ManifestId& manifest,
                                      uint64_t page_count, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  ASSIGN_OR_RETURN(const ClearPlane clear, parse_clear(view.clear));
  if (clear.manifest != manifest) {
    return malformed("it belongs to manifest " + clear.manifest.hex() + ", not to " +
                     manifest.hex());
  }
  ASSIGN_OR_RETURN(const SecretBytes secret, open_envelope(kKind, view, keys));
  ByteReader reader(secret.span());
  ByteSpan chunk_keys = reader.get_bytes(uint64_t{clear.chunks.size()} * kKeyBytes);
  if (!reader.ok()) return malformed("its table of keys is cut");
  WorkingSet set;
  set.manifest = manifest;
  const uint32_t recordings = reader.get<uint32_t>();
  if (recordings > kRecordingsMax) return malformed("it has too many recordings");
  for (uint32_t i = 0; i < recordings; ++i) {
    ASSIGN_OR_RETURN(Recording recording, parse_recording(reader));
    set.recordings.push_back(std::move(recording));
  }
  const uint32_t packs = reader.get<uint32_t>();
  if (packs > kPacksMax) return malformed("it has too many packs");
  std::span<const ChunkEntry> chunks = clear.chunks;
  for (uint32_t i = 0; i < packs; ++i) {
    ASSIGN_OR_RETURN(Pack pack, parse_pack(reader, chunks, chunk_keys));
    set.packs.push_back(std::move(pack));
  }
  if (!reader.at_end() || !chunks.empty()) return malformed("a plane has a wrong length");
  if (const char* fault = fault_of(set, page_count)) return malformed(fault);
  return set;
}

Result<std::vector<ChunkEntry>> decode_working_set_chunks(ByteSpan bytes) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  ASSIGN_OR_RETURN(ClearPlane clear, parse_clear(view.clear));
  return std::move(clear.chunks);
}

std::vector<WorkingPage> merge_recordings(std::span<const Recording> recordings, double share) {
  struct Place {
    uint32_t page;
    uint32_t rank;
    bool write;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  for (const Recording& recording : recordings) {
    for (uint32_t rank = 0; rank < recording.touches.size(); ++rank) {
      places.push_back({recording.touches[rank].page, rank, recording.touches[rank].write});
    }
  }
  std::ranges::sort(places);  // so that the places of a page stand together, by rank

  const double seen_min = share * static_cast<double>(recordings.size());
  std::vector<WorkingPage> merged;
  for (auto begin = places.begin(); begin != places.end();) {
    const auto end = std::find_if(begin, places.end(),
                                  [&](const Place& place) { return place.page != begin->page; });
    const auto seen = end - begin;
    if (static_cast<double>(seen) >= seen_min) {
      const auto written = std::count_if(begin, end, [](const Place& at) { return at.write; });
      merged.push_back({begin->page, begin[(seen - 1) / 2].rank, static_cast<uint16_t>(seen),
                        static_cast<uint16_t>(written)});
    }
    begin = end;
  }
  std::ranges::sort(merged, [](const WorkingPage& a, const WorkingPage& b) {
    return std::pair(a.rank, a.page) < std::pair(b.rank, b.page);
  });
  return merged;
}

double jaccard(const Recording& a, const Recording& b) {
  if (a.touches.empty() && b.touches.empty()) return 1;
  std::vector<uint32_t> both;
  std::ranges::set_intersection(sorted_pages(a), sorted_pages(b), std::back_inserter(both));
  return static_cast<double>(both.size()) /
         static_cast<double>(a.touches.size() + b.touches.size() - both.size());
}

}  // namespace thaw
