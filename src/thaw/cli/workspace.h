// SPDX-License-Identifier: Apache-2.0
//
// Workspace: the store, its catalog and the tenant's keys that a verb works with, opened from the
// settings; and a snapshot opened from them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/cli/settings.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/image/manifest.h"
#include "thaw/store/catalog.h"
#include "thaw/store/object_store.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// The configured store. kInvalid if none is configured or the address is none; kUnsupported for
/// s3://; kNotFound if the directory is missing.
Result<std::unique_ptr<ObjectStore>> open_store(const Settings& settings);
/// The same, making what is missing.
Result<std::unique_ptr<ObjectStore>> create_store(const Settings& settings);

/// The tenant's keys. Errors of Keyring::load(), with what to do.
Result<std::unique_ptr<KeyProvider>> load_keys(const Settings& settings);

/// Movable; one thread at a time, the parts as they say.
class Workspace {
 public:
  static Result<Workspace> open(const Settings& settings);

  Catalog& catalog() { return catalog_; }
  const KeyProvider& keys() const { return *keys_; }

 private:
  Workspace(std::unique_ptr<ObjectStore> store, std::unique_ptr<KeyProvider> keys)
      : store_(std::move(store)), keys_(std::move(keys)), catalog_(*store_) {}

  std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<KeyProvider> keys_;
  Catalog catalog_;
};

struct OpenedSnapshot {
  NameTarget target;
  uint64_t manifest_bytes = 0;
  Manifest manifest;
};

/// Reads where a name points and the manifest there, again if the name moved meanwhile.
Result<std::pair<NameTarget, Bytes>> read_named_manifest(const Catalog& catalog,
                                                         std::string_view tenant,
                                                         std::string_view name);
/// The snapshot, its manifest verified and opened with the key. kDenied, kCorrupt and the rest name
/// the snapshot.
Result<OpenedSnapshot> open_snapshot(const Catalog& catalog, const KeyProvider& keys,
                                     std::string_view name);

/// Fills the tiers that the checked request names with the snapshot's chunks and says so.
struct WarmRequest;
class Output;
Result<void> warm_snapshot(const Settings& settings, Workspace& workspace, const Manifest& manifest,
                           const WarmRequest& request, Output& out);

/// Waits until every node is connected, for a second or two; kUnavailable names those that are not.
Result<void> wait_for_zone(const ZoneClient& zone);

/// The read path of a verb that serves pages: workers and tiers, in the order in which they must
/// end. Borrows the store.
class ReadPath {
 public:
  /// Errors of TierStack::create().
  static Result<std::unique_ptr<ReadPath>> open(const ObjectStore& store,
                                                const WorkerOptions& workers,
                                                const TierOptions& tiers);
  ReadPath(const ReadPath&) = delete;
  ReadPath& operator=(const ReadPath&) = delete;

  WorkerPool& workers() { return workers_; }
  ChunkSource& source() { return tiers_->top(); }
  TierStack& tiers() { return *tiers_; }

 private:
  explicit ReadPath(const WorkerOptions& workers)
      : workers_(workers.thread_count(), workers.queue_max, workers.cores) {}

  WorkerPool workers_;
  std::unique_ptr<TierStack> tiers_;
};

}  // namespace thaw
