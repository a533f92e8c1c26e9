// SPDX-License-Identifier: Apache-2.0
//
// Keyring::parse on hostile bytes: as they are, and with the checksum made right, which the fuzzer
// would not guess. What parses has a consistent view of itself.
#include <cstddef>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/base/name.h"
#include "thaw/crypto/digest.h"
#include "thaw/crypto/keyring.h"

namespace thaw {
namespace {

void parse(ByteSpan bytes) {
  const Result<Keyring> keyring = Keyring::parse(SecretBytes::copy_of(bytes));
  if (!keyring) {
    CHECK(!keyring.error().message.empty());
    return;
  }
  CHECK(is_name(keyring->tenant()));
  CHECK(keyring->key(keyring->active_id()).has_value());
  CHECK(keyring->info().keys >= 1 && keyring->info().keys <= kKeyringKeysMax);
  CHECK(keyring->domain_secret().has_value());
}

}  // namespace
}  // namespace thaw

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const thaw::ByteSpan input = std::as_bytes(std::span(data, size));
  thaw::parse(input);
  thaw::Bytes whole(input.begin(), input.end());
  thaw::ByteWriter(whole).put_bytes(thaw::sha256(input));
  thaw::parse(whole);
  return 0;
}
