// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/export_images.h"

#include "thaw/base/name.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/snapshot_shape.h"

namespace thaw {

Result<std::vector<ExportedImage>> export_images(const ObjectStore& store, const Manifest& manifest,
                                                 const std::string& snapshot,
                                                 const std::vector<WantedImage>& wanted,
                                                 const ExportOptions& options, const Output& out) {
  std::vector<const Image*> images;
  for (const WantedImage& want : wanted) {
    images.push_back(manifest.find(want.kind, want.disk));
    if (images.back() != nullptr) continue;
    return fail(ErrorCode::kNotFound,
                "snapshot " + quote(snapshot) + " has no " + to_string(want.kind) +
                    (want.kind == ImageKind::kDisk ? " " + quote(want.disk) : std::string()) +
                    "; `thaw show` lists what it has");
  }
  std::vector<ExportedImage> exported;
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("export " + snapshot, out));
  for (size_t i = 0; i < wanted.size(); ++i) {
    job->progress().bytes_done = 0;
    ASSIGN_OR_RETURN(
        const ExportStats stats,
        export_image(store, manifest, *images[i], wanted[i].path, options, job->progress()));
    exported.push_back({wanted[i], stats});
  }
  return exported;
}

Result<void> export_vmstate(const ObjectStore& store, const Manifest& manifest,
                            const std::string& snapshot, const std::string& path,
                            const ExportOptions& options, Output& out) {
  TRY(export_images(store, manifest, snapshot, {{ImageKind::kVmstate, "", path}}, options, out));
  JsonObject event;
  event.set("event", "vmstate").set("path", path);
  out.event(event, "vmstate is in " + path);
  return {};
}

}  // namespace thaw
