// SPDX-License-Identifier: Apache-2.0
//
// Scratch: what a thread needs to turn ciphertext into installed pages: a cipher context and a
// buffer for plaintext that is kept out of core dumps. Lent by a pool, so that there are as many as
// threads use at once; making one takes as long as installing a chunk (it is locked into RAM).
#pragma once

#include <memory>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/units.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/secret.h"

namespace thaw {

/// Decrypted and installed at once: 128 KiB stay in the second-level cache, and the install gate
/// cannot close meanwhile (about 60 us).
inline constexpr uint64_t kInstallBatchPages = 32;

struct Scratch {
  explicit Scratch(size_t pages) : plain(pages * kPageBytes) {}
  uint64_t pages() const { return plain.size() / kPageBytes; }

  SecretBytes plain;
  CtrCipher cipher;
};

/// Callable from many threads.
class ScratchPool {
 public:
  explicit ScratchPool(size_t pages) : pages_(pages) {}

  /// Makes `count` now, before anybody waits for one.
  void prepare(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      idle_.with([made = std::make_unique<Scratch>(pages_)](auto& idle) mutable {
        idle.push_back(std::move(made));
      });
    }
  }

  class Loan {
   public:
    explicit Loan(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
    ~Loan() {
      pool_.idle_.with([&](auto& idle) { idle.push_back(std::move(scratch_)); });
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Scratch& operator*() { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  std::unique_ptr<Scratch> take() {
    std::unique_ptr<Scratch> taken = idle_.with([](auto& idle) -> std::unique_ptr<Scratch> {
      if (idle.empty()) return nullptr;
      std::unique_ptr<Scratch> last = std::move(idle.back());
      idle.pop_back();
      return last;
    });
    return taken ? std::move(taken) : std::make_unique<Scratch>(pages_);
  }

  const size_t pages_;
  Guarded<std::vector<std::unique_ptr<Scratch>>> idle_;
};

}  // namespace thaw
