// SPDX-License-Identifier: Apache-2.0
#include "thaw/chunk/zero_page.h"

#include <cstring>

namespace thaw {

bool is_zero(ByteSpan bytes) {
  // A range is zero if its first bytes are and it equals itself shifted by them: memcmp does the
  // scan with the widest loads of the machine.
  constexpr size_t kHead = 16;
  static constexpr std::byte kZeros[kHead]{};
  if (bytes.empty()) return true;
  if (bytes.size() <= kHead) return std::memcmp(bytes.data(), kZeros, bytes.size()) == 0;
  return std::memcmp(bytes.data(), kZeros, kHead) == 0 &&
         std::memcmp(bytes.data(), bytes.data() + kHead, bytes.size() - kHead) == 0;
}

}  // namespace thaw
