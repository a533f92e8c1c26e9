// SPDX-License-Identifier: Apache-2.0
#include "thaw/bench/resume_table.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "thaw/base/check.h"
#include "thaw/bench/resume_bench.h"

namespace thaw {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kRounds = 21;
constexpr int kSlowRounds = 1;  // of what takes seconds each

struct Way {
  std::string tier;
  std::string name;
  std::function<ResumeFigure(size_t function)> run;
  int rounds = kRounds;
};

std::vector<Way> ways_of(ResumeBench& bench) {
  const auto plain = [](double ms) { return ResumeFigure{.ms = ms, .summary = {}}; };
  std::vector<Way> ways{
      {"plain file", "present", [&, plain](size_t f) { return plain(bench.present_ms(f)); }},
      {"plain file", "mapping, cached",
       [&, plain](size_t f) { return plain(bench.mapping_ms(f, true)); }},
      {"plain file", "mapping, cold",
       [&, plain](size_t f) { return plain(bench.mapping_ms(f, false)); }},
      {"plain file", "reap, cold", [&, plain](size_t f) { return plain(bench.plain_reap_ms(f)); }}};
  for (const BenchTier tier :
       {BenchTier::kMemory, BenchTier::kLocal, BenchTier::kZone, BenchTier::kOrigin}) {
    if (!bench.has(tier)) continue;
    for (const Strategy strategy : {Strategy::kOnDemand, Strategy::kReap, Strategy::kFaasnap,
                                    Strategy::kChunks, Strategy::kHot}) {
      // Each over the layout that it was made for.
      const Layout layout = strategy == Strategy::kHot ? Layout::kHot : Layout::kLinear;
      const bool slow = tier == BenchTier::kOrigin && strategy == Strategy::kOnDemand;
      ways.push_back({to_string(tier), to_string(strategy),
                      [&bench, tier, layout, strategy](size_t f) {
                        return bench.session(
                            f, {.tier = tier, .layout = layout, .strategy = strategy});
                      },
                      slow ? kSlowRounds : kRounds});
    }
  }
  return ways;
}

struct Samples {
  std::vector<double> ms;
  double faults = 0;
  double unpredicted = 0;
};

double p99(std::vector<double> values) {
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, values.size() * 99 / 100)];
}

void add_row(const Way& way, const std::string& function, const Samples& samples, Json& rows) {
  const double median = quartiles_of(samples.ms).median;
  const auto count = static_cast<double>(samples.ms.size());
  rows.push_back({{"tier", way.tier},
                  {"way", way.name},
                  {"function", function},
                  {"samples", samples.ms.size()},
                  {"median_ms", median},
                  {"p99_ms", p99(samples.ms)},
                  {"faults", samples.faults / count},
                  {"unpredicted_faults", samples.unpredicted / count}});
  std::printf("%-12s %-16s %-10s %5zu %10.2f %10.2f %9.0f %11.0f\n", way.tier.c_str(),
              way.name.c_str(), function.c_str(), samples.ms.size(), median, p99(samples.ms),
              samples.faults / count, samples.unpredicted / count);
}

}  // namespace

Json resume_table(const BenchScale& scale) {
  ResumeBench bench(scale);
  const std::vector<Way> ways = ways_of(bench);
  std::vector<std::vector<Samples>> samples(ways.size(), std::vector<Samples>(bench.functions()));
  const int rounds = scale.smoke ? 1 : kRounds;
  for (int round = 0; round < rounds; ++round) {
    for (size_t function = 0; function < bench.functions(); ++function) {
      for (size_t way = 0; way < ways.size(); ++way) {
        if (round >= ways[way].rounds) continue;
        const ResumeFigure figure = ways[way].run(function);
        Samples& into = samples[way][function];
        into.ms.push_back(figure.ms);
        into.faults += static_cast<double>(figure.summary.faults);
        into.unpredicted += static_cast<double>(figure.summary.unpredicted_faults);
      }
    }
  }
  std::printf("%-12s %-16s %-10s %5s %10s %10s %9s %11s\n", "tier", "way", "function", "runs",
              "median ms", "p99 ms", "faults", "unpredicted");
  Json rows = Json::array();
  for (size_t way = 0; way < ways.size(); ++way) {
    Samples all;
    for (size_t function = 0; function < bench.functions(); ++function) {
      const Samples& one = samples[way][function];
      add_row(ways[way], bench.name(function), one, rows);
      all.ms.insert(all.ms.end(), one.ms.begin(), one.ms.end());
      all.faults += one.faults;
      all.unpredicted += one.unpredicted;
    }
    add_row(ways[way], "all", all, rows);
  }
  return {{"rounds", rounds}, {"rows", rows}};
}

}  // namespace thaw
