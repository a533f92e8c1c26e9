// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/manifest.h"

#include <algorithm>
#include <set>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'M', 'A', 'N', 'I'}, 1, "manifest"};
constexpr size_t kChunkEntryBytes = kDigestBytes + sizeof(uint32_t);

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorCode::kInvalid, "not a valid manifest: " + why);
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

Bytes encode_clear(const ManifestClear& clear) {
  Bytes bytes;
  bytes.reserve(24 + clear.chunks.size() * kChunkEntryBytes);
  ByteWriter writer(bytes);
  writer.put(clear.root_id);
  writer.put(clear.chunk_bytes);
  writer.put(static_cast<uint32_t>(clear.layout));
  writer.put(uint64_t{clear.chunks.size()});
  for (const ChunkEntry& chunk : clear.chunks) {
    writer.put_bytes(chunk.id.digest);
    writer.put(chunk.pages);
  }
  return bytes;
}

Result<ManifestClear> parse_clear(ByteSpan bytes) {
  ByteReader reader(bytes);
  ManifestClear clear;
  clear.root_id = reader.get<uint64_t>();
  clear.chunk_bytes = reader.get<uint32_t>();
  const uint32_t layout = reader.get<uint32_t>();
  const uint64_t count = reader.get<uint64_t>();
  if (!reader.ok()) return malformed("the clear plane is cut");
  if (!validate_chunk_bytes(clear.chunk_bytes)) return malformed("the chunk size is out of bounds");
  if (layout > static_cast<uint32_t>(Layout::kHot)) return malformed("the layout is unknown");
  clear.layout = static_cast<Layout>(layout);
  if (count != reader.remaining() / kChunkEntryBytes ||
      reader.remaining() % kChunkEntryBytes != 0) {
    return malformed("the chunk table does not have the size of its count");
  }
  clear.chunks.resize(static_cast<size_t>(count));
  for (ChunkEntry& chunk : clear.chunks) {
    const ByteSpan digest = reader.get_bytes(kDigestBytes);
    std::copy(digest.begin(), digest.end(), chunk.id.digest.begin());
    chunk.pages = reader.get<uint32_t>();
    if (chunk.pages == 0 || chunk.pages > clear.chunk_bytes / kPageBytes) {
      return malformed("a chunk is empty or above the chunk size");
    }
  }
  CHECK(reader.at_end());
  return clear;
}

Result<void> validate_image(const Image& image) {
  if (image.kind == ImageKind::kDisk) return validate_disk_name(image.name);
  const std::string_view wanted = image.kind == ImageKind::kMemory ? "memory" : "vmstate";
  if (image.name != wanted) return malformed("an image has the wrong name for its kind");
  if (image.kind == ImageKind::kMemory && image.bytes % kPageBytes != 0) {
    return malformed("the memory image is not a whole number of pages");
  }
  return {};
}

Result<Image> parse_image(ByteReader& reader, std::span<const uint32_t> chunk_pages) {
  Image image;
  const uint8_t kind = reader.get<uint8_t>();
  image.name = reader.get_text<uint16_t>();
  image.bytes = reader.get<uint64_t>();
  const uint64_t extent_count = reader.get<uint64_t>();
  if (!reader.ok()) return malformed("an image is cut");
  if (kind < static_cast<uint8_t>(ImageKind::kMemory) ||
      kind > static_cast<uint8_t>(ImageKind::kDisk)) {
    return malformed("an image has an unknown kind");
  }
  image.kind = static_cast<ImageKind>(kind);
  TRY(validate_image(image));
  if (pages_for(image.bytes) > kImagePagesMax) return malformed("an image is above 16 TiB");
  if (extent_count > reader.remaining() / sizeof(Extent)) return malformed("a page map is cut");
  const ByteSpan raw = reader.get_bytes(extent_count * sizeof(Extent));
  std::vector<Extent> extents(static_cast<size_t>(extent_count));
  // SAFETY: Extent is four unsigned integers without padding, in the byte order of the format.
  if (!raw.empty()) std::memcpy(extents.data(), raw.data(), raw.size());
  Result<PageMap> map = PageMap::make(pages_for(image.bytes), std::move(extents), chunk_pages);
  if (!map) return malformed("image '" + image.name + "': " + map.error().message);
  image.map = std::move(*map);
  return image;
}

constexpr size_t kHotSetBytesMin = 2 * sizeof(uint32_t) + sizeof(uint64_t);
constexpr size_t kZeroRunBytes = 2 * sizeof(uint32_t);

// A run that covered a page with data would turn it into zeros, so the map is asked.
const char* fault_of(const HotSet& hot, const Manifest& manifest) {
  if (uint64_t{hot.chunks} + hot.skirt_chunks > manifest.clear.chunks.size()) {
    return "it has more hot chunks than chunks";
  }
  const Image* memory = manifest.find(ImageKind::kMemory);
  if (memory == nullptr) {
    return hot.chunks == 0 && hot.skirt_chunks == 0 && hot.zero_runs.empty()
               ? nullptr
               : "it is hot and has no memory";
  }
  uint64_t free_from = 0;
  for (const PageRun& run : hot.zero_runs) {
    if (run.count == 0 || run.page < free_from) return "its zero runs are empty or out of order";
    if (run.end() > memory->map.page_count()) return "a zero run goes past the end of the memory";
    const PageLocation location = memory->map.locate(run.page);
    if (!location.zero || location.count < run.count) return "a zero run covers data";
    free_from = run.end();
  }
  return nullptr;
}

Result<HotSet> parse_hot_set(ByteReader& reader) {
  HotSet hot;
  hot.chunks = reader.get<uint32_t>();
  hot.skirt_chunks = reader.get<uint32_t>();
  const uint64_t count = reader.get<uint64_t>();
  if (!reader.ok() || count > reader.remaining() / kZeroRunBytes) {
    return malformed("the hot set is cut");
  }
  hot.zero_runs.resize(static_cast<size_t>(count));
  for (PageRun& run : hot.zero_runs) {
    run.page = reader.get<uint32_t>();
    run.count = reader.get<uint32_t>();
  }
  return hot;
}

SecretBytes encode_secret(const Manifest& manifest) {
  // Sized first, so that no stale copy of the keys is left behind by a growing buffer.
  size_t bytes = manifest.chunk_keys.size() + 2 * sizeof(uint32_t);
  for (const Image& image : manifest.images) {
    bytes += 1 + 2 + image.name.size() + 8 + 8 + image.map.extents().size_bytes();
  }
  for (const auto& [key, value] : manifest.annotations) bytes += 2 + key.size() + 4 + value.size();
  const bool hot = manifest.clear.layout == Layout::kHot;
  if (hot) bytes += kHotSetBytesMin + manifest.hot.zero_runs.size() * kZeroRunBytes;

  Bytes plain;
  plain.reserve(bytes);
  ByteWriter writer(plain);
  writer.put_bytes(manifest.chunk_keys.span());
  writer.put(static_cast<uint32_t>(manifest.images.size()));
  for (const Image& image : manifest.images) {
    writer.put(static_cast<uint8_t>(image.kind));
    writer.put_text<uint16_t>(image.name);
    writer.put(image.bytes);
    writer.put(uint64_t{image.map.extents().size()});
    writer.put_bytes(std::as_bytes(image.map.extents()));
  }
  writer.put(static_cast<uint32_t>(manifest.annotations.size()));
  for (const auto& [key, value] : manifest.annotations) {
    writer.put_text<uint16_t>(key);
    writer.put_text<uint32_t>(value);
  }
  if (hot) {
    writer.put(manifest.hot.chunks);
    writer.put(manifest.hot.skirt_chunks);
    writer.put(uint64_t{manifest.hot.zero_runs.size()});
    for (const PageRun& run : manifest.hot.zero_runs) {
      writer.put(static_cast<uint32_t>(run.page));
      writer.put(static_cast<uint32_t>(run.count));
    }
  }
  CHECK(plain.size() == bytes);
  SecretBytes secret = SecretBytes::copy_of(plain);
  wipe(plain);
  return secret;
}

}  // namespace

ManifestId manifest_id(ByteSpan bytes) { return ManifestId{sha256(bytes)}; }

const char* to_string(Layout layout) { return layout == Layout::kHot ? "hot" : "linear"; }

ByteSpan Manifest::chunk_key(uint32_t chunk) const {
  return chunk_keys.span().subspan(size_t{chunk} * kKeyBytes, kKeyBytes);
}

const Image* Manifest::find(ImageKind kind, std::string_view name) const {
  for (const Image& image : images) {
    if (image.kind == kind && (kind != ImageKind::kDisk || image.name == name)) return &image;
  }
  return nullptr;
}

Result<void> validate_disk_name(std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kImageNameBytesMax && name[0] != '.' &&
                     name[0] != '-' && std::all_of(name.begin(), name.end(), is_name_character);
  if (!valid) {
    return fail(ErrorCode::kInvalid,
                "a disk name is 1 to 64 letters, digits, '.', '_' or '-', and begins with none of "
                "'.' and '-'");
  }
  return {};
}

Result<Bytes> encode_manifest(const Manifest& manifest, const KeyProvider& keys) {
  CHECK(manifest.chunk_keys.size() == manifest.clear.chunks.size() * kKeyBytes);
  CHECK(manifest.images.size() <= kImagesMax && manifest.annotations.size() <= kAnnotationsMax);
  for (const Image& image : manifest.images) CHECK(validate_image(image));
  CHECK(manifest.clear.layout == Layout::kHot ||
        (manifest.hot.chunks == 0 && manifest.hot.skirt_chunks == 0));
  CHECK(fault_of(manifest.hot, manifest) == nullptr);
  const Bytes clear = encode_clear(manifest.clear);
  const SecretBytes secret = encode_secret(manifest);
  return make_envelope(kKind, clear, secret.span(), keys);
}

Result<Manifest> decode_manifest(ByteSpan bytes, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  ASSIGN_OR_RETURN(const SecretBytes secret, open_envelope(kKind, view, keys));
  // From here on the bytes are authentic; they are checked all the same, because the tenant who
  // sealed them is not trusted with this process.
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.clear, parse_clear(view.clear));
  ByteReader reader(secret.span());
  const size_t chunk_count = manifest.clear.chunks.size();
  const ByteSpan chunk_keys = reader.get_bytes(uint64_t{chunk_count} * kKeyBytes);
  if (!reader.ok()) return malformed("the table of chunk keys is cut");
  manifest.chunk_keys = SecretBytes::copy_of(chunk_keys);
  std::vector<uint32_t> chunk_pages(chunk_count);
  for (size_t i = 0; i < chunk_count; ++i) chunk_pages[i] = manifest.clear.chunks[i].pages;

  const uint32_t image_count = reader.get<uint32_t>();
  if (image_count > kImagesMax) return malformed("it has too many images");
  std::set<std::pair<ImageKind, std::string>> seen;
  for (uint32_t i = 0; i < image_count; ++i) {
    ASSIGN_OR_RETURN(Image image, parse_image(reader, chunk_pages));
    if (!seen.emplace(image.kind, image.name).second) return malformed("an image stands twice");
    manifest.images.push_back(std::move(image));
  }
  const uint32_t annotation_count = reader.get<uint32_t>();
  if (annotation_count > kAnnotationsMax) return malformed("it has too many annotations");
  for (uint32_t i = 0; i < annotation_count && reader.ok(); ++i) {
    std::string key(reader.get_text<uint16_t>());
    std::string value(reader.get_text<uint32_t>());
    manifest.annotations.emplace_back(std::move(key), std::move(value));
  }
  if (manifest.clear.layout == Layout::kHot) {
    ASSIGN_OR_RETURN(manifest.hot, parse_hot_set(reader));
    if (const char* fault = fault_of(manifest.hot, manifest)) return malformed(fault);
  }
  if (!reader.at_end()) return malformed("the sealed plane has a wrong length");
  return manifest;
}

Result<ManifestClear> decode_manifest_clear(ByteSpan bytes) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  return parse_clear(view.clear);
}

Result<Bytes> rewrap_manifest(ByteSpan bytes, const KeyProvider& keys) {
  return rewrap_envelope(kKind, bytes, keys);
}

Result<bool> manifest_needs_rewrap(ByteSpan bytes, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  return keys.needs_rewrap(view.wrapped_key);
}

}  // namespace thaw
