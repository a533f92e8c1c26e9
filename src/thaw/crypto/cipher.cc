// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/cipher.h"

#include <openssl/evp.h>

#include <limits>

#include "thaw/base/check.h"

namespace thaw {
namespace {

// SAFETY: unsigned char may alias std::byte.
const unsigned char* in_pointer(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}
unsigned char* out_pointer(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

int checked_length(size_t bytes) {
  CHECK(bytes <= static_cast<size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(bytes);
}

struct CipherContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, CipherContextFree>;

CipherContext new_context(const char* algorithm) {
  CipherContext context(EVP_CIPHER_CTX_new());
  CHECK(context != nullptr);
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, algorithm, nullptr);
  CHECK(cipher != nullptr);
  CHECK(EVP_EncryptInit_ex2(context.get(), cipher, nullptr, nullptr, nullptr) == 1);
  EVP_CIPHER_free(cipher);  // the context holds its own reference
  return context;
}

}  // namespace

void CtrCipher::Free::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);  // clears the key schedule
}

CtrCipher::CtrCipher() : context_(new_context("AES-256-CTR").release()) {}
CtrCipher::~CtrCipher() = default;
CtrCipher::CtrCipher(CtrCipher&&) noexcept = default;
CtrCipher& CtrCipher::operator=(CtrCipher&&) noexcept = default;

void CtrCipher::set_key(ByteSpan key) {
  DCHECK(key.size() == kKeyBytes);
  CHECK(EVP_EncryptInit_ex2(context_.get(), nullptr, in_pointer(key.data()), nullptr, nullptr) ==
        1);
}

void CtrCipher::apply(uint64_t offset, ByteSpan in, std::byte* out) {
  DCHECK(offset % 16 == 0);
  // The counter block is a big-endian block number; 64 bits of it are far more than a chunk has.
  std::array<unsigned char, 16> counter{};
  uint64_t block = offset / 16;
  for (size_t i = 0; i < 8; ++i, block >>= 8) counter[15 - i] = static_cast<unsigned char>(block);
  CHECK(EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, counter.data(), nullptr) == 1);
  int written = 0;
  CHECK(EVP_EncryptUpdate(context_.get(), out_pointer(out), &written, in_pointer(in.data()),
                          checked_length(in.size())) == 1);
  DCHECK(static_cast<size_t>(written) == in.size());
}

Bytes seal(ByteSpan key, ByteSpan associated_data, ByteSpan plaintext) {
  CHECK(key.size() == kKeyBytes);
  Bytes sealed(kNonceBytes + plaintext.size() + kTagBytes);
  fill_random(MutableByteSpan(sealed).first(kNonceBytes));
  const CipherContext context = new_context("AES-256-GCM");
  int length = 0;
  CHECK(EVP_EncryptInit_ex2(context.get(), nullptr, in_pointer(key.data()),
                            in_pointer(sealed.data()), nullptr) == 1);
  if (!associated_data.empty()) {
    CHECK(EVP_EncryptUpdate(context.get(), nullptr, &length, in_pointer(associated_data.data()),
                            checked_length(associated_data.size())) == 1);
  }
  std::byte* const ciphertext = sealed.data() + kNonceBytes;
  if (!plaintext.empty()) {
    CHECK(EVP_EncryptUpdate(context.get(), out_pointer(ciphertext), &length,
                            in_pointer(plaintext.data()), checked_length(plaintext.size())) == 1);
  }
  std::byte* const tag = ciphertext + plaintext.size();
  CHECK(EVP_EncryptFinal_ex(context.get(), out_pointer(tag), &length) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagBytes),
                            tag) == 1);
  return sealed;
}

Result<SecretBytes> open_sealed(ByteSpan key, ByteSpan associated_data, ByteSpan sealed) {
  CHECK(key.size() == kKeyBytes);
  if (sealed.size() < kNonceBytes + kTagBytes ||
      sealed.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return fail(ErrorCode::kDenied, "sealed data of " + std::to_string(sealed.size()) +
                                        " bytes cannot hold a nonce and a tag");
  }
  const ByteSpan nonce = sealed.first(kNonceBytes);
  const ByteSpan tag = sealed.last(kTagBytes);
  const ByteSpan ciphertext = sealed.subspan(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  SecretBytes plaintext(ciphertext.size());
  const CipherContext context = new_context("AES-256-GCM");
  int length = 0;
  CHECK(EVP_DecryptInit_ex2(context.get(), nullptr, in_pointer(key.data()),
                            in_pointer(nonce.data()), nullptr) == 1);
  if (!associated_data.empty()) {
    CHECK(EVP_DecryptUpdate(context.get(), nullptr, &length, in_pointer(associated_data.data()),
                            checked_length(associated_data.size())) == 1);
  }
  if (!ciphertext.empty()) {
    CHECK(EVP_DecryptUpdate(context.get(), out_pointer(plaintext.data()), &length,
                            in_pointer(ciphertext.data()), checked_length(ciphertext.size())) == 1);
  }
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagBytes),
                            const_cast<std::byte*>(tag.data())) == 1);
  std::array<unsigned char, 16> rest;
  if (EVP_DecryptFinal_ex(context.get(), rest.data(), &length) != 1) {
    return fail(ErrorCode::kDenied, "the authentication tag does not match");
  }
  return plaintext;
}

}  // namespace thaw
