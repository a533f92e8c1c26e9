// SPDX-License-Identifier: Apache-2.0
//
// StudyServer: the page server of the study and the baseline of thaw's own benches: one thread,
// which installs what was recorded before the guest runs (REAP as published, Ustiugov et al.,
// ASPLOS 2021), or nothing, and then one page for each fault. Where its bytes come from is the
// file's matter (lab/study_file.h): over a plain file it is the plain REAP that everything is
// compared with.
//
// Given every advantage: recorded pages stand in order of address in a compact file, so that
// neighbours are one install; the list of pages is in memory already; so is the buffer, with its
// pages present.
#pragma once

#include <string>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/latency_shape.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/image/page_trace.h"
#include "thaw/lab/study_file.h"
#include "thaw/lab/vmm_connection.h"

namespace thaw {

struct StudyServerOptions {
  std::string image_path;    // the plain memory image, on a disk
  std::string working_path;  // files are made beside this name
  StudyFileOptions file;
};

/// How a resume was served.
struct StudyRun {
  StudyCost image;    // pages that were not recorded
  StudyCost compact;  // the recorded ones
  uint64_t install_ns = 0;
  uint64_t faults = 0;
};

/// Belongs to one thread.
class StudyServer {
 public:
  /// Makes its files.
  static Result<StudyServer> make(const StudyServerOptions& options, const PageTrace& recorded);

  struct Way {
    bool reap = true;  // else on demand
    std::optional<LatencyShape> shape;
    uint64_t seed = 1;
  };
  /// Serves a VMM with one region until it has ended. Nothing comes from the page cache.
  Result<StudyRun> serve(GreetedVmm& vmm, const Way& way);

  uint64_t pages() const { return buffer_.size() / kPageBytes; }

 private:
  StudyServer(StudyFile image, StudyFile compact, std::vector<PageRun> runs, AlignedBuffer buffer)
      : image_(std::move(image)),
        compact_(std::move(compact)),
        runs_(std::move(runs)),
        buffer_(std::move(buffer)) {}

  Result<void> install_recorded(const GreetedVmm& vmm, StudyRun& run);
  Result<void> serve_faults(GreetedVmm& vmm, StudyRun& run);

  StudyFile image_;
  StudyFile compact_;
  std::vector<PageRun> runs_;  // ascending; they stand in the compact file in this order
  AlignedBuffer buffer_;
  AlignedBuffer one_{kPageBytes};
};

}  // namespace thaw
