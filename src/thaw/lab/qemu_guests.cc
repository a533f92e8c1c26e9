// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/qemu_guests.h"

#include "thaw/base/units.h"
#include "thaw/lab/qemu_connection.h"

namespace thaw {
namespace {

class QemuGuest final : public RunningGuest {
 public:
  QemuGuest(std::unique_ptr<QemuVmm> vmm, uint64_t memory_pages, bool verify)
      : vmm_(std::move(vmm)), memory_pages_(memory_pages), verify_(verify) {}

  Result<void> proceed() override { return vmm_->proceed(); }

  Result<GuestReport> wait() override {
    ASSIGN_OR_RETURN(const QemuReport report, vmm_->wait());
    GuestReport guest;
    if (verify_) {
      guest.pages_checked = report.pages_compared;
      if (guest.pages_checked == memory_pages_) return guest;
      return fail(ErrorCode::kCorrupt, "of " + std::to_string(memory_pages_) +
                                           " pages of the guest's memory " +
                                           std::to_string(guest.pages_checked) + " were compared");
    }
    guest.resume_ms = report.loaded_call_ms();
    guest.private_bytes = report.private_bytes;
    guest.share_bytes = report.pss_bytes;
    return guest;
  }

 private:
  const std::unique_ptr<QemuVmm> vmm_;
  const uint64_t memory_pages_;
  const bool verify_;
};

}  // namespace

Result<ServedGuest> QemuGuests::start_served(uint64_t clone) const {
  ASSIGN_OR_RETURN(ConnectedQemu vmm,
                   connect_qemu(options_of(clone, QemuWay::kUffd), guest_.memory_bytes()));
  auto guest = std::make_unique<QemuGuest>(std::move(vmm.process),
                                           guest_.memory_bytes() / kPageBytes, verify_);
  return ServedGuest{std::move(static_cast<GreetedVmm&>(vmm)), std::move(guest)};
}

Result<std::unique_ptr<RunningGuest>> QemuGuests::start_mapped(uint64_t clone,
                                                               const MappedMemory& memory) const {
  const bool present = memory.backing == ReplayBacking::kPresent;
  if ((!present && memory.backing != ReplayBacking::kPrivateFile) || !memory.overlay_path.empty()) {
    return fail(ErrorCode::kUnsupported, "QEMU maps its memory as one file");
  }
  QemuVmmOptions options = options_of(clone, present ? QemuWay::kPresent : QemuWay::kFile);
  options.memory = memory.path;
  ASSIGN_OR_RETURN(auto vmm, QemuVmm::start(options));
  return std::make_unique<QemuGuest>(std::move(vmm), guest_.memory_bytes() / kPageBytes, verify_);
}

QemuVmmOptions QemuGuests::options_of(uint64_t clone, QemuWay way) const {
  QemuVmmOptions options;
  options.driver = programs_.driver;
  options.preload = programs_.preload;
  options.guest = guest_.directory;
  options.way = way;
  options.task = verify_                      ? QemuTask::kVerify
                 : input_ == LabInput::kOther ? QemuTask::kCallOther
                                              : QemuTask::kCallMeasured;
  if (way == QemuWay::kUffd) options.socket = socket_path_ + std::to_string(clone);
  return options;
}

}  // namespace thaw
