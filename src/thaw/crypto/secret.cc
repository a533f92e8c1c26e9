// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

size_t mapped_bytes(size_t size) { return static_cast<size_t>(pages_for(size) * kPageBytes); }

}  // namespace

SecretBytes::SecretBytes(size_t size) : size_(size) {
  if (size == 0) return;
  void* memory = ::mmap(nullptr, mapped_bytes(size), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  CHECK(::madvise(memory, mapped_bytes(size), MADV_DONTDUMP) == 0);
  // Swap is the lesser risk: a process without the limit still runs.
  ::mlock(memory, mapped_bytes(size));
  data_ = static_cast<std::byte*>(memory);
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SecretBytes SecretBytes::copy_of(ByteSpan bytes) {
  SecretBytes secret(bytes.size());
  if (!bytes.empty()) std::memcpy(secret.data_, bytes.data(), bytes.size());
  return secret;
}

SecretBytes SecretBytes::random(size_t size) {
  SecretBytes secret(size);
  fill_random(secret.span());
  return secret;
}

bool SecretBytes::equals(ByteSpan other) const {
  return size_ == other.size() && (size_ == 0 || CRYPTO_memcmp(data_, other.data(), size_) == 0);
}

void SecretBytes::release() {
  if (data_ == nullptr) return;
  OPENSSL_cleanse(data_, size_);
  ::munmap(data_, mapped_bytes(size_));
  data_ = nullptr;
  size_ = 0;
}

void wipe(MutableByteSpan bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

void fill_random(MutableByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    CHECK(got > 0);
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

}  // namespace thaw
