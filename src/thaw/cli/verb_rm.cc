// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

namespace thaw {

Result<void> run_rm(const Settings& settings, const RmRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  ASSIGN_OR_RETURN(const auto store, open_store(settings));
  Catalog catalog(*store);
  TRY(catalog.unbind(settings.tenant, request.name));
  out.say("removed the name " + request.name + "; its chunks stay in " + store->describe() +
          " until they are collected\n");
  out.result().set("name", request.name).set("removed", true).set("chunks_removed", 0);
  return {};
}

}  // namespace thaw
