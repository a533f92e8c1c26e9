// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/replay_guests.h"

#include "thaw/lab/vmm_connection.h"
#include "thaw/replay/replay_vmm.h"

namespace thaw {
namespace {

class ReplayGuest final : public RunningGuest {
 public:
  explicit ReplayGuest(std::unique_ptr<ReplayVmm> vmm) : vmm_(std::move(vmm)) {}

  Result<GuestReport> wait() override {
    const ReplayVmmResult& result = vmm_->wait();
    if (!result.passed()) {
      const bool wrong = result.report && result.report->mismatch_count > 0;
      return fail(wrong ? ErrorCode::kCorrupt : ErrorCode::kUnavailable, result.describe());
    }
    const ReplayVmmReport& report = *result.report;
    return GuestReport{.resume_ms = static_cast<double>(report.from_handshake_ns) / 1e6,
                       .first_touch = report.first_touch,
                       .first_touch_ns = report.first_touch_ns,
                       .private_bytes = report.private_bytes,
                       .share_bytes = report.share_bytes,
                       .pages_checked = report.pages_checked};
  }

 private:
  const std::unique_ptr<ReplayVmm> vmm_;
};

}  // namespace

Result<ServedGuest> ReplayGuests::start_served(uint64_t clone) const {
  ASSIGN_OR_RETURN(ConnectedVmm vmm, connect_vmm(options_of(clone), snapshots_[clone]->bytes()));
  auto guest = std::make_unique<ReplayGuest>(std::move(vmm.process));
  return ServedGuest{std::move(static_cast<GreetedVmm&>(vmm)), std::move(guest)};
}

Result<std::unique_ptr<RunningGuest>> ReplayGuests::start_mapped(uint64_t clone,
                                                                 const MappedMemory& memory) const {
  ReplayVmmOptions options = options_of(clone);
  options.backing = memory.backing;
  options.mapped_path = memory.path;
  options.overlay_path = memory.overlay_path;
  options.loading_set = memory.loading_set;
  ASSIGN_OR_RETURN(auto vmm, ReplayVmm::start(options));
  return std::make_unique<ReplayGuest>(std::move(vmm));
}

ReplayVmmOptions ReplayGuests::options_of(uint64_t clone) const {
  const FunctionSnapshot& snapshot = *snapshots_[clone];
  ReplayVmmOptions options = snapshot.vmm();
  options.socket_path = socket_path_ + std::to_string(clone);
  if (input_ == LabInput::kOther) options.touching.trace = *snapshot.trace().other;
  return options;
}

}  // namespace thaw
