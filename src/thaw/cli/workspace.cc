// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/workspace.h"

#include "thaw/base/name.h"
#include "thaw/crypto/file_key_provider.h"
#include "thaw/crypto/keyring.h"
#include "thaw/s3/s3_address.h"
#include "thaw/s3/s3_store.h"
#include "thaw/store/dir_store.h"

namespace thaw {
namespace {

constexpr std::string_view kDirScheme = "dir:";
/// A name that moves this often while it is read is being rebound in a loop.
constexpr int kReadsMax = 5;

constexpr std::string_view kS3Scheme = "s3://";

Result<std::string> store_address(const Settings& settings) {
  if (settings.store) return *settings.store;
  return fail(ErrorCode::kInvalid,
              "no store is configured; give --store dir:PATH or --store s3://BUCKET/PREFIX, set "
              "THAW_STORE, or set store in " +
                  settings.config_path.value_or(kDefaultConfig));
}

Result<std::string> directory_of(const std::string& address) {
  if (!address.starts_with(kDirScheme) || address.size() == kDirScheme.size()) {
    return fail(ErrorCode::kInvalid,
                "the store " + quote(address) +
                    " is no address; write it as dir:PATH or s3://BUCKET/PREFIX");
  }
  return address.substr(kDirScheme.size());
}

Result<std::unique_ptr<S3Store>> make_s3_store(const Settings& settings,
                                               const std::string& address) {
  ASSIGN_OR_RETURN(const S3Address parsed, S3Address::parse(address));
  S3Options options = settings.config.s3;
  options.bucket = parsed.bucket;
  options.prefix = parsed.prefix;
  const S3StaticKey& key = settings.config.s3_key;
  S3CredentialSources sources;
  sources.access_key_id = key.access_key_id;
  sources.secret_access_key = key.secret_access_key;
  sources.session_token = key.session_token;
  ASSIGN_OR_RETURN(S3Credentials credentials, load_s3_credentials(sources));
  return S3Store::create(options, std::move(credentials));
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_store(const Settings& settings) {
  ASSIGN_OR_RETURN(const std::string address, store_address(settings));
  if (address.starts_with(kS3Scheme)) {
    ASSIGN_OR_RETURN(auto store, make_s3_store(settings, address));
    return store;
  }
  ASSIGN_OR_RETURN(const std::string directory, directory_of(address));
  return DirStore::open(directory);
}

Result<std::unique_ptr<ObjectStore>> create_store(const Settings& settings) {
  ASSIGN_OR_RETURN(const std::string address, store_address(settings));
  if (address.starts_with(kS3Scheme)) {
    ASSIGN_OR_RETURN(auto store, make_s3_store(settings, address));
    TRY(store->create_bucket());
    return store;
  }
  ASSIGN_OR_RETURN(const std::string directory, directory_of(address));
  return DirStore::create(directory);
}

Result<std::unique_ptr<ReadPath>> ReadPath::open(const ObjectStore& store,
                                                 const WorkerOptions& workers,
                                                 const TierOptions& tiers) {
  std::unique_ptr<ReadPath> path(new ReadPath(workers));
  ASSIGN_OR_RETURN(path->tiers_, TierStack::create(store, path->workers_, tiers));
  return path;
}

Result<std::unique_ptr<KeyProvider>> load_keys(const Settings& settings) {
  ASSIGN_OR_RETURN(Keyring keyring, Keyring::load(settings.keyring, settings.tenant));
  return std::make_unique<FileKeyProvider>(std::move(keyring));
}

Result<Workspace> Workspace::open(const Settings& settings) {
  ASSIGN_OR_RETURN(auto store, open_store(settings));
  ASSIGN_OR_RETURN(auto keys, load_keys(settings));
  return Workspace(std::move(store), std::move(keys));
}

Result<std::pair<NameTarget, Bytes>> read_named_manifest(const Catalog& catalog,
                                                         std::string_view tenant,
                                                         std::string_view name) {
  for (int reads = 1;; ++reads) {
    ASSIGN_OR_RETURN(const NameTarget target, catalog.resolve(tenant, name));
    Result<Bytes> bytes = catalog.read_manifest(target);
    if (bytes) return std::pair(target, std::move(*bytes));
    Error error = std::move(bytes).error();
    if (error.code == ErrorCode::kNotFound) {
      // A rotation removes a manifest once the name points at its successor.
      ASSIGN_OR_RETURN(const NameTarget now, catalog.resolve(tenant, name));
      if (now != target && reads < kReadsMax) continue;
      error.code = ErrorCode::kCorrupt;
    }
    return fail(std::move(error).with_context("the manifest of snapshot " + quote(name)));
  }
}

Result<OpenedSnapshot> open_snapshot(const Catalog& catalog, const KeyProvider& keys,
                                     std::string_view name) {
  ASSIGN_OR_RETURN(const auto found, read_named_manifest(catalog, keys.tenant(), name));
  const auto& [target, bytes] = found;
  const std::string context = "snapshot " + quote(name) + ", " +
                              manifest_key(target.root_id, target.manifest) + " in " +
                              catalog.store().describe();
  Result<Manifest> manifest = decode_manifest(bytes, keys);
  if (!manifest) {
    Error error = std::move(manifest).error();
    // Its digest is right, so that whoever wrote the name wrote this.
    if (error.code == ErrorCode::kInvalid) error.code = ErrorCode::kCorrupt;
    return fail(std::move(error).with_context(context));
  }
  if (manifest->clear.root_id != target.root_id) {
    return fail(ErrorCode::kCorrupt, context + ": the manifest belongs to another root");
  }
  return OpenedSnapshot{target, bytes.size(), std::move(*manifest)};
}

}  // namespace thaw
