// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4), which names chunks and manifests.
#pragma once

#include <array>
#include <memory>

#include "thaw/base/bytes.h"

struct evp_md_ctx_st;

namespace thaw {

inline constexpr size_t kDigestBytes = 32;
using Digest = std::array<std::byte, kDigestBytes>;

/// A reusable SHA-256 context. One thread at a time; keep one per thread: making one costs more
/// than hashing a page.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  /// Begins anew.
  void reset();
  void update(ByteSpan bytes);
  /// The digest of all since reset(); the context has to be reset before its next use.
  Digest finish();
  /// reset, update, finish.
  Digest of(ByteSpan bytes);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// For places that hash once in a while.
Digest sha256(ByteSpan bytes);

}  // namespace thaw
