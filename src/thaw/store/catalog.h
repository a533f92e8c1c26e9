// SPDX-License-Identifier: Apache-2.0
//
// Catalog: the layout of a store and the names in it (design: store layout).
//   roots/<root>/state           "active\n", "retired\n", "expired\n" or "deleted\n"
//   <root>/chunks/<aa>/<name>    chunk/FORMAT.md
//   <root>/manifests/<id>        image/FORMAT.md
//   <root>/digests/<id>          image/FORMAT.md; page digests of the manifest of that id
//   <root>/working_sets/<id>     image/FORMAT.md; of the manifest of that id, replaced as one step
//   names/<tenant>/<name>        a pointer to a manifest, swapped as one step:
//                                "thaw name v1\nroot <root>\nmanifest <id>\n"
// <root> is the root id as 16 hexadecimal digits, <id> the manifest's as 64, all lower case.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/image/manifest.h"
#include "thaw/store/object_store.h"

namespace thaw {

/// kInvalid unless the text may name a tenant or a snapshot: 1 to 128 of [A-Za-z0-9._:@+-], not
/// beginning with '.' or '-'. `noun` ("snapshot name") is for the message, which quotes the text
/// safely.
Result<void> validate_name(std::string_view noun, std::string_view text);

std::string chunk_key(uint64_t root_id, const ChunkId& id);
std::string manifest_key(uint64_t root_id, const ManifestId& id);
std::string working_set_key(uint64_t root_id, const ManifestId& id);
std::string page_digests_key(uint64_t root_id, const ManifestId& id);
std::string name_key(std::string_view tenant, std::string_view name);

enum class RootState { kActive, kRetired, kExpired, kDeleted };
const char* to_string(RootState state);

/// Where a name points.
struct NameTarget {
  uint64_t root_id = 0;
  ManifestId manifest;
  friend bool operator==(const NameTarget&, const NameTarget&) = default;
};

/// What freeze and resume ask of a store. Borrows the store. Callable from many threads.
class Catalog {
 public:
  explicit Catalog(ObjectStore& store) : store_(store) {}

  /// Makes root 1 the active root of an empty store; repeating it changes nothing.
  Result<void> initialise();
  /// The active root with the highest id; kNotFound says to run `thaw init`.
  Result<uint64_t> active_root() const;
  /// Every root and its state, ascending.
  Result<std::vector<std::pair<uint64_t, RootState>>> roots() const;

  /// kNotFound if the tenant has no snapshot of that name.
  Result<NameTarget> resolve(std::string_view tenant, std::string_view name) const;
  /// Points the name at a manifest that is in the store already; kExists if the name is taken.
  Result<void> bind_new(std::string_view tenant, std::string_view name, const NameTarget& target);
  /// The same, whether the name is taken or not.
  Result<void> rebind(std::string_view tenant, std::string_view name, const NameTarget& target);
  /// Removes the name. The manifest and its chunks stay until they are collected: other names may
  /// point at them. kNotFound if there is none.
  Result<void> unbind(std::string_view tenant, std::string_view name);
  /// The tenant's names, ascending.
  Result<std::vector<std::string>> names(std::string_view tenant) const;
  /// The tenants that have a name, ascending.
  Result<std::vector<std::string>> tenants() const;

  /// The manifest's bytes, whose digest is checked: kCorrupt names the object.
  Result<Bytes> read_manifest(const NameTarget& target) const;
  Result<void> write_manifest(const NameTarget& target, ByteSpan bytes);

  ObjectStore& store() const { return store_; }

 private:
  ObjectStore& store_;
};

}  // namespace thaw
