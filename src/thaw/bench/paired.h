// SPDX-License-Identifier: Apache-2.0
//
// Paired measurements: ours and the baseline in turns, so that the machine's moods hit both; the
// ratio of each pair; median and quartiles of the ratios. Absolute figures are for orientation
// only.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace thaw {

struct Quartiles {
  double low = 0;
  double median = 0;
  double high = 0;
};
/// `values` is not empty.
Quartiles quartiles_of(std::vector<double> values);

/// One comparison of the report. With at_least a larger ratio is better, else a smaller one.
struct Comparison {
  std::string name;
  std::string what;   // "served fault over bare handler, same core, p50"
  std::string unit;   // of ours and floor
  double target = 0;  // for the ratio
  bool at_least = false;
  Quartiles ratio;
  double ours = 0;  // medians
  double floor = 0;
  bool report_only = false;  // it has no target
  bool met() const { return at_least ? ratio.median >= target : ratio.median <= target; }
};

struct PairedSpec {
  std::string name;
  std::string what;
  std::string unit;
  double target = 0;
  bool at_least = false;
  double baseline_factor = 1;  // the ratio is ours / (baseline * factor)
  bool report_only = false;    // it has no target
  bool warm_up = true;         // begin with a round that does not count
};

/// Runs ours and the baseline `rounds` times each, alternating which goes first, after the round
/// that does not count.
Comparison compare(const PairedSpec& spec, int rounds, const std::function<double()>& ours,
                   const std::function<double()>& baseline);
/// The same for several figures of each run: element i of the results belongs to spec i.
std::vector<Comparison> compare_all(const std::vector<PairedSpec>& specs, int rounds,
                                    const std::function<std::vector<double>()>& ours,
                                    const std::function<std::vector<double>()>& baseline);
/// A figure against a constant limit: the ratio is the figure over the limit.
Comparison against_limit(const std::string& name, const std::string& what, const std::string& unit,
                         double limit, bool at_least, const std::vector<double>& samples);

/// How much to do: `smoke` shows in seconds that a benchmark still runs.
struct BenchScale {
  bool smoke = false;
  int rounds() const { return smoke ? 1 : 9; }
};

std::vector<Comparison> bench_faults(const BenchScale& scale);
std::vector<Comparison> bench_placement(const BenchScale& scale);
std::vector<Comparison> bench_prefault(const BenchScale& scale);
std::vector<Comparison> bench_freeze(const BenchScale& scale);
std::vector<Comparison> bench_manifest(const BenchScale& scale);
std::vector<Comparison> bench_memory_hit(const BenchScale& scale);
std::vector<Comparison> bench_local(const BenchScale& scale);
std::vector<Comparison> bench_zone(const BenchScale& scale);
std::vector<Comparison> bench_restores(const BenchScale& scale);
std::vector<Comparison> bench_policies(const BenchScale& scale);
std::vector<Comparison> bench_resume(const BenchScale& scale);
std::vector<Comparison> bench_parallel(const BenchScale& scale);
std::vector<Comparison> bench_diff(const BenchScale& scale);

}  // namespace thaw
