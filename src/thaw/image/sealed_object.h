// SPDX-License-Identifier: Apache-2.0
//
// The envelope that manifests and working sets share (image/FORMAT.md): a fixed header, a clear
// plane that anybody may read, a sealed plane under a random data key, and that key wrapped by the
// tenant's key. The header and the clear plane are authenticated with the sealed one.
#pragma once

#include <array>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/crypto/secret.h"

namespace thaw {

struct ObjectKind {
  std::array<char, 8> magic;
  uint32_t version;  // the only version that this thaw reads and writes
  const char* noun;  // for messages: "manifest"
};

inline constexpr size_t kEnvelopeHeaderBytes = 32;
inline constexpr uint64_t kEnvelopeBytesMax = uint64_t{1} << 30;
inline constexpr uint32_t kWrappedKeyBytesMax = 64 * 1024;

/// The parts of an envelope, borrowed from its bytes.
struct EnvelopeView {
  ByteSpan authenticated;  // header and clear plane
  ByteSpan clear;
  ByteSpan sealed;
  ByteSpan wrapped_key;
};

/// Splits the bytes without a key. kInvalid if they are no such object or are cut, kUnsupported for
/// another version.
Result<EnvelopeView> parse_envelope(const ObjectKind& kind, ByteSpan bytes);

/// The sealed plane; kDenied if the tenant's key is not the one it was sealed for or a byte
/// changed.
Result<SecretBytes> open_envelope(const ObjectKind& kind, const EnvelopeView& view,
                                  const KeyProvider& keys);

/// A new envelope under a new random data key.
Result<Bytes> make_envelope(const ObjectKind& kind, ByteSpan clear, ByteSpan secret,
                            const KeyProvider& keys);

/// The same envelope with its data key wrapped by `keys`' active master key. The sealed plane is
/// not decrypted.
Result<Bytes> rewrap_envelope(const ObjectKind& kind, ByteSpan bytes, const KeyProvider& keys);

}  // namespace thaw
