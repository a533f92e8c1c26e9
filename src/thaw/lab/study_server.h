// SPDX-License-Identifier: Apache-2.0
//
// StudyServer: the page server of the study and the baseline of thaw's own benches. One thread
// installs one page for each fault; what was recorded is loaded before the guest runs, on that
// thread (REAP as published, Ustiugov et al., ASPLOS 2021), or by a second one while it runs
// (FaaSnap's loader, Ao et al., EuroSys 2022; a page server installs where the published VMM maps),
// or not at all. Where its bytes come from is the file's matter (lab/study_file.h): over a plain
// file it is the plain REAP that everything is compared with.
//
// Given every advantage: what is loaded ahead stands in a compact file in the order of loading, so
// that neighbours are one install; the list of pages is in memory already; so is the buffer, with
// its pages present.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/latency_shape.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/image/page_trace.h"
#include "thaw/lab/study_image.h"
#include "thaw/lab/vmm_connection.h"

namespace thaw {

/// What the server loads that no fault has asked for.
enum class StudyAhead { kNothing, kReap, kFaasnap };

struct StudyServerOptions {
  MemoryLayers memory;       // plain, on a disk
  std::string working_path;  // files are made beside this name
  StudyFileOptions file;
};

/// How a resume was served.
struct StudyRun {
  StudyCost image;    // what faults asked for
  StudyCost compact;  // what was loaded ahead
  uint64_t install_ns = 0;
  uint64_t faults = 0;
};

/// Belongs to one thread.
class StudyServer {
 public:
  /// Makes its files.
  static Result<StudyServer> make(const StudyServerOptions& options, const PageTrace& recorded);

  struct Way {
    StudyAhead ahead = StudyAhead::kReap;
    std::optional<LatencyShape> shape;
    uint64_t seed = 1;
  };
  /// Serves a VMM with one region until it has ended. Nothing comes from the page cache.
  Result<StudyRun> serve(const GreetedVmm& vmm, const Way& way);

  /// That REAP installs.
  uint64_t pages() const;

 private:
  /// What a technique loads ahead.
  struct LoadingSet {
    std::vector<PageRuns> groups;
    StudyFile file;        // their pages in this order
    AlignedBuffer buffer;  // room for the largest group
  };

  explicit StudyServer(StudyImage image) : image_(std::move(image)) {}

  static Result<LoadingSet> make_set(std::vector<PageRuns> groups, ByteSpan memory,
                                     const std::string& path, const StudyFileOptions& options);
  static Result<void> load(LoadingSet& set, const Handshake& vmm, uint64_t& install_ns,
                           const std::atomic<bool>& stop);
  Result<void> serve_faults(const GreetedVmm& vmm, StudyRun& run);

  StudyImage image_;
  std::map<StudyAhead, LoadingSet> sets_;
  AlignedBuffer one_{kPageBytes};
};

}  // namespace thaw
