// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/quantities.h"

#include <algorithm>

#include "thaw/base/units.h"
#include "thaw/lab/compare_results.h"

namespace thaw {
namespace {

double to_ms(uint64_t ns) { return static_cast<double>(ns) / kNsPerMs; }
double median_or_zero(const std::vector<double>& values) {
  return values.empty() ? 0 : median_of(values);
}

}  // namespace

double fetch_ms(const Measurement& measurement) {
  if (!is_ours(measurement.cell.technique)) return to_ms(measurement.fetch_ns);
  return to_ms(measurement.fetch_ns - std::min(measurement.fetch_ns, measurement.verify_ns));
}

double verify_ms(const Measurement& measurement) { return to_ms(measurement.verify_ns); }
double decrypt_ms(const Measurement& measurement) { return to_ms(measurement.decrypt_ns); }
double install_ms(const Measurement& measurement) { return to_ms(measurement.install_ns); }

double wait_ms(const Measurement& measurement) {
  return static_cast<double>(measurement.touches) * measurement.touch_mean_ns / kNsPerMs;
}

double resume_ms(const Measurement& measurement) { return median_of(measurement.resume_ms); }

double bytes_read(const Measurement& measurement) {
  return static_cast<double>(measurement.memory_bytes) +
         static_cast<double>(measurement.local_bytes) +
         static_cast<double>(measurement.zone_bytes) +
         static_cast<double>(measurement.origin_bytes);
}

double amplification(const Measurement& measurement) {
  if (measurement.touches == 0) return 0;
  return bytes_read(measurement) /
         (static_cast<double>(measurement.touches) * static_cast<double>(kPageBytes));
}

double private_mib(const Measurement& measurement) {
  return median_or_zero(measurement.private_mib);
}

double shared_mib(const Measurement& measurement) {
  return std::max(0.0, median_or_zero(measurement.share_mib) - private_mib(measurement));
}

}  // namespace thaw
