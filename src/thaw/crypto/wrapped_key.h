// SPDX-License-Identifier: Apache-2.0
//
// A data key wrapped by the provider `file`: AES-256-GCM under one of the tenant's master keys,
// bound to the tenant and to a context. The bytes are specified in FORMAT.md beside this file.
#pragma once

#include <cstdint>
#include <string_view>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/secret.h"

namespace thaw {

/// provider, version, zero, key id; nonce; ciphertext; tag. One size for all, so that a rotation
/// can replace a wrapped key in place.
inline constexpr size_t kWrappedKeyHeaderBytes = 8;
inline constexpr size_t kWrappedKeyBytes =
    kWrappedKeyHeaderBytes + kNonceBytes + kKeyBytes + kTagBytes;
static_assert(kWrappedKeyBytes == 68);

/// `master_key` and `data_key` have kKeyBytes; `context` is bound to the result.
Bytes wrap_data_key(std::string_view tenant, uint32_t key_id, ByteSpan master_key, ByteSpan context,
                    ByteSpan data_key);

/// The id of the master key that the blob names. kUnsupported for another provider or version,
/// kDenied for bytes of another length.
Result<uint32_t> wrapped_key_id(ByteSpan wrapped);

/// As wrapped_key_id(); kDenied also unless key, tenant, context and every byte are those of
/// wrap_data_key().
Result<SecretBytes> unwrap_data_key(std::string_view tenant, ByteSpan master_key, ByteSpan context,
                                    ByteSpan wrapped);

}  // namespace thaw
