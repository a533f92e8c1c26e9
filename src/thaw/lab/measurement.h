// SPDX-License-Identifier: Apache-2.0
//
// Measurement: one resume, or several at once, of one cell, as a line of results.jsonl; and the
// header that stands before all of them. Names in the JSON are those of the members.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/lab/cell.h"

namespace thaw {

struct Measurement {
  Cell cell;
  uint64_t repetition = 0;  // warm-up rounds come first
  bool warm_up = false;     // measured like all others, and left out of every statistic
  uint64_t seed = 0;        // of the shapes' delays
  std::string at;           // UTC, ISO 8601

  /// From before the VMM's handshake to its last touch; one figure a clone.
  std::vector<double> resume_ms;
  /// Of the first clone: first touches of pages, what they took.
  uint64_t touches = 0;
  uint64_t touch_p50_ns = 0, touch_p90_ns = 0, touch_p99_ns = 0, touch_max_ns = 0;
  double touch_mean_ns = 0;
  /// Of the same, at each of kTouchPercents (replay/replay_vmm_options.h).
  std::vector<uint64_t> touch_ns;

  /// Of all clones. A stage is 0 where nothing measures it.
  uint64_t fetch_ns = 0, verify_ns = 0, decrypt_ns = 0, install_ns = 0;
  uint64_t faults = 0;    // that reached the page server
  uint64_t requests = 0;  // to the storage: reads, or chunks
  /// What was read, by where it came from. The kernel's own reads are not counted.
  uint64_t memory_bytes = 0, local_bytes = 0, zone_bytes = 0, origin_bytes = 0;
  double cpu_ms = 0;  // of the page server
  /// Of each clone's guest memory after its last touch, in MiB: what is its own, and its share
  /// (PSS) of what it has with others.
  std::vector<double> private_mib, share_mib;

  /// Every page that a clone touched, compared with the oracle. A run with a wrong page is no
  /// measurement: it ends the whole run. A real guest's memory is compared whole before the cell's
  /// first measurement, in a guest that stays paused; and each call's reply is the recorded one.
  uint64_t pages_checked = 0;
};

/// What is the same for all measurements of a run.
struct ResultsHeader {
  std::string scenario;  // its path as it was given
  std::string about;
  std::string digest;  // Scenario::digest()
  uint64_t seed = 0;
  uint64_t repetitions = 0;
  uint64_t warm_up = 0;
  uint64_t cells = 0;
  std::string started;  // UTC, ISO 8601
  std::string thaw_version;
  std::string commit;  // of thaw's source; "+" after it: with changes; empty: not known
  /// Programs that take part, and theirs: "memcached 1.6.18", "QEMU 7.2.17", "Firecracker 1.13.1".
  std::vector<std::string> versions;
  std::string cpu;
  std::string kernel;
  uint64_t cores = 0;
  uint64_t memory_bytes = 0;
};

/// One line, without its end.
std::string encode_measurement(const Measurement& measurement);
std::string encode_header(const ResultsHeader& header);
/// kInvalid for anything else.
Result<Measurement> decode_measurement(std::string_view line);
Result<ResultsHeader> decode_header(std::string_view line);

}  // namespace thaw
