// SPDX-License-Identifier: Apache-2.0
//
// install_slots: from a verified chunk's ciphertext to installed pages: the one place where a
// session decrypts in bulk.
#pragma once

#include <span>

#include "thaw/base/bytes.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/resume/guest_memory.h"
#include "thaw/resume/scratch.h"
#include "thaw/resume/strategy.h"

namespace thaw {

/// Installs the pages of `runs`, which are among `sealed`, in order of slot, leaving out those that
/// are present or removed. `scratch` has at least kInstallBatchPages pages and its cipher the
/// chunk's key. Passes the install gate itself, a batch at a time.
PlaceResult install_slots(GuestMemory& memory, SealedPages sealed, std::span<const SlotRun> runs,
                          Scratch& scratch, Wake wake = Wake::kYes);

/// The same from plaintext, whose pages the slots count.
PlaceResult install_plain(GuestMemory& memory, ByteSpan plain, std::span<const SlotRun> runs,
                          Wake wake = Wake::kYes);

}  // namespace thaw
