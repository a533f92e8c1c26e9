// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/rewrap.h"

#include <map>
#include <set>
#include <utility>

#include "thaw/base/name.h"
#include "thaw/cli/workspace.h"
#include "thaw/image/manifest.h"
#include "thaw/store/stored_page_digests.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

using Place = std::pair<uint64_t, ManifestId>;
Place place_of(const NameTarget& target) { return {target.root_id, target.manifest}; }

/// Every name by the manifest it points at; names that go meanwhile are left out.
Result<std::map<Place, std::vector<std::string>>> names_by_manifest(const Catalog& catalog,
                                                                    const std::string& tenant) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, catalog.names(tenant));
  std::map<Place, std::vector<std::string>> found;
  for (const std::string& name : names) {
    const Result<NameTarget> target = catalog.resolve(tenant, name);
    if (!target && target.error().code == ErrorCode::kNotFound) continue;
    if (!target) return fail(target.error());
    found[place_of(*target)].push_back(name);
  }
  return found;
}

bool is_damage(ErrorCode code) {
  return code == ErrorCode::kCorrupt || code == ErrorCode::kDenied || code == ErrorCode::kExhausted;
}

/// Takes the working set along. What is damaged is nobody's any more; a store that fails now, or a
/// version that a newer thaw can read, is a reason to wait.
Result<void> rewrap_working_set(Catalog& catalog, const KeyProvider& keys, const NameTarget& from,
                                const NameTarget& to, const std::string& name,
                                RewrapReport& report) {
  const Result<void> copied = copy_working_set(catalog, keys, from, to);
  if (copied || !is_damage(copied.error().code)) return copied;
  report.failures.push_back(Error(copied.error())
                                .with_context("the working set of snapshot " + quote(name) +
                                              " is dropped, record it anew"));
  return {};
}

/// Takes the page digests along. Damaged ones are dropped without a word: they only save time.
Result<void> rewrap_page_digests(Catalog& catalog, const KeyProvider& keys, const NameTarget& from,
                                 const NameTarget& to, ByteSpan manifest_bytes) {
  ASSIGN_OR_RETURN(const Manifest manifest, decode_manifest(manifest_bytes, keys));
  const Image* memory = manifest.find(ImageKind::kMemory);
  if (memory == nullptr) return {};
  const Result<void> copied = copy_page_digests(catalog, keys, from, to, memory->map.data_pages());
  if (copied || !is_damage(copied.error().code)) return copied;
  return {};
}

/// Rewraps one manifest and rebinds its names. True if it was not under the active key.
Result<bool> rewrap_one(Catalog& catalog, const KeyProvider& keys, const NameTarget& old,
                        const std::vector<std::string>& names, RewrapReport& report) {
  ASSIGN_OR_RETURN(const Bytes bytes, catalog.read_manifest(old));
  ASSIGN_OR_RETURN(const bool needed, manifest_needs_rewrap(bytes, keys));
  if (!needed) return false;
  ASSIGN_OR_RETURN(const Bytes rewrapped, rewrap_manifest(bytes, keys));
  const NameTarget target{old.root_id, manifest_id(rewrapped)};
  TRY(catalog.write_manifest(target, rewrapped));
  TRY(rewrap_working_set(catalog, keys, old, target, names.front(), report));
  TRY(rewrap_page_digests(catalog, keys, old, target, bytes));
  for (const std::string& name : names) {
    const Result<NameTarget> now = catalog.resolve(keys.tenant(), name);
    if (!now && now.error().code == ErrorCode::kNotFound) continue;
    if (!now) return fail(now.error());
    if (*now != old) continue;  // frozen again meanwhile
    TRY(catalog.rebind(keys.tenant(), name, target));
    ++report.rebound;
  }
  return true;
}

}  // namespace

Result<RewrapReport> rewrap_tenant(Catalog& catalog, const KeyProvider& keys) {
  RewrapReport report;
  ASSIGN_OR_RETURN(const auto before, names_by_manifest(catalog, keys.tenant()));
  std::vector<Place> replaced;
  for (const auto& [place, names] : before) {
    const Result<bool> done =
        rewrap_one(catalog, keys, NameTarget{place.first, place.second}, names, report);
    if (!done) {
      report.failures.push_back(
          Error(done.error())
              .with_context("snapshot " + quote(names.front()) + " is not rewrapped"));
    } else if (*done) {
      ++report.rewrapped;
      replaced.push_back(place);
    } else {
      ++report.current;
    }
  }
  ASSIGN_OR_RETURN(const auto after, names_by_manifest(catalog, keys.tenant()));
  for (const Place& place : replaced) {
    if (after.contains(place)) continue;
    // The manifest last: as long as it is there, collection takes the others for needed.
    for (const std::string& key :
         {working_set_key(place.first, place.second), page_digests_key(place.first, place.second),
          manifest_key(place.first, place.second)}) {
      const Result<void> removed = catalog.store().remove(key);
      if (!removed) report.failures.push_back(removed.error());
    }
  }
  return report;
}

Result<std::vector<std::string>> names_to_rewrap(const Catalog& catalog, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, catalog.names(keys.tenant()));
  std::vector<std::string> found;
  for (const std::string& name : names) {
    const auto read = read_named_manifest(catalog, keys.tenant(), name);
    if (!read && read.error().code == ErrorCode::kNotFound) continue;  // removed meanwhile
    if (!read) return fail(read.error());
    const Result<bool> needed = manifest_needs_rewrap(read->second, keys);
    if (!needed) return fail(Error(needed.error()).with_context("snapshot " + quote(name)));
    if (*needed) found.push_back(name);
  }
  return found;
}

}  // namespace thaw
