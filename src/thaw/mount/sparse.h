// SPDX-License-Identifier: Apache-2.0
//
// The holes of an image as lseek(2) and stat(2) tell them: a page that no chunk holds is a hole.
// Pure functions of an immutable page map, callable from many threads.
#pragma once

#include <cstdint>
#include <optional>

#include "thaw/image/manifest.h"

namespace thaw {

/// The first byte of data at or after `offset`; nullopt (ENXIO) if there is none.
std::optional<uint64_t> seek_data(const Image& image, uint64_t offset);

/// The first byte of a hole at or after `offset`, the image's size if only data follows; nullopt
/// (ENXIO) at or past the end. One binary search for each extent passed.
std::optional<uint64_t> seek_hole(const Image& image, uint64_t offset);

/// stat's st_blocks: the 512-byte blocks of the pages that chunks hold.
uint64_t data_blocks(const Image& image);

}  // namespace thaw
