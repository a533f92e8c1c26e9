// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

#include "thaw/base/histogram.h"

namespace thaw {
namespace {

// Values of every magnitude: rapidcheck's own integers stay near the size parameter.
rc::Gen<uint64_t> any_value() {
  return rc::gen::apply([](uint64_t bits, int shift) { return bits >> shift; },
                        rc::gen::arbitrary<uint64_t>(), rc::gen::inRange(0, 64));
}

Histogram of(const std::vector<uint64_t>& values) {
  Histogram histogram;
  for (const uint64_t value : values) histogram.record(value);
  return histogram;
}

RC_GTEST_PROP(HistogramProperty, PercentileIsTheTrueOneOrAtMostA32thAbove, ()) {
  auto values = *rc::gen::nonEmpty(rc::gen::container<std::vector<uint64_t>>(any_value()));
  const size_t tenths = *rc::gen::inRange<size_t>(0, 1001);  // of a percent, to count in integers
  const Histogram histogram = of(values);
  std::sort(values.begin(), values.end());
  const size_t rank = std::max<size_t>((tenths * values.size() + 999) / 1000, 1);
  const uint64_t truth = values[rank - 1];
  const uint64_t found = histogram.percentile(static_cast<double>(tenths) / 10.0);
  RC_ASSERT(found >= truth);
  RC_ASSERT(found - truth <= truth / 32);
}

RC_GTEST_PROP(HistogramProperty, MergingIsRecordingBoth, ()) {
  auto one = *rc::gen::container<std::vector<uint64_t>>(any_value());
  const auto two = *rc::gen::container<std::vector<uint64_t>>(any_value());
  Histogram merged = of(one);
  merged.merge(of(two));
  one.insert(one.end(), two.begin(), two.end());
  RC_ASSERT(merged == of(one));
  RC_ASSERT(merged.count() == one.size());
  const uint64_t max = one.empty() ? 0 : *std::max_element(one.begin(), one.end());
  RC_ASSERT(merged.max() == max);
}

RC_GTEST_PROP(HistogramProperty, PercentilesRise, ()) {
  const Histogram histogram = of(*rc::gen::container<std::vector<uint64_t>>(any_value()));
  uint64_t before = 0;
  for (int percent = 0; percent <= 100; ++percent) {
    const uint64_t now = histogram.percentile(percent);
    RC_ASSERT(now >= before);
    before = now;
  }
  RC_ASSERT(before == histogram.max());
}

}  // namespace
}  // namespace thaw
