// SPDX-License-Identifier: Apache-2.0
//
// Whatever text a config file has, parsing it ends in a config that the modules accept or in
// kInvalid.
#include "thaw/base/bytes.h"
#include "thaw/base/check.h"
#include "thaw/cli/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // SAFETY: std::byte may alias any object.
  const thaw::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  const thaw::Result<thaw::Config> config = thaw::parse_config(thaw::as_text(bytes), "thaw.toml");
  if (!config) {
    CHECK(config.error().code == thaw::ErrorCode::kInvalid);
    CHECK(config.error().message.find("thaw.toml") != std::string::npos);
    return 0;
  }
  CHECK(config->freeze.validate().has_value());
  CHECK(config->restore.validate().has_value());
  CHECK(config->restore_workers.validate().has_value());
  CHECK(config->record.validate().has_value());
  CHECK(config->mount.validate().has_value());
  CHECK(config->tiers.validate().has_value());
  return 0;
}
