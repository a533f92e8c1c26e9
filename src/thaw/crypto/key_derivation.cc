// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/key_derivation.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <string_view>

#include "thaw/base/check.h"
#include "thaw/crypto/cipher.h"

namespace thaw {
namespace {

constexpr std::string_view kSaltLabel = "thaw chunk salt v1";

// SAFETY: unsigned char may alias std::byte.
const unsigned char* in_pointer(ByteSpan bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

void Hmac::Free::operator()(evp_mac_ctx_st* context) const { EVP_MAC_CTX_free(context); }

Hmac::Hmac(ByteSpan key) {
  EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  CHECK(algorithm != nullptr);
  context_.reset(EVP_MAC_CTX_new(algorithm));
  EVP_MAC_free(algorithm);  // the context holds its own reference
  CHECK(context_ != nullptr);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  CHECK(EVP_MAC_init(context_.get(), in_pointer(key), key.size(), parameters) == 1);
}
Hmac::~Hmac() = default;
Hmac::Hmac(Hmac&&) noexcept = default;
Hmac& Hmac::operator=(Hmac&&) noexcept = default;

Digest Hmac::of(ByteSpan message) {
  CHECK(EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1);
  CHECK(EVP_MAC_update(context_.get(), in_pointer(message), message.size()) == 1);
  Digest digest;
  size_t length = 0;
  CHECK(EVP_MAC_final(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &length,
                      digest.size()) == 1);
  CHECK(length == digest.size());
  return digest;
}

SecretBytes derive_chunk_salt(const SecretBytes& domain_secret, uint64_t root_id) {
  Bytes message;
  ByteWriter writer(message);
  writer.put_bytes(as_bytes(kSaltLabel));
  writer.put(root_id);
  Digest salt = Hmac(domain_secret.span()).of(message);
  SecretBytes secret = SecretBytes::copy_of(salt);
  wipe(salt);
  return secret;
}

void ChunkKeyDeriver::derive(const Digest& plaintext_digest, uint32_t plaintext_bytes,
                             MutableByteSpan key_out) {
  CHECK(key_out.size() == kKeyBytes);
  std::array<std::byte, kDigestBytes + sizeof plaintext_bytes> message;
  std::copy(plaintext_digest.begin(), plaintext_digest.end(), message.begin());
  std::memcpy(message.data() + kDigestBytes, &plaintext_bytes, sizeof plaintext_bytes);
  Digest key = hmac_.of(message);
  std::copy(key.begin(), key.end(), key_out.begin());
  wipe(key);
}

}  // namespace thaw
