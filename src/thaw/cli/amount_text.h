// SPDX-License-Identifier: Apache-2.0
//
// Amounts as people write and read them: strict parsing of sizes and counts, formatting of times,
// rates and shares. Sizes are formatted by human_bytes() (base/bytes.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "thaw/base/result.h"

namespace thaw {

/// "4096", "512KiB", "2GiB": decimal digits, then nothing, B, KiB, MiB, GiB or TiB. kInvalid for
/// anything else ("512k", "0x200", "-1", " 1", "1.5GiB") and above 2^64 - 1.
Result<uint64_t> parse_size(std::string_view text);

/// Decimal digits of a number in [least, most]; kInvalid names the range.
Result<uint64_t> parse_count(std::string_view text, uint64_t least, uint64_t most);

/// "350 ms", "1.2 s", "2 min 5 s", "3 h 2 min". Not negative.
std::string format_seconds(double seconds);
/// "1.2 GiB/s"; "-" for no time at all.
std::string format_rate(uint64_t bytes, double seconds);
/// "59.3 %" of `whole`; "-" if that is nothing.
std::string format_share(uint64_t part, uint64_t whole);
/// The same as a number from 0 to 1; 0 if `whole` is nothing.
double share(uint64_t part, uint64_t whole);
/// "1 chunk", "12 chunks".
std::string format_count(uint64_t count, std::string_view noun);

}  // namespace thaw
