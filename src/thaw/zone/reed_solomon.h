// SPDX-License-Identifier: Apache-2.0
//
// ReedSolomon: parity of k data stripes, and lost data stripes from any k that are left. With one
// parity stripe it is their XOR; with more the rows of a Cauchy matrix over GF(2^8), of which every
// square part can be inverted (Intel ISA-L does the arithmetic). FORMAT.md has the coefficients.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thaw/base/bytes.h"

namespace thaw {

/// Immutable after construction: usable by many threads at once.
///
/// All stripes have one size, but for the last data stripe, which may be up to kStripeTailMax bytes
/// shorter and counts as filled up with zeros.
class ReedSolomon {
 public:
  struct Piece {
    unsigned index = 0;
    ByteSpan bytes{};
  };
  struct Missing {
    unsigned index = 0;
    MutableByteSpan out{};
  };

  /// Bounds as of validate_stripe_shape().
  ReedSolomon(unsigned data, unsigned parity);

  /// Fills `parity` from `data`, which are all of them in order. 512 KiB as 4 + 1 take about 7 us.
  void encode(std::span<const ByteSpan> data, std::span<const MutableByteSpan> parity) const;

  /// Fills in missing data stripes from exactly k others of distinct index, none of them missing.
  void reconstruct(std::span<const Piece> present, std::span<const Missing> missing) const;

 private:
  void reconstruct_by_matrix(std::span<const Piece> present,
                             std::span<const Missing> missing) const;

  const unsigned data_;
  const unsigned parity_;
  std::vector<uint8_t> matrix_;  // (data + parity) rows of data coefficients; unit rows first
  std::vector<uint8_t> parity_tables_;  // the parity rows, as ISA-L wants them
};

}  // namespace thaw
