// SPDX-License-Identifier: Apache-2.0
//
// A fleet's scenario as a TOML file, parsed here and nowhere else. What a file does not say has the
// default of fleet/fleet_scenario.h.
//
//   about = "a zone cache is emptied"          [zone]
//   seed = 1                                   nodes = 10
//   duration_s = 600                           node_size = "64GiB"
//   warm_up_s = 120                            fill_share = 0.9
//   phase_s = 60                               data_stripes = 4
//   bin_s = 5                                  parity_stripes = 1
//   workers = 1000                             policy = "lru"
//   arrivals_per_s = 100.0                     latency = "zone"
//   workers_per_function = 0 (any)             node_bytes_per_s = 3.125e9
//   chunk_size = "512KiB"
//   grain_chunks = 1                           [origin]
//                                              requests_max = 48
//   [functions]                                requests_per_s = 0 (no limit)
//   count = 1000                               latency = "origin"
//   zipf = 1.0
//   working_set_chunks = 64                    [[cron]]
//   working_set_chunks_max = 128               first_s = 0
//   common_share = 0.3                         period_s = 300
//   bases = 1                                  over_s = 1
//                                              functions = 100
//   [worker]
//   threads = 4                                [[burst]]
//   lanes = 48                                 at_s = 300
//   restores_max = 0 (no limit)                over_s = 1
//   single_flight = true                       instances = 1000
//   link_bytes_per_s = 3.125e9
//   memory_size = "256MiB"                     function = 1 (else a new one)
//   memory_policy = "s3_fifo"
//   local_size = "16GiB"                       [[node_loss]]
//   local_policy = "s3_fifo"                   at_s = 400
//                                              node = 0
//   [sweep]                                    back_s = 500 (else never)
//   tier = "local"
//   sizes = ["4GiB", "8GiB"]                   [[empty]]
//                                              at_s = 500
//                                              tier = "zone"
#pragma once

#include <string>
#include <string_view>

#include "thaw/base/result.h"
#include "thaw/fleet/fleet_scenario.h"

namespace thaw {

inline constexpr uint64_t kFleetScenarioBytesMax = uint64_t{1} << 20;

/// kInvalid for what is no TOML, an unknown key, a wrong type, a value out of range, or figures
/// that contradict each other; kExhausted for too much to simulate. The message names `source` and,
/// where there is one, the line and the key. Parsed as hostile input: what comes out is valid.
Result<FleetScenario> parse_fleet_scenario(std::string_view text, const std::string& source);
Result<FleetScenario> read_fleet_scenario(const std::string& path);

}  // namespace thaw
