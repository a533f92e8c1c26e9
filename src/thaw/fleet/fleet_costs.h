// SPDX-License-Identifier: Apache-2.0
//
// FleetCosts: what the operations of a worker cost, measured (measure_costs.h), as a JSON file that
// says where. Parsed as hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "thaw/base/result.h"

namespace thaw {

inline constexpr uint64_t kCostsBytesMax = 64 * 1024;
/// No operation on one chunk costs more than a minute.
inline constexpr uint64_t kCostNsMax = 60'000'000'000;

/// Nanoseconds for one whole chunk of `chunk_bytes`.
struct FleetCosts {
  uint32_t chunk_bytes = 0;
  uint64_t memory_hit_ns = 0;  // lookup in the memory tier
  uint64_t local_read_ns = 0;  // direct I/O, and a checksum of each page
  uint64_t verify_ns = 0;      // SHA-256 tree, of what comes from zone or origin
  uint64_t decrypt_ns = 0;
  uint64_t install_ns = 0;  // UFFDIO_COPY in one run

  // Where, for people.
  std::string cpu;
  std::string kernel;
  uint64_t cores = 0;
  std::string disk;  // the file system that local_read_ns is of
  std::string at;    // UTC, ISO 8601
  std::string thaw_version;

  /// What `bytes` cost instead of one chunk of chunk_bytes: all in proportion, but the lookup.
  FleetCosts for_bytes(uint64_t bytes) const;
};

/// Several lines, with the end of the last.
std::string encode_costs(const FleetCosts& costs);
/// kInvalid, with `source` and what is wrong: no JSON, a missing or unknown member, a wrong type or
/// range.
Result<FleetCosts> decode_costs(std::string_view text, const std::string& source);
/// kNotFound if there is no such file.
Result<FleetCosts> read_costs(const std::string& path);

}  // namespace thaw
