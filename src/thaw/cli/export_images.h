// SPDX-License-Identifier: Apache-2.0
//
// Exporting images in the foreground, for the verbs export, restore and record.
#pragma once

#include <string>
#include <vector>

#include "thaw/cli/output.h"
#include "thaw/freeze/snapshot_export.h"
#include "thaw/image/manifest.h"
#include "thaw/store/object_store.h"

namespace thaw {

struct WantedImage {
  ImageKind kind = ImageKind::kMemory;
  std::string disk;  // its name, for disks
  std::string path;
};

struct ExportedImage {
  WantedImage wanted;
  ExportStats stats;
};

/// Writes each image to its path, in turn; kNotFound, before anything is written, if the snapshot
/// has no such image. Errors of export_image(); the images before the one that failed are there.
Result<std::vector<ExportedImage>> export_images(const ObjectStore& store, const Manifest& manifest,
                                                 const std::string& snapshot,
                                                 const std::vector<WantedImage>& wanted,
                                                 const ExportOptions& options, const Output& out);

/// Writes the device state to `path` and says so in an event, for verbs that go on with a resume.
Result<void> export_vmstate(const ObjectStore& store, const Manifest& manifest,
                            const std::string& snapshot, const std::string& path,
                            const ExportOptions& options, Output& out);

}  // namespace thaw
