// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/sealed_object.h"

#include <algorithm>
#include <limits>

#include "thaw/base/check.h"
#include "thaw/crypto/cipher.h"

namespace thaw {
namespace {

ByteSpan wrap_context(const ObjectKind& kind) {
  return as_bytes(std::string_view(kind.magic.data(), kind.magic.size()));
}

tl::unexpected<Error> malformed(const ObjectKind& kind, const std::string& why) {
  return fail(ErrorCode::kInvalid, std::string("not a valid ") + kind.noun + ": " + why);
}

}  // namespace

Result<EnvelopeView> parse_envelope(const ObjectKind& kind, ByteSpan bytes) {
  if (bytes.size() < kEnvelopeHeaderBytes) {
    return malformed(kind, std::to_string(bytes.size()) + " bytes are less than a header");
  }
  ByteReader reader(bytes);
  if (as_text(reader.get_bytes(kind.magic.size())) !=
      std::string_view(kind.magic.data(), kind.magic.size())) {
    return malformed(kind, "it does not begin with the magic of one");
  }
  const uint32_t version = reader.get<uint32_t>();
  if (version != kind.version) {
    return fail(ErrorCode::kUnsupported,
                std::string(kind.noun) + " has format version " + std::to_string(version) +
                    "; this thaw reads version " + std::to_string(kind.version) +
                    "; use the thaw that wrote it, or a newer one");
  }
  const uint32_t wrapped_bytes = reader.get<uint32_t>();
  const uint64_t clear_bytes = reader.get<uint64_t>();
  const uint64_t sealed_bytes = reader.get<uint64_t>();
  // Each length is bounded before they are added, so the sum cannot wrap.
  if (wrapped_bytes > kWrappedKeyBytesMax || clear_bytes > kEnvelopeBytesMax ||
      sealed_bytes > kEnvelopeBytesMax) {
    return malformed(kind, "a length in the header is above its limit");
  }
  if (kEnvelopeHeaderBytes + clear_bytes + sealed_bytes + wrapped_bytes != bytes.size()) {
    return malformed(kind, "the header's lengths do not add up to its " +
                               std::to_string(bytes.size()) + " bytes");
  }
  EnvelopeView view;
  view.authenticated = bytes.first(kEnvelopeHeaderBytes + clear_bytes);
  view.clear = reader.get_bytes(clear_bytes);
  view.sealed = reader.get_bytes(sealed_bytes);
  view.wrapped_key = reader.get_bytes(wrapped_bytes);
  CHECK(reader.at_end());
  return view;
}

Result<SecretBytes> open_envelope(const ObjectKind& kind, const EnvelopeView& view,
                                  const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const SecretBytes data_key, keys.unwrap(wrap_context(kind), view.wrapped_key));
  if (data_key.size() != kKeyBytes) return malformed(kind, "its data key has a wrong size");
  Result<SecretBytes> opened = open_sealed(data_key.span(), view.authenticated, view.sealed);
  if (!opened) {
    return fail(
        std::move(opened).error().with_context(std::string("cannot open the ") + kind.noun));
  }
  return opened;
}

Result<Bytes> make_envelope(const ObjectKind& kind, ByteSpan clear, ByteSpan secret,
                            const KeyProvider& keys) {
  if (clear.size() > kEnvelopeBytesMax || secret.size() > kEnvelopeBytesMax / 2) {
    return fail(ErrorCode::kExhausted, std::string(kind.noun) + " would be above the limit of " +
                                           human_bytes(kEnvelopeBytesMax) + "; use larger chunks");
  }
  const SecretBytes data_key = SecretBytes::random(kKeyBytes);
  ASSIGN_OR_RETURN(const Bytes wrapped, keys.wrap(wrap_context(kind), data_key));
  CHECK(wrapped.size() <= kWrappedKeyBytesMax);
  Bytes bytes;
  const size_t sealed_bytes = kNonceBytes + secret.size() + kTagBytes;
  bytes.reserve(kEnvelopeHeaderBytes + clear.size() + sealed_bytes + wrapped.size());
  ByteWriter writer(bytes);
  writer.put_bytes(as_bytes(std::string_view(kind.magic.data(), kind.magic.size())));
  writer.put(kind.version);
  writer.put(static_cast<uint32_t>(wrapped.size()));
  writer.put(uint64_t{clear.size()});
  writer.put(uint64_t{sealed_bytes});
  writer.put_bytes(clear);
  const Bytes sealed = seal(data_key.span(), bytes, secret);
  CHECK(sealed.size() == sealed_bytes);
  writer.put_bytes(sealed);
  writer.put_bytes(wrapped);
  return bytes;
}

Result<Bytes> rewrap_envelope(const ObjectKind& kind, ByteSpan bytes, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kind, bytes));
  ASSIGN_OR_RETURN(const SecretBytes data_key, keys.unwrap(wrap_context(kind), view.wrapped_key));
  ASSIGN_OR_RETURN(const Bytes wrapped, keys.wrap(wrap_context(kind), data_key));
  // The wrapped key's length is part of the authenticated header, so it may not change.
  if (wrapped.size() != view.wrapped_key.size()) {
    return fail(ErrorCode::kUnsupported,
                "the key provider wraps to another length than the one this object was made with; "
                "freeze the snapshot again instead");
  }
  Bytes rewrapped(bytes.begin(), bytes.end() - static_cast<ptrdiff_t>(wrapped.size()));
  rewrapped.insert(rewrapped.end(), wrapped.begin(), wrapped.end());
  return rewrapped;
}

}  // namespace thaw
