// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/guest_vmm.h"

namespace thaw {

std::string word_of(GuestVmm vmm) { return vmm == GuestVmm::kQemu ? "qemu" : "firecracker"; }

std::optional<GuestVmm> parse_guest_vmm(std::string_view word) {
  for (const GuestVmm vmm : {GuestVmm::kQemu, GuestVmm::kFirecracker}) {
    if (word == word_of(vmm)) return vmm;
  }
  return std::nullopt;
}

std::string title_of(GuestVmm vmm) { return vmm == GuestVmm::kQemu ? "QEMU" : "Firecracker"; }

}  // namespace thaw
