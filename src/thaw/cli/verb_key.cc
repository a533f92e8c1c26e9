// SPDX-License-Identifier: Apache-2.0
#include <chrono>

#include "thaw/base/name.h"
#include "thaw/base/utc_text.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/rewrap.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/crypto/file_key_provider.h"
#include "thaw/crypto/keyring.h"

namespace thaw {
namespace {

std::string utc(uint64_t seconds) {
  return utc_text(std::chrono::system_clock::from_time_t(static_cast<time_t>(seconds)));
}

JsonObject describe(const KeyringInfo& info) {
  JsonObject object;
  object.set("tenant", info.tenant)
      .set("active_key", info.active_id)
      .set("created", utc(info.created))
      .set("keys", info.keys);
  return object;
}

/// Rewraps the tenant's manifests in `store` and reports.
Result<void> rewrap(ObjectStore& store, const Settings& settings, Output& out) {
  Catalog catalog(store);
  // Loaded anew: the provider has to know the key that was made just now.
  ASSIGN_OR_RETURN(const auto keys, load_keys(settings));
  ASSIGN_OR_RETURN(const RewrapReport report, rewrap_tenant(catalog, *keys));
  out.result()
      .set("manifests_rewrapped", report.rewrapped)
      .set("manifests_current", report.current)
      .set("names_rebound", report.rebound)
      .set("manifests_failed", report.failures.size());
  out.say("rewrapped " + format_count(report.rewrapped, "manifest") + " in " + store.describe() +
          " (" + std::to_string(report.current) + " were current)\n");
  if (report.failures.empty()) return {};
  for (size_t i = 1; i < report.failures.size(); ++i) out.note(report.failures[i].message);
  return fail(Error(report.failures.front())
                  .with_context(format_count(report.failures.size(), "failure") +
                                "; when the cause is gone run `thaw key rotate --rewrap-only`"));
}

}  // namespace

Result<void> run_key_create(const Settings& settings, Output& out) {
  ASSIGN_OR_RETURN(const Keyring keyring, Keyring::create(settings.keyring, settings.tenant));
  out.say("made a key for tenant " + settings.tenant + " in " + settings.keyring +
          "\nkeep a copy of that directory: without the key no snapshot can be read\n");
  out.result() = describe(keyring.info());
  return {};
}

Result<void> run_key_list(const Settings& settings, Output& out) {
  ASSIGN_OR_RETURN(const std::vector<KeyringInfo> keyrings, Keyring::list(settings.keyring));
  TextTable table;
  table.add({"TENANT", "ACTIVE", "CREATED", "RETIRED"});
  std::vector<JsonObject> objects;
  for (const KeyringInfo& info : keyrings) {
    table.add({info.tenant, std::to_string(info.active_id), utc(info.created),
               std::to_string(info.keys - 1)});
    objects.push_back(describe(info));
  }
  out.say(table.text());
  out.result().set("keyring", settings.keyring).set("tenants", objects);
  return {};
}

Result<void> run_key_rotate(const Settings& settings, const KeyRotateRequest& request,
                            Output& out) {
  // Opened before a key is made: a rotation that cannot be completed should not begin.
  std::unique_ptr<ObjectStore> store;
  if (settings.store) {
    ASSIGN_OR_RETURN(store, open_store(settings));
  } else if (request.rewrap_only) {
    return fail(open_store(settings).error());
  }
  ASSIGN_OR_RETURN(Keyring keyring, Keyring::load(settings.keyring, settings.tenant));
  if (!request.rewrap_only) {
    TRY(keyring.rotate());
    out.say("tenant " + settings.tenant + " has a new active key, " +
            std::to_string(keyring.active_id()) + "\n");
  }
  out.result() = describe(keyring.info());
  if (store) return rewrap(*store, settings, out);
  out.note(
      "no store is configured, so no manifest was rewrapped; run `thaw key rotate --rewrap-only` "
      "with --store for each store of the tenant, and keep the retired keys until then");
  return {};
}

Result<void> run_key_drop_retired(const Settings& settings, Output& out) {
  // Loaded before the store is looked at: only keys that were retired by then are dropped.
  ASSIGN_OR_RETURN(const auto store, open_store(settings));
  ASSIGN_OR_RETURN(Keyring keyring, Keyring::load(settings.keyring, settings.tenant));
  ASSIGN_OR_RETURN(const auto keys, load_keys(settings));
  Catalog catalog(*store);
  ASSIGN_OR_RETURN(const std::vector<std::string> waiting, names_to_rewrap(catalog, *keys));
  if (!waiting.empty()) {
    return fail(ErrorCode::kInvalid,
                "no key is dropped: " + format_count(waiting.size(), "snapshot") + " in " +
                    store->describe() + ", " + quote(waiting.front()) +
                    " for one, would be lost with it; run `thaw key rotate --rewrap-only` first");
  }
  ASSIGN_OR_RETURN(const size_t dropped, keyring.drop_retired());
  out.say("dropped " + format_count(dropped, "retired key") + " of tenant " + settings.tenant +
          "\n");
  out.result().set("tenant", settings.tenant).set("keys_dropped", dropped);
  return {};
}

}  // namespace thaw
