// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "thaw/resume/page_bitmap.h"

namespace thaw {
namespace {

RC_GTEST_PROP(PageBitmap, BehavesLikeASet, ()) {
  const uint64_t pages = *rc::gen::inRange<uint64_t>(1, 300);
  PageBitmap bitmap(pages);
  std::set<uint64_t> model;
  const auto steps = *rc::gen::inRange(0, 30);
  for (int i = 0; i < steps; ++i) {
    const uint64_t page = *rc::gen::inRange<uint64_t>(0, pages);
    const uint64_t count = *rc::gen::inRange<uint64_t>(0, pages - page + 1);
    if (*rc::gen::arbitrary<bool>()) {
      bitmap.set(PageRun{page, count});
      for (uint64_t k = 0; k < count; ++k) model.insert(page + k);
    } else {
      bitmap.clear(PageRun{page, count});
      for (uint64_t k = 0; k < count; ++k) model.erase(page + k);
    }
  }
  RC_ASSERT(bitmap.count() == model.size());
  for (uint64_t page = 0; page < pages; ++page)
    RC_ASSERT(bitmap.test(page) == model.contains(page));
}

}  // namespace
}  // namespace thaw
