// SPDX-License-Identifier: Apache-2.0
//
// Whatever text a scenario has, parsing it ends in one that can be simulated or in an error that
// names the file.
#include "thaw/base/bytes.h"
#include "thaw/base/check.h"
#include "thaw/cli/fleet_scenario_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // SAFETY: std::byte may alias any object.
  const thaw::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto scenario = thaw::parse_fleet_scenario(thaw::as_text(bytes), "fleet.toml");
  if (scenario) {
    CHECK(scenario->validate().has_value());
  } else {
    CHECK(scenario.error().message.find("fleet.toml") != std::string::npos);
  }
  return 0;
}
