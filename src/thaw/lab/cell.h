// SPDX-License-Identifier: Apache-2.0
//
// Cell: one point of a scenario's matrix, a way to resume one function from one kind of storage.
// Its key is text, stable between versions, by which results are found again.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/lab/guest_vmm.h"

namespace thaw {

/// What the memory image is kept as.
enum class LabStorage {
  kPlain,             // a file
  kEncrypted,         // the file, each page encrypted
  kChunked,           // chunks, which are read and verified whole
  kChunkedEncrypted,  // chunks, which are read, verified and decrypted whole by the study's server,
                      // and as thaw has them for thaw's techniques
};

/// How a resume gets its pages. The kernel's own ways, on a plain file:
/// present (all memory there before the guest runs: the floor), mapping (a private mapping, page
/// cache cold), mapping_cached. The study's: a page server with one thread that reads and installs
/// one after the other, study_on_demand and study_reap; study_faasnap has a second thread that
/// loads while the guest runs. Thaw's strategies (resume/strategy.h).
enum class Technique {
  kPresent,
  kMapping,
  kMappingCached,
  kStudyOnDemand,
  kStudyReap,
  kStudyFaasnap,
  kOnDemand,
  kReap,
  kFaasnap,
  kChunks,
  kHot,
};

/// Where the chunks are when the resume begins; everything above is empty.
enum class LabTier {
  kMemory,
  kLocal,
  kZone,        // real memcached servers, erasure-coded; their answers shaped as a zone's
  kOrigin,      // shaped as an object store; there is no other tier
  kEmptyFleet,  // the same, below a zone that is asked first, has nothing and is filled meanwhile
};
/// How the guest's memory is had: a page server's userfaultfd, or a private mapping of a file of
/// thaw's mount.
enum class LabFrontend { kUffd, kMount };
/// kDiff: a child of another snapshot, which differs in the pages that the recorded call wrote.
enum class LabSnapshot { kFull, kDiff };
/// Whether several resumes at once are of one snapshot, or of as many children of one parent, each
/// with a working set of its own content.
enum class LabClones { kSame, kDifferent };
/// Whose guest it is: the replay VMM's, or a real one in QEMU or Firecracker (lab/real_vmm.h).
enum class LabDriver { kReplay, kQemu, kFirecracker };

/// Which input the function is called with, compared with the recorded call.
enum class LabInput { kSame, kOther };

/// What a technique of thaw's does without: the ablation.
enum class Without {
  kNothing,
  kLayout,      // `hot` over chunks in order of address: whole chunks that hold recorded pages
  kPageVerify,  // what the local disk yields is hashed whole
  kPageFill,    // a fault decrypts and installs all of its chunk
  kOverlap,     // one chunk at a time is loaded ahead
  kPlacement,   // faults are served where the scheduler likes, not on the core of the thread that
                // waits
};

struct Cell {
  LabStorage storage = LabStorage::kPlain;
  uint64_t chunk_bytes = 512 * 1024;  // of no matter where nothing is chunked
  Technique technique = Technique::kStudyReap;
  LabTier tier = LabTier::kLocal;
  std::string function = "json";
  LabInput input = LabInput::kSame;
  uint64_t parallel = 1;  // resumes at once
  Without without = Without::kNothing;
  LabFrontend frontend = LabFrontend::kUffd;
  LabSnapshot snapshot = LabSnapshot::kFull;
  LabClones clones = LabClones::kSame;
  LabDriver driver = LabDriver::kReplay;

  /// "storage=plain technique=study_reap tier=local function=json ...": axes that matter, in a
  /// fixed order.
  std::string key() const;
  /// The key for people: without the axes that have their default and no matter.
  std::string label() const;
  friend auto operator<=>(const Cell&, const Cell&) = default;
};

/// By thaw's own sessions, over a thaw store.
bool is_ours(Technique technique);
/// By the kernel, without a page server.
bool is_kernels(Technique technique);

/// The VMM of a cell with a real guest; nothing for a replayed one.
std::optional<GuestVmm> real_vmm_of(const Cell& cell);

/// Why the cell makes no sense, or nothing if it does.
std::optional<std::string> excluded(const Cell& cell);

/// An axis as a scenario names it, and the words of its values; empty for numbers and functions.
struct LabAxis {
  std::string name;
  std::vector<std::string> words;
};
const std::vector<LabAxis>& lab_axes();

/// Sets the axis to the value. kInvalid, with what is known, for an axis or a value that is not.
Result<void> set_axis(Cell& cell, std::string_view axis, std::string_view value);
/// The value as set_axis() takes it. Aborts for an axis that does not exist.
std::string axis_value(const Cell& cell, std::string_view axis);

}  // namespace thaw
