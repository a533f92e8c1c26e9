// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "thaw/lab/loading_set.h"
#include "thaw/lab/resume_way.h"
#include "thaw/lab/stack_meter.h"
#include "thaw/mount/snapshot_mount.h"
#include "thaw/resume/strategy.h"

namespace thaw {
namespace {

std::vector<ReplayRegion> loading_regions(const PageTrace& recorded) {
  std::vector<ReplayRegion> regions;
  for (const PageRuns& group : loading_groups(recorded, kFaasnapGroupPages, kFaasnapGapPages)) {
    for (const PageRun& run : group) {
      regions.push_back({run.count * kPageBytes, run.page * kPageBytes});
    }
  }
  return regions;
}

class MountWay final : public ResumeWay {
 public:
  MountWay(const WayContext& context, TierStack& stack, std::string mountpoint)
      : context_(context), meter_(stack), mountpoint_(std::move(mountpoint)) {}
  ~MountWay() override {
    if (!server_.joinable()) return;
    mount_->stop();
    server_.join();
  }
  MountWay(const MountWay&) = delete;
  MountWay& operator=(const MountWay&) = delete;

  // A new mount has nothing in the page cache.
  Result<void> mount(const Catalog& catalog, const KeyProvider& keys) {
    ASSIGN_OR_RETURN(mount_,
                     SnapshotMount::create({}, catalog, keys, meter_.source(), mountpoint_));
    server_ = std::thread([this] { static_cast<void>(mount_->run()); });
    return {};
  }

  Result<GuestReport> resume(uint64_t clone) override {
    const FunctionSnapshot& snapshot = *context_.snapshots[clone];
    MappedMemory memory{.path = mountpoint_ + "/" + snapshot.name(Layout::kLinear) + "/memory"};
    if (context_.cell.technique == Technique::kFaasnap) {
      memory.backing = ReplayBacking::kRegions;
      memory.loading_set = loading_regions(snapshot.trace().recorded);
    }
    ASSIGN_OR_RETURN(const auto guest, context_.guests.start_mapped(clone, memory));
    TRY(guest->proceed());
    return guest->wait();
  }

  void add_costs(Measurement& measurement) const override {
    meter_.add_costs(measurement);
    measurement.requests += mount_->counters().reads;
  }

 private:
  const WayContext context_;
  StackMeter meter_;
  const std::string mountpoint_;
  std::unique_ptr<SnapshotMount> mount_;
  std::thread server_;
};

}  // namespace

Result<std::unique_ptr<ResumeWay>> make_mount_way(const WayContext& context, TierStack& stack,
                                                  const Catalog& catalog, const KeyProvider& keys,
                                                  const std::string& mountpoint) {
  auto way = std::make_unique<MountWay>(context, stack, mountpoint);
  TRY(way->mount(catalog, keys));
  return way;
}

}  // namespace thaw
