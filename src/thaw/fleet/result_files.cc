// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/result_files.h"

#include <iomanip>
#include <sstream>

namespace thaw {
namespace {

constexpr std::array kCaches = {FleetTier::kMemory, FleetTier::kLocal, FleetTier::kZone};

std::ostringstream csv() {
  std::ostringstream text;
  text << std::fixed << std::setprecision(6);
  return text;
}

void put_hit_rates(std::ostringstream& text, const FleetReads& reads) {
  for (const FleetTier tier : kCaches) text << ',' << reads.hit_rate(tier);
}

}  // namespace

double resume_ms(const FleetPhaseResult& phase, double percent) {
  return static_cast<double>(phase.resume_ns.percentile(percent)) / 1e6;
}

std::string over_time_csv(const FleetResult& result) {
  std::ostringstream text = csv();
  text << "begin_s,memory,joined,local,zone,origin,memory_hit_rate,local_hit_rate,zone_hit_rate,"
          "origin_per_s,resumes,rejected,resume_mean_ms\n";
  for (size_t i = 0; i < result.bins.size(); ++i) {
    const FleetBin& bin = result.bins[i];
    text << static_cast<double>(i) * result.bin_s;
    for (const uint64_t found : bin.reads.found) text << ',' << found;
    put_hit_rates(text, bin.reads);
    const double mean_ns = bin.finished == 0 ? 0
                                             : static_cast<double>(bin.resume_ns_sum) /
                                                   static_cast<double>(bin.finished);
    text << ',' << static_cast<double>(bin.origin_reads) / result.bin_s << ',' << bin.resumes << ','
         << bin.rejected << ',' << mean_ns / 1e6 << '\n';
  }
  return text.str();
}

std::string resume_ms_csv(const FleetResult& result) {
  std::ostringstream text = csv();
  text << "phase,percent,ms\n";
  const auto put = [&](const char* name, const FleetPhaseResult& phase) {
    if (phase.resume_ns.count() == 0) return;
    for (const double percent : kResumePercents) {
      text << name << ',' << percent << ',' << resume_ms(phase, percent) << '\n';
    }
  };
  put("all", result.all);
  for (size_t i = 0; i < kFleetPhases; ++i) {
    put(to_string(static_cast<FleetPhase>(i)), result.phases[i]);
  }
  return text.str();
}

std::string sizes_csv(FleetTier tier, std::span<const FleetSizeResult> sizes) {
  std::ostringstream text = csv();
  text << to_string(tier)
       << "_bytes,memory_hit_rate,local_hit_rate,zone_hit_rate,origin_share,origin_per_s,"
          "resume_p50_ms,resume_p99_ms\n";
  for (const FleetSizeResult& size : sizes) {
    const FleetPhaseResult& steady = size.result.phase(FleetPhase::kSteady);
    text << size.bytes;
    put_hit_rates(text, steady.reads);
    text << ',' << steady.reads.share(FleetTier::kOrigin) << ',' << steady.origin_per_s() << ','
         << resume_ms(steady, 50) << ',' << resume_ms(steady, 99) << '\n';
  }
  return text.str();
}

}  // namespace thaw
