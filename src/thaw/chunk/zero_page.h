// SPDX-License-Identifier: Apache-2.0
//
// The test that keeps zero pages out of the store. Most pages of a guest are zero.
#pragma once

#include "thaw/base/bytes.h"

namespace thaw {

/// True if every byte is zero. About 0.15 us for a zero page of 4 KiB, less for others: it stops at
/// the first byte that is not. `bytes` is 16-byte sized.
bool is_zero(ByteSpan bytes);

}  // namespace thaw
