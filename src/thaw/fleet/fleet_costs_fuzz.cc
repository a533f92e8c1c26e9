// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "thaw/base/check.h"
#include "thaw/fleet/fleet_costs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto costs = thaw::decode_costs({reinterpret_cast<const char*>(data), size}, "fuzz.json");
  if (!costs) return 0;
  const auto again = thaw::decode_costs(thaw::encode_costs(*costs), "again");
  CHECK(again && again->verify_ns == costs->verify_ns && again->chunk_bytes == costs->chunk_bytes);
  return 0;
}
