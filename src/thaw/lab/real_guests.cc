// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/real_guests.h"

#include "thaw/base/units.h"
#include "thaw/lab/real_connection.h"

namespace thaw {
namespace {

class RealGuest final : public RunningGuest {
 public:
  /// `awaited`: of a served guest whose handshake is still to come.
  RealGuest(std::unique_ptr<RealVmm> vmm, std::unique_ptr<AwaitedHandshake> awaited,
            uint64_t memory_pages, bool verify)
      : vmm_(std::move(vmm)),
        awaited_(std::move(awaited)),
        memory_pages_(memory_pages),
        verify_(verify) {}

  Result<void> greet(GreetedVmm& vmm) override {
    return awaited_ == nullptr ? Result<void>{} : proceed_to_handshake(*vmm_, *awaited_, vmm);
  }
  Result<void> proceed() override { return awaited_ == nullptr ? vmm_->proceed() : Result<void>{}; }

  Result<GuestReport> wait() override {
    ASSIGN_OR_RETURN(const RealReport report, vmm_->wait());
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
  const std::unique_ptr<RealVmm> vmm_;
  const std::unique_ptr<AwaitedHandshake> awaited_;
  const uint64_t memory_pages_;
  const bool verify_;
};

}  // namespace

Result<ServedGuest> RealGuests::start_served(uint64_t clone) const {
  ASSIGN_OR_RETURN(ConnectedRealVmm vmm,
                   connect_real_vmm(options_of(clone, RealWay::kUffd), guest_.memory_bytes()));
  auto guest = std::make_unique<RealGuest>(std::move(vmm.process), std::move(vmm.awaited),
                                           guest_.memory_bytes() / kPageBytes, verify_);
  return ServedGuest{std::move(static_cast<GreetedVmm&>(vmm)), std::move(guest)};
}

Result<std::unique_ptr<RunningGuest>> RealGuests::start_mapped(uint64_t clone,
                                                               const MappedMemory& memory) const {
  const bool present = memory.backing == ReplayBacking::kPresent;
  if ((!present && memory.backing != ReplayBacking::kPrivateFile) || !memory.overlay_path.empty()) {
    return fail(ErrorCode::kUnsupported, "a real VMM maps its memory as one file");
  }
  RealVmmOptions options = options_of(clone, present ? RealWay::kPresent : RealWay::kFile);
  options.memory = memory.path;
  ASSIGN_OR_RETURN(auto vmm, RealVmm::start(options));
  return std::make_unique<RealGuest>(std::move(vmm), nullptr, guest_.memory_bytes() / kPageBytes,
                                     verify_);
}

RealVmmOptions RealGuests::options_of(uint64_t clone, RealWay way) const {
  RealVmmOptions options;
  options.driver = programs_.driver;
  options.preload = programs_.preload;
  options.guest = guest_.directory;
  options.way = way;
  options.task = verify_                      ? RealTask::kVerify
                 : input_ == LabInput::kOther ? RealTask::kCallOther
                                              : RealTask::kCallMeasured;
  if (way == RealWay::kUffd) options.socket = socket_path_ + std::to_string(clone);
  return options;
}

}  // namespace thaw
