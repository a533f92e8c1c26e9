// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/wrapped_key.h"

#include <string>

#include "thaw/base/check.h"
#include "thaw/base/name.h"

namespace thaw {
namespace {

constexpr uint8_t kProviderFile = 1;
constexpr uint8_t kVersion = 1;
constexpr std::string_view kLabel = "thaw wrap v1";

Bytes associated_data(std::string_view tenant, ByteSpan context) {
  CHECK(tenant.size() <= kNameBytesMax);
  Bytes data;
  ByteWriter writer(data);
  writer.put_bytes(as_bytes(kLabel));
  writer.put_text<uint16_t>(tenant);
  writer.put_bytes(context);
  return data;
}

}  // namespace

Bytes wrap_data_key(std::string_view tenant, uint32_t key_id, ByteSpan master_key, ByteSpan context,
                    ByteSpan data_key) {
  CHECK(data_key.size() == kKeyBytes);
  Bytes wrapped;
  wrapped.reserve(kWrappedKeyBytes);
  ByteWriter writer(wrapped);
  writer.put(kProviderFile);
  writer.put(kVersion);
  writer.put(uint16_t{0});
  writer.put(key_id);
  writer.put_bytes(seal(master_key, associated_data(tenant, context), data_key));
  CHECK(wrapped.size() == kWrappedKeyBytes);
  return wrapped;
}

Result<uint32_t> wrapped_key_id(ByteSpan wrapped) {
  ByteReader reader(wrapped);
  const auto provider = reader.get<uint8_t>();
  const auto version = reader.get<uint8_t>();
  const auto zero = reader.get<uint16_t>();
  const auto key_id = reader.get<uint32_t>();
  // The provider and the version stand first, so they are told apart whatever length they imply.
  if (wrapped.size() >= kWrappedKeyHeaderBytes &&
      (provider != kProviderFile || version != kVersion || zero != 0)) {
    return fail(ErrorCode::kUnsupported,
                "the data key was wrapped by key provider " + std::to_string(provider) +
                    " in version " + std::to_string(version) +
                    "; this keyring opens provider 1 (file) in version 1; use the key provider and "
                    "the thaw that wrapped it");
  }
  if (wrapped.size() != kWrappedKeyBytes) {
    return fail(ErrorCode::kDenied, "a wrapped data key has " + std::to_string(kWrappedKeyBytes) +
                                        " bytes; this one has " + std::to_string(wrapped.size()));
  }
  return key_id;
}

Result<SecretBytes> unwrap_data_key(std::string_view tenant, ByteSpan master_key, ByteSpan context,
                                    ByteSpan wrapped) {
  ASSIGN_OR_RETURN(const uint32_t key_id, wrapped_key_id(wrapped));
  Result<SecretBytes> opened = open_sealed(master_key, associated_data(tenant, context),
                                           wrapped.subspan(kWrappedKeyHeaderBytes));
  if (!opened) {
    return fail(ErrorCode::kDenied,
                "master key " + std::to_string(key_id) + " of tenant " + quote(tenant) +
                    " does not open the data key: it was wrapped for another tenant or purpose, or "
                    "was changed; use the tenant that froze the snapshot, or restore the object");
  }
  return opened;
}

}  // namespace thaw
