// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/amount_text.h"
#include "thaw/cli/export_images.h"
#include "thaw/cli/snapshot_shape.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

namespace thaw {
namespace {

Result<std::vector<WantedImage>> wanted_images(const ExportRequest& request) {
  std::vector<WantedImage> wanted;
  if (!request.memory.empty()) wanted.push_back({ImageKind::kMemory, "", request.memory});
  if (!request.vmstate.empty()) wanted.push_back({ImageKind::kVmstate, "", request.vmstate});
  for (const std::string& text : request.disks) {
    ASSIGN_OR_RETURN(const auto disk, split_pair("--disk", text));
    if (disk.second.empty()) return fail(ErrorCode::kInvalid, "--disk needs a file behind the '='");
    wanted.push_back({ImageKind::kDisk, disk.first, disk.second});
  }
  if (wanted.empty()) {
    return fail(ErrorCode::kInvalid,
                "nothing to export: give --memory FILE, --vmstate FILE or --disk NAME=FILE");
  }
  return wanted;
}

}  // namespace

Result<void> run_export(const Settings& settings, const ExportRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  ASSIGN_OR_RETURN(const std::vector<WantedImage> wanted, wanted_images(request));
  ExportOptions options;
  options.threads = static_cast<unsigned>(request.threads.value_or(settings.config.freeze.threads));
  options.overwrite = request.overwrite;
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(const OpenedSnapshot snapshot,
                   open_snapshot(workspace.catalog(), workspace.keys(), request.name));
  ASSIGN_OR_RETURN(const auto exported,
                   export_images(workspace.catalog().store(), snapshot.manifest, request.name,
                                 wanted, options, out));
  std::vector<JsonObject> objects;
  for (const auto& [image, stats] : exported) {
    out.say("wrote " + image.path + ": " + human_bytes(stats.bytes_total) + ", " +
            human_bytes(stats.bytes_written) + " of it data, " + format_seconds(stats.seconds) +
            "\n");
    objects.emplace_back()
        .set("kind", to_string(image.kind))
        .set("path", image.path)
        .set("bytes_total", stats.bytes_total)
        .set("bytes_written", stats.bytes_written)
        .set("chunks_read", stats.chunks_read)
        .set("seconds", stats.seconds);
  }
  out.result().set("name", request.name).set("files", objects);
  return {};
}

}  // namespace thaw
