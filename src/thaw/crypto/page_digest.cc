// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/page_digest.h"

#include <openssl/evp.h>

#include <string_view>

#include "thaw/base/check.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/key_derivation.h"

namespace thaw {
namespace {

constexpr std::string_view kLabel = "thaw page digest v1";

// SAFETY: unsigned char may alias std::byte.
const unsigned char* in_pointer(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

}  // namespace

SecretBytes derive_page_digest_key(const SecretBytes& domain_secret) {
  Digest key = Hmac(domain_secret.span()).of(as_bytes(kLabel));
  SecretBytes secret = SecretBytes::copy_of(key);
  wipe(key);
  return secret;
}

void PageDigester::Free::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);  // clears the key schedule
}

PageDigester::PageDigester(const SecretBytes& key) : context_(EVP_CIPHER_CTX_new()) {
  CHECK(key.size() == kKeyBytes && context_ != nullptr);
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK(cipher != nullptr);
  CHECK(EVP_EncryptInit_ex2(context_.get(), cipher, in_pointer(key.data()), nullptr, nullptr) == 1);
  EVP_CIPHER_free(cipher);  // the context holds its own reference
}
PageDigester::~PageDigester() = default;
PageDigester::PageDigester(PageDigester&&) noexcept = default;
PageDigester& PageDigester::operator=(PageDigester&&) noexcept = default;

PageDigest PageDigester::of(ByteSpan page) {
  static constexpr std::array<unsigned char, kNonceBytes> kNonce{};
  PageDigest digest;
  int length = 0;
  CHECK(EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, kNonce.data(), nullptr) == 1);
  CHECK(EVP_EncryptUpdate(context_.get(), nullptr, &length, in_pointer(page.data()),
                          static_cast<int>(page.size())) == 1);
  // SAFETY: unsigned char may alias std::byte.
  CHECK(EVP_EncryptFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()),
                            &length) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(digest.size()),
                            digest.data()) == 1);
  return digest;
}

}  // namespace thaw
