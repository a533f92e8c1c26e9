// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "thaw/base/check.h"
#include "thaw/lab/scenario.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto scenario =
      thaw::parse_scenario({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (scenario) CHECK(!scenario->cells.empty());
  return 0;
}
