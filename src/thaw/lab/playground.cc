// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/playground.h"

#include <sys/resource.h>

#include <optional>
#include <thread>
#include <vector>

#include "thaw/lab/replay_guests.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr uint32_t kQueueMax = 65536;
constexpr char kTenant[] = "lab";

double cpu_ms() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

void add_report(const GuestReport& report, Measurement& measurement) {
  const auto mib = [](uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(kMiB);
  };
  if (measurement.resume_ms.empty()) {
    const LatencySummary& touch = report.first_touch;
    measurement.touches = touch.count;
    measurement.touch_mean_ns = touch.mean_ns;
    measurement.touch_p50_ns = touch.p50_ns;
    measurement.touch_p90_ns = touch.p90_ns;
    measurement.touch_p99_ns = touch.p99_ns;
    measurement.touch_max_ns = touch.max_ns;
    measurement.touch_ns = report.first_touch_ns;
  }
  measurement.resume_ms.push_back(report.resume_ms);
  measurement.private_mib.push_back(mib(report.private_bytes));
  measurement.share_mib.push_back(mib(report.share_bytes));
  measurement.pages_checked += report.pages_checked;
}

/// A tier that has everything asks nobody below. Otherwise the figure is another tier's.
Result<void> check_tier(const Cell& cell, const TierStack& stack, uint64_t requests_before) {
  const bool asked = stack.origin().counters().requests != requests_before;
  const bool may = cell.tier == LabTier::kOrigin || cell.tier == LabTier::kEmptyFleet;
  if (may || !asked) return {};
  return fail(ErrorCode::kUnavailable, "asked the origin for what its tier has");
}

/// All clones, at once.
Result<void> resume_all(ResumeWay& way, uint64_t clones, Measurement& measurement) {
  std::vector<std::optional<Result<GuestReport>>> reports(clones);
  std::vector<std::thread> others;
  for (uint64_t i = 1; i < clones; ++i) {
    others.emplace_back([&, i] { reports[i].emplace(way.resume(i)); });
  }
  reports[0].emplace(way.resume(0));
  for (std::thread& other : others) other.join();
  for (auto& report : reports) {
    if (!*report) return fail(std::move(*report).error());
    add_report(**report, measurement);
  }
  return {};
}

}  // namespace

Playground::Playground(PlaygroundOptions options)
    : options_(std::move(options)), workers_(WorkerOptions().thread_count(), kQueueMax) {}

Playground::~Playground() = default;

Result<std::unique_ptr<Playground>> Playground::make(const PlaygroundOptions& options) {
  std::unique_ptr<Playground> made(new Playground(options));
  ASSIGN_OR_RETURN(made->memory_dir_, ScratchDir::make(options.memory_parent));
  ASSIGN_OR_RETURN(made->disk_dir_, ScratchDir::make(options.disk_parent));
  ASSIGN_OR_RETURN(Keyring keyring, Keyring::create(made->memory_dir_->file("keys"), kTenant));
  made->keys_ = std::make_unique<FileKeyProvider>(std::move(keyring));
  return made;
}

Result<void> Playground::check(const Cell& cell) {
  ASSIGN_OR_RETURN(const FunctionTrace* const trace, trace_of(cell));
  if (cell.input == LabInput::kOther && !trace->other) {
    return fail(ErrorCode::kNotFound, "there is no trace of '" + cell.function +
                                          "' with another input in " + options_.traces);
  }
  return {};
}

Result<const FunctionTrace*> Playground::trace_of(const Cell& cell) {
  const bool real = real_vmm_of(cell).has_value();
  std::map<std::string, FunctionTrace>& traces = real ? guest_traces_ : traces_;
  const auto found = traces.find(cell.function);
  if (found != traces.end()) return &found->second;
  std::string folder = options_.traces;
  if (real) {
    ASSIGN_OR_RETURN(const LabGuest* const guest, guest_of(cell));
    folder = guest->directory;
  }
  ASSIGN_OR_RETURN(FunctionTrace trace, load_function(folder, cell.function));
  return &traces.emplace(cell.function, std::move(trace)).first->second;
}

// All are of one VMM: a folder of guests has one of each function, and the preflight has asked for
// every cell's.
Result<const LabGuest*> Playground::guest_of(const Cell& cell) {
  const auto found = guests_.find(cell.function);
  if (found != guests_.end()) return &found->second;
  ASSIGN_OR_RETURN(LabGuest guest, load_guest(options_.guests, cell.function, *real_vmm_of(cell)));
  TRY(verify_guest(guest));
  return &guests_.emplace(cell.function, std::move(guest)).first->second;
}

Result<std::unique_ptr<GuestStarter>> Playground::guests_of(
    const Cell& cell, const std::vector<const FunctionSnapshot*>& snapshots, bool verify) {
  const std::string socket = memory_dir_->file("vmm");
  if (cell.driver == LabDriver::kReplay) {
    return std::make_unique<ReplayGuests>(snapshots, cell.input, socket);
  }
  ASSIGN_OR_RETURN(const LabGuest* const guest, guest_of(cell));
  return std::make_unique<RealGuests>(*guest, options_.programs, cell.input, verify, socket);
}

// A call's answer shows only the pages that the call needed, so before a cell's first measurement a
// guest that stays paused has all of its memory compared.
Result<uint64_t> Playground::verify_once(const Cell& cell, LabHome& home,
                                         const std::vector<const FunctionSnapshot*>& snapshots,
                                         uint64_t seed) {
  if (!real_vmm_of(cell)) return 0;
  if (const auto found = verified_.find(cell.key()); found != verified_.end()) return found->second;
  ASSIGN_OR_RETURN(TierStack* const stack, stack_of(cell, home, snapshots, seed));
  ASSIGN_OR_RETURN(const auto guests, guests_of(cell, snapshots, true));
  ASSIGN_OR_RETURN(const auto way, way_of({cell, snapshots, *guests, seed}, home, stack));
  ASSIGN_OR_RETURN(const GuestReport report, way->resume(0));
  return verified_[cell.key()] = report.pages_checked;
}

Result<LabHome*> Playground::home_of(const Cell& cell) {
  std::unique_ptr<LabHome>& home = homes_[cell.function + "-" + std::to_string(cell.chunk_bytes) +
                                          "-" + axis_value(cell, "driver")];
  if (home == nullptr) {
    ASSIGN_OR_RETURN(const FunctionTrace* const trace, trace_of(cell));
    std::string memory;
    if (real_vmm_of(cell)) {
      ASSIGN_OR_RETURN(const LabGuest* const guest, guest_of(cell));
      memory = guest->memory_path();
    }
    const LabPlaces places{*memory_dir_, *disk_dir_, *keys_, workers_};
    ASSIGN_OR_RETURN(home, LabHome::make(places, *trace, cell.chunk_bytes, memory));
  }
  return home.get();
}

Result<LabZone*> Playground::zone_of(const Cell& cell) {
  if (cell.tier != LabTier::kZone && cell.tier != LabTier::kEmptyFleet) return nullptr;
  if (zone_ == nullptr) {
    ASSIGN_OR_RETURN(zone_, LabZone::start());
  }
  return zone_.get();
}

/// nullptr for techniques that have no tiers.
Result<TierStack*> Playground::stack_of(const Cell& cell, LabHome& home,
                                        const std::vector<const FunctionSnapshot*>& snapshots,
                                        uint64_t seed) {
  if (!is_ours(cell.technique)) return nullptr;
  ASSIGN_OR_RETURN(LabZone* const zone, zone_of(cell));
  return home.stack_of(cell, snapshots, zone, seed);
}

Result<std::unique_ptr<ResumeWay>> Playground::way_of(const WayContext& context,
                                                      const LabHome& home, TierStack* stack) {
  const Cell& cell = context.cell;
  if (is_kernels(cell.technique)) return make_kernel_way(context);
  if (!is_ours(cell.technique))
    return make_study_way(context, studies_, disk_dir_->file("study-" + home.name() + "-"));
  if (cell.frontend == LabFrontend::kUffd) return make_session_way(context, *stack, workers_);
  const std::string mountpoint = memory_dir_->file("mount");
  TRY(make_directories(mountpoint));
  return make_mount_way(context, *stack, home.catalog(), *keys_, mountpoint);
}

Result<Measurement> Playground::measure(const Cell& cell, uint64_t seed) {
  const auto in_cell = [&cell](Error error) {
    return fail(std::move(error).with_context(cell.key()));
  };
  ASSIGN_OR_RETURN(LabHome* const home, home_of(cell));
  ASSIGN_OR_RETURN(const auto snapshots, home->snapshots_of(cell));
  Result<uint64_t> verified = verify_once(cell, *home, snapshots, seed);
  if (!verified) return in_cell(std::move(verified).error());
  ASSIGN_OR_RETURN(TierStack* const stack, stack_of(cell, *home, snapshots, seed));
  ASSIGN_OR_RETURN(const auto guests, guests_of(cell, snapshots, false));
  ASSIGN_OR_RETURN(const auto way, way_of({cell, snapshots, *guests, seed}, *home, stack));

  Measurement measurement;
  measurement.cell = cell;
  measurement.seed = seed;
  const uint64_t requests_before =
      stack != nullptr ? stack->origin().counters().requests.load() : 0;
  const double cpu_before = cpu_ms();
  if (auto resumed = resume_all(*way, cell.parallel, measurement); !resumed) {
    return in_cell(std::move(resumed).error());
  }
  measurement.cpu_ms = cpu_ms() - cpu_before;
  measurement.pages_checked += *verified;
  way->add_costs(measurement);
  if (stack != nullptr) {
    if (auto kept = check_tier(cell, *stack, requests_before); !kept) {
      return in_cell(std::move(kept).error());
    }
  }
  if (measurement.pages_checked == 0) {
    return in_cell({ErrorCode::kInvalid, "no page was compared with the oracle"});
  }
  return measurement;
}

}  // namespace thaw
