// SPDX-License-Identifier: Apache-2.0
//
// KeyProvider: what holds a tenant's master keys. It wraps the data keys of manifests and knows the
// tenant's domain secret; the master keys never leave it. Providers: `file` (file_key_provider.h).
#pragma once

#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/secret.h"

namespace thaw {

/// Serves one tenant. Immutable once made, so callable from many threads.
class KeyProvider {
 public:
  virtual ~KeyProvider() = default;

  virtual const std::string& tenant() const = 0;

  /// Wraps a data key under the tenant's active master key. `context` is bound to the result:
  /// unwrapping needs the same bytes.
  virtual Result<Bytes> wrap(ByteSpan context, const SecretBytes& data_key) const = 0;

  /// kDenied if the key was wrapped for another tenant, by a master key that this provider does not
  /// hold, or for another context; kUnsupported for the blob of an unknown provider or version.
  virtual Result<SecretBytes> unwrap(ByteSpan context, ByteSpan wrapped) const = 0;

  /// True if `wrapped` is not under the active master key, so that a rotation has to rewrap it.
  virtual Result<bool> needs_rewrap(ByteSpan wrapped) const = 0;

  /// The secret of the tenant's deduplication domain; only freezing needs it.
  virtual Result<SecretBytes> domain_secret() const = 0;
};

}  // namespace thaw
