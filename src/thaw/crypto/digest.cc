// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/digest.h"

#include <openssl/evp.h>

#include "thaw/base/check.h"

namespace thaw {

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  // The explicit fetch is done here once; reset() then reuses it.
  EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK(algorithm != nullptr);
  CHECK(EVP_DigestInit_ex2(context_.get(), algorithm, nullptr) == 1);
  EVP_MD_free(algorithm);  // the context holds its own reference
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::reset() { CHECK(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1); }

void Sha256::update(ByteSpan bytes) {
  CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  unsigned length = 0;
  // SAFETY: unsigned char may alias std::byte.
  CHECK(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()),
                           &length) == 1);
  CHECK(length == digest.size());
  return digest;
}

Digest Sha256::of(ByteSpan bytes) {
  reset();
  update(bytes);
  return finish();
}

Digest sha256(ByteSpan bytes) { return Sha256().of(bytes); }

}  // namespace thaw
