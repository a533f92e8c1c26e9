// SPDX-License-Identifier: Apache-2.0
//
// What the figures take from a measurement, in the units that they show.
#pragma once

#include "thaw/lab/measurement.h"

namespace thaw {

inline constexpr double kNsPerMs = 1e6;

/// Storage to server, without verifying. By thaw's techniques fetch_ns lasts from asking the tiers
/// to their answer, which they verify on the way; by the study's it ends before that.
double fetch_ms(const Measurement& measurement);
double verify_ms(const Measurement& measurement);
double decrypt_ms(const Measurement& measurement);
double install_ms(const Measurement& measurement);
/// What the guest waited in first touches of pages, all of them together.
double wait_ms(const Measurement& measurement);
/// The median over the clones.
double resume_ms(const Measurement& measurement);

double bytes_read(const Measurement& measurement);
/// Bytes read over bytes touched; 0 where nothing was touched.
double amplification(const Measurement& measurement);

/// Of a clone, the median over all of them; 0 where it was not measured.
double private_mib(const Measurement& measurement);
/// Its share of what it has with others, without what is its own.
double shared_mib(const Measurement& measurement);

}  // namespace thaw
