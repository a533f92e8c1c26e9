// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/crypto/keyring.h"

namespace thaw {

Result<void> run_init(const Settings& settings, Output& out) {
  ASSIGN_OR_RETURN(const auto store, create_store(settings));
  Catalog catalog(*store);
  ASSIGN_OR_RETURN(const auto roots, catalog.roots());
  TRY(catalog.initialise());
  ASSIGN_OR_RETURN(const uint64_t root, catalog.active_root());
  out.say((roots.empty() ? "made the store " : "the store exists already: ") + store->describe() +
          ", active root " + std::to_string(root) + "\n");

  Result<Keyring> keyring = Keyring::load(settings.keyring, settings.tenant);
  const bool made_key = !keyring && keyring.error().code == ErrorCode::kNotFound;
  if (made_key) keyring = Keyring::create(settings.keyring, settings.tenant);
  if (!keyring) return fail(std::move(keyring).error());
  out.say((made_key ? "made a key for tenant " : "a key exists already for tenant ") +
          settings.tenant + " in " + settings.keyring + "\n");
  if (made_key) out.say("keep a copy of that directory: without the key no snapshot can be read\n");
  out.result()
      .set("store", store->describe())
      .set("store_created", roots.empty())
      .set("root", root)
      .set("tenant", settings.tenant)
      .set("keyring", settings.keyring)
      .set("key_created", made_key)
      .set("active_key", keyring->active_id());
  return {};
}

}  // namespace thaw
