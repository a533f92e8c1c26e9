// SPDX-License-Identifier: Apache-2.0
//
// FixedKeys: a KeyProvider with keys that a test knows.
#pragma once

#include <memory>
#include <string>

#include "thaw/crypto/cipher.h"
#include "thaw/crypto/digest.h"
#include "thaw/crypto/key_provider.h"

namespace thaw {

class FixedKeys final : public KeyProvider {
 public:
  explicit FixedKeys(std::string tenant = "test") : tenant_(std::move(tenant)) {
    const Digest digest = sha256(as_bytes(tenant_));
    key_ = SecretBytes::copy_of(digest);
  }
  const std::string& tenant() const override { return tenant_; }
  Result<Bytes> wrap(ByteSpan context, const SecretBytes& data_key) const override {
    return seal(key_.span(), context, data_key.span());
  }
  Result<SecretBytes> unwrap(ByteSpan context, ByteSpan wrapped) const override {
    return open_sealed(key_.span(), context, wrapped);
  }
  Result<bool> needs_rewrap(ByteSpan) const override { return false; }
  Result<SecretBytes> domain_secret() const override { return key_.clone(); }

 private:
  std::string tenant_;
  SecretBytes key_;
};

}  // namespace thaw
