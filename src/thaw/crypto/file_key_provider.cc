// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/file_key_provider.h"

#include "thaw/base/name.h"
#include "thaw/crypto/wrapped_key.h"

namespace thaw {

Result<Bytes> FileKeyProvider::wrap(ByteSpan context, const SecretBytes& data_key) const {
  if (data_key.size() != kKeyBytes) {
    return fail(ErrorCode::kInvalid, "a data key has " + std::to_string(kKeyBytes) +
                                         " bytes; this one has " + std::to_string(data_key.size()));
  }
  const uint32_t id = keyring_.active_id();
  return wrap_data_key(tenant(), id, *keyring_.key(id), context, data_key.span());
}

Result<SecretBytes> FileKeyProvider::unwrap(ByteSpan context, ByteSpan wrapped) const {
  ASSIGN_OR_RETURN(const uint32_t id, wrapped_key_id(wrapped));
  const std::optional<ByteSpan> key = keyring_.key(id);
  if (!key) {
    return fail(
        ErrorCode::kDenied,
        "the data key was wrapped by master key " + std::to_string(id) +
            ", which the keyring of tenant " + quote(tenant()) + " does not hold (it has " +
            keyring_.ids() +
            "); load the keyring again if it was rotated, or restore the one with that key");
  }
  return unwrap_data_key(tenant(), *key, context, wrapped);
}

Result<bool> FileKeyProvider::needs_rewrap(ByteSpan wrapped) const {
  ASSIGN_OR_RETURN(const uint32_t id, wrapped_key_id(wrapped));
  return id != keyring_.active_id();
}

}  // namespace thaw
