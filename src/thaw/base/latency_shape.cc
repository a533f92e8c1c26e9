// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/latency_shape.h"

#include <algorithm>
#include <cmath>

namespace thaw {
namespace {

// Quantiles of the standard normal distribution.
constexpr double kZ99 = 2.3263;
constexpr double kZ999 = 3.0902;
constexpr double kZ99999 = 4.2649;

/// The standard normal quantile: bisection on the error function, exact enough for delays and
/// without a table of coefficients.
double normal_quantile(double quantile) {
  double low = -kZ99999;
  double high = kZ99999;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < quantile ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

std::chrono::nanoseconds LatencyShape::at(double quantile) const {
  if (p50_ms <= 0) return std::chrono::nanoseconds(0);
  const double z = normal_quantile(quantile);
  const double body = std::log(p99_ms / p50_ms) / kZ99;
  const double tail = std::log(p999_ms / p99_ms) / (kZ999 - kZ99);
  const double ms = z <= kZ99 ? std::max(p50_ms * std::exp(body * z), p50_ms / 2)
                              : p99_ms * std::exp(tail * (z - kZ99));
  return std::chrono::nanoseconds(static_cast<int64_t>(ms * 1e6));
}

std::optional<LatencyShape> latency_preset(std::string_view name) {
  if (name == "zone") return LatencyShape{0.55, 2, 3.7, 0};
  if (name == "origin") return LatencyShape{36, 100, 175, 0};
  return std::nullopt;
}

ShapedLink::Time ShapedLink::arrival(Time now, uint64_t bytes) {
  const double quantile = std::uniform_real_distribution<double>(1e-9, 1 - 1e-9)(random_);
  Time sent = now + shape_.at(quantile);
  if (shape_.bytes_per_s > 0) {
    const std::chrono::duration<double> transfer(static_cast<double>(bytes) / shape_.bytes_per_s);
    sent =
        std::max(sent, link_free_) + std::chrono::duration_cast<std::chrono::nanoseconds>(transfer);
    link_free_ = sent;
  }
  return sent;
}

}  // namespace thaw
