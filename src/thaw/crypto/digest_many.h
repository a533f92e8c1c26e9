// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 of several messages at once on one core. One SHA-256 is bound by the latency of its
// rounds, which leaves the unit idle for more than half of the time; independent messages fill the
// gaps. With the SHA extensions four messages take about the time of two (AMD family 26: 3.3
// against 1.7 GB/s); without them each message is hashed alone.
#pragma once

#include <span>

#include "thaw/base/bytes.h"
#include "thaw/crypto/digest.h"

namespace thaw {

/// `out[i]` = SHA-256 of `messages[i]`; as many of one as of the other. Fastest in fours of equal
/// length. Callable from many threads.
void sha256_many(std::span<const ByteSpan> messages, std::span<Digest> out);

/// True if this machine has the instructions for hashing several at once.
bool sha256_many_is_fast();

}  // namespace thaw
