// SPDX-License-Identifier: Apache-2.0
//
// GuestVmm: the VMMs that real guests run in. Each has a driver, `thaw-qemu` or `thaw-firecracker`,
// and guests of its own: a device state fits one VMM alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace thaw {

enum class GuestVmm { kQemu, kFirecracker };

/// "qemu" or "firecracker", as scenarios, guest.json and folders have it.
std::string word_of(GuestVmm vmm);
std::optional<GuestVmm> parse_guest_vmm(std::string_view word);
/// "QEMU" or "Firecracker", for people.
std::string title_of(GuestVmm vmm);

}  // namespace thaw
