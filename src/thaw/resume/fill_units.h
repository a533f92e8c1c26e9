// SPDX-License-Identifier: Apache-2.0
//
// FillUnits: what UnitFiller fetches and installs together.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "thaw/resume/guest_memory.h"
#include "thaw/resume/resume_image.h"
#include "thaw/resume/scratch.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// Immutable; called from many threads. The installing members pass the install gate themselves and
/// leave out pages that are present or were given back.
class FillUnits {
 public:
  virtual ~FillUnits() = default;

  /// Units are numbered from 0.
  virtual uint32_t count() const = 0;
  /// The unit of a page; nullopt if everything it would install is zero.
  virtual std::optional<uint32_t> unit_of(uint64_t page) const = 0;
  virtual uint64_t first_page(uint32_t unit) const = 0;
  /// The chunks that the unit needs, at least one.
  virtual std::vector<uint32_t> chunks_of(uint32_t unit) const = 0;

  /// Installs what a guest thread waits for and wakes it: a page of the chunk, or the huge page.
  virtual PlaceResult install_faulting(uint32_t unit, std::span<const ChunkRef> chunks,
                                       uint64_t page, Scratch& scratch) const = 0;
  /// Installs all of the unit that is absent.
  virtual PlaceResult install_rest(uint32_t unit, std::span<const ChunkRef> chunks,
                                   Scratch& scratch) const = 0;

  /// For a prefault: units in order of address, each once, and the zero runs apart from them in
  /// pieces of at most kZeroRunPagesMax.
  virtual std::vector<uint32_t> order() const = 0;
  virtual std::vector<PageRun> zero_runs() const = 0;
};

/// About 50 us of installing, during which the install gate cannot close.
inline constexpr uint64_t kZeroRunPagesMax = 512;

/// The units that fit the VMM's pages: chunks, or huge pages. Borrows both.
std::unique_ptr<FillUnits> make_fill_units(const ResumeImage& image, GuestMemory& memory);

}  // namespace thaw
