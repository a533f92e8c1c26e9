// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "thaw/lab/page_cache.h"
#include "thaw/lab/resume_way.h"

namespace thaw {
namespace {

class KernelWay final : public ResumeWay {
 public:
  explicit KernelWay(const WayContext& context) : context_(context) {}

  Result<GuestReport> resume(uint64_t clone) override {
    const MemoryLayers layers = context_.snapshots[clone]->layers();
    const bool present = context_.cell.technique == Technique::kPresent;
    ASSIGN_OR_RETURN(const auto guest, context_.guests.start_mapped(
                                           clone, {.backing = present ? ReplayBacking::kPresent
                                                                      : ReplayBacking::kPrivateFile,
                                                   .path = layers.image_path,
                                                   .overlay_path = layers.diff_path}));
    TRY(guest->proceed());
    return guest->wait();
  }

  // The kernel's work is in the guest's faults; nobody counts it apart.
  void add_costs(Measurement&) const override {}

 private:
  const WayContext context_;
};

}  // namespace

Result<std::unique_ptr<ResumeWay>> make_kernel_way(const WayContext& context) {
  for (const FunctionSnapshot* const snapshot : context.snapshots) {
    if (context.cell.technique == Technique::kPresent) break;
    const bool cached = context.cell.technique == Technique::kMappingCached;
    const MemoryLayers layers = snapshot->layers();
    for (const std::string& path : {layers.image_path, layers.diff_path}) {
      if (!path.empty()) TRY(cached ? read_into_page_cache(path) : drop_page_cache(path));
    }
  }
  return std::make_unique<KernelWay>(context);
}

}  // namespace thaw
