// SPDX-License-Identifier: Apache-2.0
//
// What tests of snapshots share: image files whose every page is known, and a store with a catalog
// and keys to freeze them into.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/catalog.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {

/// What stands in one page of a test image: equal tags, equal pages.
using PageTag = uint8_t;
inline constexpr PageTag kHolePage = 0;  // not written
inline constexpr PageTag kZeroPage = 1;  // written with zeros

/// The bytes of a page: zeros for the two tags above, else a pattern without a zero byte.
inline Bytes page_of(PageTag tag) {
  Bytes page(kPageBytes);
  if (tag <= kZeroPage) return page;
  for (size_t i = 0; i < page.size(); ++i) {
    page[i] = static_cast<std::byte>(1 + (i * (size_t{tag} | 1) + i / 255 + tag) % 255);
  }
  return page;
}

/// Writes one page for each tag, the last one cut to `last_page_bytes`.
inline void write_image(const std::string& path, const std::vector<PageTag>& tags,
                        size_t last_page_bytes = kPageBytes) {
  const Fd fd = *open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const uint64_t bytes = tags.empty() ? 0 : (tags.size() - 1) * kPageBytes + last_page_bytes;
  CHECK(::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
  for (size_t i = 0; i < tags.size(); ++i) {
    if (tags[i] == kHolePage) continue;
    const Bytes page = page_of(tags[i]);
    const size_t length = i + 1 == tags.size() ? last_page_bytes : kPageBytes;
    CHECK(write_all_at(fd.get(), i * kPageBytes, ByteSpan(page).first(length), path));
  }
}

/// `count` pages that all differ from their neighbours.
inline std::vector<PageTag> busy_pages(size_t count, size_t first = 0) {
  std::vector<PageTag> tags(count);
  for (size_t i = 0; i < count; ++i) tags[i] = static_cast<PageTag>(2 + (first + i) % 251);
  return tags;
}

inline Bytes whole_file(const std::string& path) {
  Result<Bytes> bytes = read_file(path, kGiB);
  CHECK(bytes.has_value());
  return std::move(*bytes);
}

inline size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

/// A catalog over a store with its first root, and a tenant. Borrows the store.
struct FreezeFixture {
  explicit FreezeFixture(ObjectStore& borrowed) : store(borrowed), catalog(borrowed) {
    CHECK(catalog.initialise());
  }

  Result<FreezeResult> freeze_paths(std::string_view name, const SourcePaths& paths,
                                    const FreezeOptions& options = {}) {
    ASSIGN_OR_RETURN(const std::vector<SourceImage> images, open_sources(paths));
    Progress progress;
    return freeze(catalog, keys, name, images, options, progress);
  }

  Manifest load(std::string_view name) const {
    Result<NameTarget> target = catalog.resolve(keys.tenant(), name);
    CHECK(target.has_value());
    Result<Bytes> bytes = catalog.read_manifest(*target);
    CHECK(bytes.has_value());
    Result<Manifest> manifest = decode_manifest(*bytes, keys);
    CHECK(manifest.has_value());
    return std::move(*manifest);
  }

  bool has(std::string_view name) const { return catalog.resolve(keys.tenant(), name).has_value(); }

  /// The keys of all objects, ascending; those under `part` ("chunks", "manifests") only if given.
  std::vector<std::string> objects(std::string_view part = {}) const {
    std::vector<std::string> found;
    CHECK(store.list("", [&](const std::string& key, uint64_t) -> Result<void> {
      if (part.empty() || key.find("/" + std::string(part) + "/") != std::string::npos) {
        found.push_back(key);
      }
      return {};
    }));
    return found;
  }

  ObjectStore& store;
  Catalog catalog;
  FixedKeys keys;
};

}  // namespace thaw
