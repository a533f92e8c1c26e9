// SPDX-License-Identifier: Apache-2.0
//
// FileKeyProvider: the key provider `file`, which holds a tenant's master keys in a keyring file.
#pragma once

#include <string>

#include "thaw/crypto/key_provider.h"
#include "thaw/crypto/keyring.h"

namespace thaw {

/// Serves the keyring as it was when it was loaded: a rotation by another process is seen by a new
/// one.
class FileKeyProvider final : public KeyProvider {
 public:
  explicit FileKeyProvider(Keyring keyring) : keyring_(std::move(keyring)) {}

  const std::string& tenant() const override { return keyring_.tenant(); }
  /// kWrappedKeyBytes (wrapped_key.h). `data_key` has kKeyBytes.
  Result<Bytes> wrap(ByteSpan context, const SecretBytes& data_key) const override;
  Result<SecretBytes> unwrap(ByteSpan context, ByteSpan wrapped) const override;
  Result<bool> needs_rewrap(ByteSpan wrapped) const override;
  Result<SecretBytes> domain_secret() const override { return keyring_.domain_secret(); }

 private:
  Keyring keyring_;
};

}  // namespace thaw
