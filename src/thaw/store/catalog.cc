// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/catalog.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

#include "thaw/base/check.h"
#include "thaw/base/name.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

constexpr std::string_view kRootsPrefix = "roots/";
constexpr std::string_view kNamesPrefix = "names/";
constexpr std::string_view kStateSuffix = "/state";
constexpr size_t kRootDigits = 16;
constexpr uint64_t kFirstRoot = 1;
/// Far above the longest pointer or state that this version writes.
constexpr uint64_t kSmallObjectBytesMax = 4096;
/// Of a manifest or a working set.
constexpr uint64_t kSealedObjectBytesMax =
    kEnvelopeHeaderBytes + 2 * kEnvelopeBytesMax + kWrappedKeyBytesMax;

constexpr std::string_view kPointerVersionLine = "thaw name v1\n";
constexpr std::string_view kPointerAnyVersion = "thaw name v";
constexpr std::string_view kPointerRoot = "root ";
constexpr std::string_view kPointerManifest = "manifest ";

std::string root_hex(uint64_t root_id) {
  char text[kRootDigits + 1];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(root_id));
  return text;
}

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::optional<uint64_t> parse_root(std::string_view text) {
  if (text.size() != kRootDigits || !is_lower_hex(text)) return std::nullopt;
  uint64_t root_id = 0;
  std::from_chars(text.data(), text.data() + text.size(), root_id, 16);
  return root_id;
}

std::string state_key(uint64_t root_id) {
  return std::string(kRootsPrefix) + root_hex(root_id) + std::string(kStateSuffix);
}

std::string names_prefix(std::string_view tenant) {
  return std::string(kNamesPrefix) + std::string(tenant) + "/";
}

std::string encode_pointer(const NameTarget& target) {
  std::string text(kPointerVersionLine);
  text.append(kPointerRoot).append(root_hex(target.root_id)).append("\n");
  text.append(kPointerManifest).append(target.manifest.hex()).append("\n");
  return text;
}

/// Takes `prefix` off the front; false if it is not there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::string_view take_digits(std::string_view& text, size_t count) {
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(digits.size());
  return digits;
}

/// Strict: there is one way to write a pointer.
std::optional<NameTarget> decode_pointer(std::string_view text) {
  NameTarget target;
  if (!take(text, kPointerVersionLine) || !take(text, kPointerRoot)) return std::nullopt;
  const std::optional<uint64_t> root_id = parse_root(take_digits(text, kRootDigits));
  if (!root_id || !take(text, "\n") || !take(text, kPointerManifest)) return std::nullopt;
  const std::string_view manifest = take_digits(text, 2 * kDigestBytes);
  if (manifest.size() != 2 * kDigestBytes || !is_lower_hex(manifest) || text != "\n") {
    return std::nullopt;
  }
  target.root_id = *root_id;
  const Bytes digest = *from_hex(manifest);
  std::copy(digest.begin(), digest.end(), target.manifest.digest.begin());
  return target;
}

/// "thaw name v" and a number that is not 1.
bool is_pointer_of_another_version(std::string_view text) {
  if (!take(text, kPointerAnyVersion)) return false;
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  return digits > 0 && digits < text.size() && text[digits] == '\n' &&
         text.substr(0, digits) != "1";
}

std::optional<RootState> parse_state(std::string_view text) {
  for (const RootState state :
       {RootState::kActive, RootState::kRetired, RootState::kExpired, RootState::kDeleted}) {
    if (text == std::string(to_string(state)) + "\n") return state;
  }
  return std::nullopt;
}

/// get(), where an object above the limit cannot be what it should be.
Result<Bytes> get_small(const ObjectStore& store, const std::string& key) {
  Result<Bytes> bytes = store.get(key, kSmallObjectBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::kExhausted) {
    return fail(ErrorCode::kCorrupt,
                key + " in " + store.describe() + " is too large: " + bytes.error().message);
  }
  return bytes;
}

std::string of_tenant(std::string_view name, std::string_view tenant) {
  return "snapshot " + quote(name) + " of tenant " + quote(tenant);
}

Result<void> validate(std::string_view tenant, std::string_view name) {
  TRY(validate_name("tenant name", tenant));
  return validate_name("snapshot name", name);
}

/// Never leave a dangling name, even if the caller errs.
Result<void> check_target(const ObjectStore& store, const NameTarget& target) {
  const std::string key = manifest_key(target.root_id, target.manifest);
  ASSIGN_OR_RETURN(const bool present, store.exists(key));
  if (!present) {
    return fail(ErrorCode::kNotFound, "no manifest " + key + " in " + store.describe() +
                                          " for a name to point at; write it first");
  }
  return {};
}

}  // namespace

Result<void> validate_name(std::string_view noun, std::string_view text) {
  if (is_name(text)) return {};
  return fail(ErrorCode::kInvalid,
              quote(text) + " is not a valid " + std::string(noun) + ": " + std::string(kNameRule));
}

std::string chunk_key(uint64_t root_id, const ChunkId& id) {
  const std::string hex = id.hex();
  return root_hex(root_id) + "/chunks/" + hex.substr(0, 2) + "/" + hex;
}

std::string manifest_key(uint64_t root_id, const ManifestId& id) {
  return root_hex(root_id) + "/manifests/" + id.hex();
}

std::string page_digests_key(uint64_t root_id, const ManifestId& id) {
  return root_hex(root_id) + "/digests/" + id.hex();
}

std::string working_set_key(uint64_t root_id, const ManifestId& id) {
  return root_hex(root_id) + "/working_sets/" + id.hex();
}

std::string name_key(std::string_view tenant, std::string_view name) {
  return names_prefix(tenant) + std::string(name);
}

const char* to_string(RootState state) {
  switch (state) {
    case RootState::kActive:
      return "active";
    case RootState::kRetired:
      return "retired";
    case RootState::kExpired:
      return "expired";
    case RootState::kDeleted:
      return "deleted";
  }
  return "unknown";
}

Result<void> Catalog::initialise() {
  ASSIGN_OR_RETURN(const auto existing, roots());
  if (!existing.empty()) return {};
  const std::string state = std::string(to_string(RootState::kActive)) + "\n";
  const PutRequest request{state_key(kFirstRoot), as_bytes(state)};
  TRY(store_.put_if_absent({&request, 1}));
  return {};
}

Result<uint64_t> Catalog::active_root() const {
  ASSIGN_OR_RETURN(const auto all, roots());
  for (auto root = all.rbegin(); root != all.rend(); ++root) {
    if (root->second == RootState::kActive) return root->first;
  }
  return fail(ErrorCode::kNotFound,
              store_.describe() + " has no active root" +
                  (all.empty() ? "; it is not a thaw store yet: run `thaw init`"
                               : " among its " + std::to_string(all.size()) +
                                     " roots; run `thaw init` on another store"));
}

Result<std::vector<std::pair<uint64_t, RootState>>> Catalog::roots() const {
  std::vector<uint64_t> ids;
  TRY(store_.list(std::string(kRootsPrefix), [&](const std::string& key, uint64_t) -> Result<void> {
    std::string_view rest = key;
    CHECK(take(rest, kRootsPrefix));
    const auto root_id = parse_root(take_digits(rest, kRootDigits));
    // A collector must not guess what an unknown object protects.
    if (!root_id || rest != kStateSuffix) {
      return fail(ErrorCode::kCorrupt, key + " in " + store_.describe() +
                                           " is no root's state; a newer thaw may have written it");
    }
    ids.push_back(*root_id);
    return {};
  }));
  std::vector<std::pair<uint64_t, RootState>> found;
  for (const uint64_t root_id : ids) {
    const std::string key = state_key(root_id);
    Result<Bytes> bytes = get_small(store_, key);
    if (!bytes && bytes.error().code == ErrorCode::kNotFound) continue;  // removed meanwhile
    if (!bytes) return fail(std::move(bytes).error());
    const std::optional<RootState> state = parse_state(as_text(*bytes));
    if (!state) {
      return fail(ErrorCode::kCorrupt, key + " in " + store_.describe() + " says " +
                                           quote(as_text(*bytes)) + ", which is no root's state");
    }
    found.emplace_back(root_id, *state);
  }
  return found;
}

Result<NameTarget> Catalog::resolve(std::string_view tenant, std::string_view name) const {
  TRY(validate(tenant, name));
  const std::string key = name_key(tenant, name);
  Result<Bytes> bytes = get_small(store_, key);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, "no " + of_tenant(name, tenant) + " in " + store_.describe());
  }
  if (!bytes) return fail(std::move(bytes).error());
  const std::string_view text = as_text(*bytes);
  if (const std::optional<NameTarget> target = decode_pointer(text)) return *target;
  if (is_pointer_of_another_version(text)) {
    return fail(
        ErrorCode::kUnsupported,
        key + " in " + store_.describe() + " begins with " +
            quote(text.substr(0, text.find('\n'))) +
            "; this thaw reads \"thaw name v1\"; use the thaw that wrote it, or a newer one");
  }
  return fail(ErrorCode::kCorrupt, key + " in " + store_.describe() +
                                       " is not a pointer to a snapshot: it says " + quote(text) +
                                       "; bind the name again or remove it");
}

Result<void> Catalog::bind_new(std::string_view tenant, std::string_view name,
                               const NameTarget& target) {
  TRY(validate(tenant, name));
  TRY(check_target(store_, target));
  const std::string text = encode_pointer(target);
  const PutRequest request{name_key(tenant, name), as_bytes(text)};
  ASSIGN_OR_RETURN(const std::vector<PutOutcome> outcomes, store_.put_if_absent({&request, 1}));
  if (outcomes[0] == PutOutcome::kExisted) {
    return fail(ErrorCode::kExists, of_tenant(name, tenant) + " exists already in " +
                                        store_.describe() +
                                        "; choose another name, or replace or remove it");
  }
  return {};
}

Result<void> Catalog::rebind(std::string_view tenant, std::string_view name,
                             const NameTarget& target) {
  TRY(validate(tenant, name));
  TRY(check_target(store_, target));
  const std::string text = encode_pointer(target);
  return store_.replace(name_key(tenant, name), as_bytes(text));
}

Result<void> Catalog::unbind(std::string_view tenant, std::string_view name) {
  TRY(validate(tenant, name));
  const std::string key = name_key(tenant, name);
  ASSIGN_OR_RETURN(const bool present, store_.exists(key));
  if (!present) {
    return fail(ErrorCode::kNotFound, "no " + of_tenant(name, tenant) + " in " + store_.describe());
  }
  return store_.remove(key);
}

Result<std::vector<std::string>> Catalog::names(std::string_view tenant) const {
  TRY(validate_name("tenant name", tenant));
  const std::string prefix = names_prefix(tenant);
  std::vector<std::string> found;
  TRY(store_.list(prefix, [&](const std::string& key, uint64_t) -> Result<void> {
    const std::string name = key.substr(prefix.size());
    if (!is_name(name)) {
      return fail(ErrorCode::kCorrupt, quote(key) + " in " + store_.describe() +
                                           " is no name of a snapshot; remove it by hand");
    }
    found.push_back(name);
    return {};
  }));
  return found;
}

Result<std::vector<std::string>> Catalog::tenants() const {
  std::vector<std::string> found;
  TRY(store_.list(std::string(kNamesPrefix), [&](const std::string& key, uint64_t) -> Result<void> {
    const size_t end = key.find('/', kNamesPrefix.size());
    const std::string tenant = key.substr(kNamesPrefix.size(), end - kNamesPrefix.size());
    if (end == std::string::npos || !is_name(tenant)) {
      return fail(ErrorCode::kCorrupt, quote(key) + " in " + store_.describe() +
                                           " belongs to no tenant; remove it by hand");
    }
    // Keys of one tenant are neighbours.
    if (found.empty() || found.back() != tenant) found.push_back(tenant);
    return {};
  }));
  std::sort(found.begin(), found.end());  // "a-b/" stands before "a/" in the listing
  return found;
}

Result<Bytes> Catalog::read_manifest(const NameTarget& target) const {
  const std::string key = manifest_key(target.root_id, target.manifest);
  ASSIGN_OR_RETURN(Bytes bytes, store_.get(key, kSealedObjectBytesMax));
  if (manifest_id(bytes) != target.manifest) {
    return fail(ErrorCode::kCorrupt, key + " in " + store_.describe() +
                                         " does not have the content of its name; fetch it again, "
                                         "or freeze the snapshot anew");
  }
  return bytes;
}

Result<void> Catalog::write_manifest(const NameTarget& target, ByteSpan bytes) {
  CHECK(manifest_id(bytes) == target.manifest);
  const PutRequest request{manifest_key(target.root_id, target.manifest), bytes};
  TRY(store_.put_if_absent({&request, 1}));
  return {};
}

}  // namespace thaw
