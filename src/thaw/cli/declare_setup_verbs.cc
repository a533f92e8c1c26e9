// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/verbs.h"

namespace thaw {

void declare_setup_verbs(VerbList& verbs) {
  verbs.add(
      {"init", "Make the store, and the tenant's key if it has none. Repeating it changes nothing.",
       "  thaw init --store dir:/var/lib/thaw --keyring /etc/thaw/keys"},
      run_init);

  VerbList key = verbs.add_group(
      {"key",
       "Manage master keys of tenants. They wrap the keys of snapshots and never leave the "
       "keyring.",
       "  thaw key rotate --tenant default"});
  key.add({"create", "Make a keyring for the tenant: a master key and a domain secret.",
           "  thaw key create --tenant acme --keyring /etc/thaw/keys"},
          run_key_create);
  key.add({"list", "List the tenants that have a keyring, and their keys' ages.",
           "  thaw key list --keyring /etc/thaw/keys"},
          run_key_list);
  auto [options, request] = key.add<KeyRotateRequest>(
      {"rotate",
       "Make a new master key and put every manifest of the tenant in the store under it. Chunks "
       "are not touched. Interrupted, it leaves everything readable: --rewrap-only completes it. "
       "The old key stays until `thaw key drop-retired`. Do not freeze with --replace meanwhile.",
       "  thaw key rotate --tenant acme --store dir:/var/lib/thaw"},
      run_key_rotate);
  options.flag("--rewrap-only", request.rewrap_only,
               "Make no key; put under the active one what is not yet");
  key.add({"drop-retired",
           "Forget the retired master keys. Refused while a manifest in the store needs one; look "
           "after other stores of the tenant, and processes that still run with an old key, "
           "yourself.",
           "  thaw key drop-retired --tenant acme --store dir:/var/lib/thaw"},
          run_key_drop_retired);
}

}  // namespace thaw
