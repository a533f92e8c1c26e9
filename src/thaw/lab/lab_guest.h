// SPDX-License-Identifier: Apache-2.0
//
// LabGuest: a real guest's snapshot that `thaw lab trace --guests` kept, with what its function
// must answer when it is resumed (vmm/thaw_vmm/lab_guest.py writes it). Beside it are the
// traces of this very snapshot: load_function(guest.directory, guest.function).
#pragma once

#include <cstdint>
#include <string>

#include "thaw/base/result.h"
#include "thaw/lab/guest_vmm.h"

namespace thaw {

/// A call that was recorded. Its reply's digest depends on the request alone.
struct LabGuestCall {
  uint64_t seed = 0;
  std::string input;   // "small" or "large"
  std::string sha256;  // of the reply, in hexadecimal
};

struct LabGuest {
  std::string directory;  // GUESTS/NAME
  GuestVmm vmm = GuestVmm::kQemu;
  std::string function;
  uint64_t memory_mib = 0;
  std::string boot_id;          // of the warm process
  uint64_t calls = 0;           // that it has answered
  LabGuestCall recorded;        // the call of NAME.recorded.trace
  LabGuestCall measured;        // of NAME.trace
  LabGuestCall other;           // of NAME.other.trace
  std::string memory_sha256;    // in hexadecimal
  std::string measured_sha256;  // of NAME.trace: tells traces of this snapshot from others

  std::string memory_path() const { return directory + "/memory"; }
  std::string vmstate_path() const { return directory + "/vmstate"; }
  uint64_t memory_bytes() const { return memory_mib << 20; }
};

/// The VMM's guest of the function in the folder `guests`. kNotFound if there is none, with the
/// verbs that make it; kInvalid if it is another VMM's, its description is not one, or its memory
/// is not of the size that this says. The memory itself is not read.
Result<LabGuest> load_guest(const std::string& guests, const std::string& function, GuestVmm vmm);

/// Reads all of the guest's memory, and so into the page cache; kCorrupt if it is not what was
/// kept.
Result<void> verify_guest(const LabGuest& guest);

}  // namespace thaw
