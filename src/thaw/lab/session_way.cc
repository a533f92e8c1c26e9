// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "thaw/lab/resume_way.h"
#include "thaw/lab/stack_meter.h"

namespace thaw {
namespace {

Strategy strategy_of(const Cell& cell) {
  switch (cell.technique) {
    case Technique::kReap:
      return Strategy::kReap;
    case Technique::kFaasnap:
      return Strategy::kFaasnap;
    case Technique::kChunks:
      return Strategy::kChunks;
    case Technique::kHot:
      return cell.without == Without::kLayout ? Strategy::kChunks : Strategy::kHot;
    default:
      return Strategy::kOnDemand;
  }
}

class SessionWay final : public ResumeWay {
 public:
  SessionWay(const WayContext& context, TierStack& stack, WorkerPool& workers)
      : context_(context), workers_(workers), meter_(stack) {
    options_.strategy = strategy_of(context.cell);
    options_.stages = &stages_;
    if (context.cell.without == Without::kPageFill) options_.fill = Fill::kChunk;
    if (context.cell.without == Without::kOverlap) options_.prefetch_lanes = 1;
    if (context.cell.without == Without::kPlacement) {
      options_.placement.placement = CorePolicy::kNone;
    }
  }

  Result<GuestReport> resume(uint64_t clone) override {
    const bool hot = options_.strategy == Strategy::kHot;
    ASSIGN_OR_RETURN(ServedGuest guest, context_.guests.start_served(clone));
    TRY(guest.greet());
    ASSIGN_OR_RETURN(
        const auto session,
        Session::start(context_.snapshots[clone]->image(hot ? Layout::kHot : Layout::kLinear),
                       meter_.source(), workers_, std::move(guest.vmm.handshake),
                       std::move(guest.vmm.peer), options_, [] {}));
    TRY(guest.guest->proceed());
    Result<GuestReport> report = guest.guest->wait();
    session->stop();
    const SessionSummary summary = session->summary();
    faults_ += summary.faults;
    chunks_ += summary.chunks;
    if (!report) return fail(std::move(report).error().with_context("session: " + summary.error));
    return report;
  }

  void add_costs(Measurement& measurement) const override {
    meter_.add_costs(measurement);
    measurement.faults += faults_;
    measurement.requests += chunks_;
    measurement.decrypt_ns += stages_.decrypt_ns;
    measurement.install_ns += stages_.install_ns;
  }

 private:
  const WayContext context_;
  WorkerPool& workers_;
  StackMeter meter_;
  StageTimes stages_;
  SessionOptions options_;
  std::atomic<uint64_t> faults_{0};
  std::atomic<uint64_t> chunks_{0};
};

}  // namespace

Result<std::unique_ptr<ResumeWay>> make_session_way(const WayContext& context, TierStack& stack,
                                                    WorkerPool& workers) {
  return std::make_unique<SessionWay>(context, stack, workers);
}

}  // namespace thaw
