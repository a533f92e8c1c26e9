// SPDX-License-Identifier: Apache-2.0
//
// resume: the memory of real functions from each tier, by the hot layout, against what a plain
// local file gives: REAP over one that is not in the page cache, and a private mapping of one that
// is.
#include "thaw/bench/resume_bench.h"

namespace thaw {
namespace {

// A resume on demand from the origin takes seconds; it is no close thing.
constexpr int kOriginRounds = 1;

}  // namespace

std::vector<Comparison> bench_resume(const BenchScale& scale) {
  ResumeBench bench(scale);
  const auto hot = [&](BenchTier tier) {
    return [&bench, tier](size_t function) { return bench.session(function, {.tier = tier}).ms; };
  };
  const auto reap = [&](size_t function) { return bench.plain_reap_ms(function); };
  const auto run = [&](const PairedSpec& spec, int rounds, const auto& ours, const auto& baseline) {
    return compare_functions(spec, bench.functions(), rounds, ours, baseline);
  };
  std::vector<Comparison> results;
  results.push_back(run({.name = "resume_local",
                         .what = "hot from the local disk over REAP on a plain file, both cold",
                         .unit = "ms",
                         .target = 0.7},
                        scale.rounds(), hot(BenchTier::kLocal), reap));
  results.push_back(run({.name = "resume_ram",
                         .what = "hot from memory over a private mapping in the page cache",
                         .unit = "ms",
                         .target = 0.85},
                        scale.rounds(), hot(BenchTier::kMemory),
                        [&](size_t function) { return bench.mapping_ms(function, true); }));
  results.push_back(run(
      {.name = "resume_floor",
       .what = "memory that is there over the same mapping",
       .unit = "ms",
       .report_only = true},
      scale.rounds(), [&](size_t function) { return bench.present_ms(function); },
      [&](size_t function) { return bench.mapping_ms(function, true); }));
  if (bench.has(BenchTier::kZone)) {
    results.push_back(run({.name = "resume_zone",
                           .what = "hot from the zone over REAP on a plain file, cold",
                           .unit = "ms",
                           .target = 1.5},
                          scale.rounds(), hot(BenchTier::kZone), reap));
  }
  results.push_back(run({.name = "resume_origin",
                         .what = "hot from the origin over on-demand, linear chunks, there",
                         .unit = "ms",
                         .target = 0.05,
                         .warm_up = false},
                        kOriginRounds, hot(BenchTier::kOrigin), [&](size_t function) {
                          return bench
                              .session(function, {.tier = BenchTier::kOrigin,
                                                  .layout = Layout::kLinear,
                                                  .strategy = Strategy::kOnDemand})
                              .ms;
                        }));
  results.push_back(run({.name = "resume_origin_chunks",
                         .what = "hot from the origin over recorded chunks, linear, there",
                         .unit = "ms",
                         .target = 0.5},
                        scale.rounds(), hot(BenchTier::kOrigin), [&](size_t function) {
                          return bench
                              .session(function, {.tier = BenchTier::kOrigin,
                                                  .layout = Layout::kLinear,
                                                  .strategy = Strategy::kChunks})
                              .ms;
                        }));
  const auto by_pages = [&](bool record) {
    return [&bench, record](size_t function) {
      return bench
          .session(function, {.tier = BenchTier::kMemory,
                              .layout = Layout::kLinear,
                              .strategy = Strategy::kOnDemand,
                              .fill = Fill::kPage,
                              .record = record})
          .ms;
    };
  };
  results.push_back(run({.name = "recording",
                         .what = "resume that is recorded over the same on demand, by pages",
                         .unit = "ms",
                         .target = 1.15},
                        scale.rounds(), by_pages(true), by_pages(false)));
  results.push_back(run(
      {.name = "clones_uffd",
       .what = "a further clone by page server over a first one, from memory",
       .unit = "ms",
       .target = 1},
      scale.rounds(),
      [&](size_t function) {
        return bench.session(function, {.tier = BenchTier::kMemory, .clone = true}).ms;
      },
      hot(BenchTier::kMemory)));
  for (const auto& more : {compare_naive, compare_clones}) {
    const std::vector<Comparison> found = more(bench, scale);
    results.insert(results.end(), found.begin(), found.end());
  }
  return results;
}

}  // namespace thaw
