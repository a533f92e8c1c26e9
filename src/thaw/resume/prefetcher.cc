// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/prefetcher.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/resume/slot_install.h"

namespace thaw {
namespace {

// Zero runs that a task installs: a call of a microsecond each.
constexpr uint32_t kZeroRunsPerStep = 64;

// From a disk or a zone a whole plan comes in less, and fetching what may never be asked for would
// take more from the guest than it gives; from an origin the first chunk alone takes longer.
constexpr std::chrono::milliseconds kIdleLimit{10};

}  // namespace

// A slice on its way, and the lane that waits for it.
struct Prefetcher::SliceLoad {
  size_t step = 0;
  LaneRef lane;
  const Slice* slice = nullptr;
  uint32_t piece = 0;  // of the plain cache
  ByteSpan key;
  ChunkRef chunk;                     // what it is decrypted from, unless
  const PlainPiece* plain = nullptr;  // it is there as plaintext
};

Prefetcher::Prefetcher(const FillContext& context, UnitFiller* units, PageFiller* pages,
                       const PrefetchPlan& plan, const PrefetchOptions& options)
    : context_(context), units_(units), pages_(pages), plan_(plan), options_(options) {
  CHECK(options.lanes > 0 && options.rest_lanes > 0 && (!options.rest || units != nullptr));
  add_plan_steps();
  plan_steps_ = steps_.size();
  if (options_.rest) add_rest_steps();
  plan_steps_left_ = plan_steps_;
  rest_zeros_left_ = static_cast<size_t>(
      std::count_if(steps_.begin() + static_cast<ptrdiff_t>(plan_steps_), steps_.end(),
                    [](const Step& step) { return step.kind == Step::Kind::kZeros; }));
}

// The first data before the zeros: that is where the guest begins.
void Prefetcher::add_plan_steps() {
  if (context_.memory.unit_pages() > 1) {
    add_units_of_slices();
  } else if (!plan_.slices.empty()) {
    for (uint32_t i = 0; i < plan_.slices.size(); ++i) {
      steps_.push_back({Step::Kind::kSlice, i});
    }
  } else if (units_ != nullptr) {
    for (const uint32_t chunk : plan_.chunks) steps_.push_back({Step::Kind::kUnit, chunk});
  } else {
    for (const uint32_t chunk : plan_.chunks) {
      steps_.push_back({Step::Kind::kSlice, static_cast<uint32_t>(chunk_slices_.size())});
      chunk_slices_.push_back({chunk, context_.image.slots_of(chunk)});
    }
  }
  if (context_.memory.unit_pages() > 1) return;  // a huge page's zeros come with the page
  for (PageRun run : plan_.zero_runs) {
    for (; run.count > kZeroRunPagesMax; run.page += kZeroRunPagesMax) {
      zero_runs_.push_back({run.page, kZeroRunPagesMax});
      run.count -= kZeroRunPagesMax;
    }
    zero_runs_.push_back(run);
  }
  std::vector<Step> zeros;
  for (uint32_t at = 0; at < zero_runs_.size(); at += kZeroRunsPerStep) {
    const auto count =
        std::min<uint32_t>(kZeroRunsPerStep, static_cast<uint32_t>(zero_runs_.size()) - at);
    zeros.push_back({Step::Kind::kZeros, at, count});
  }
  steps_.insert(steps_.empty() ? steps_.end() : steps_.begin() + 1, zeros.begin(), zeros.end());
}

// The VMM's pages are huge: whatever the plan wants of one, all of it is built.
void Prefetcher::add_units_of_slices() {
  const FillUnits& units = units_->units();
  std::vector<bool> taken(units.count());
  const auto take = [&](uint64_t page) {
    const std::optional<uint32_t> unit = units.unit_of(page);
    if (!unit || taken[*unit]) return;
    taken[*unit] = true;
    steps_.push_back({Step::Kind::kUnit, *unit});
  };
  const auto take_runs = [&](std::span<const SlotRun> runs) {
    for (const SlotRun& run : runs) {
      for (uint64_t page = run.page; page < run.page + run.count; ++page) take(page);
    }
  };
  for (const uint32_t chunk : plan_.chunks) take_runs(context_.image.slots_of(chunk));
  for (const Slice& slice : plan_.slices) take_runs(slice.runs);
}

void Prefetcher::add_rest_steps() {
  const std::vector<uint32_t> order = units_->units().order();
  units_total_ = order.size();
  for (const uint32_t unit : order) steps_.push_back({Step::Kind::kUnit, unit});
  for (const PageRun& run : units_->units().zero_runs()) {
    steps_.push_back({Step::Kind::kZeros, static_cast<uint32_t>(zero_runs_.size()), 1});
    zero_runs_.push_back(run);
  }
}

void Prefetcher::start() {
  const size_t wanted = std::min<size_t>(options_.cores, plan_steps_);
  for (size_t i = std::max<size_t>(wanted, options_.rest ? options_.rest_lanes : 0); i > 0; --i) {
    add_lane();
  }
}

void Prefetcher::add_lane() {
  const unsigned number = lanes_.fetch_add(1, std::memory_order_relaxed);
  if (number >= std::max(options_.lanes, options_.rest_lanes)) return;
  auto lane = std::make_shared<Lane>(Lane{number, context_.gate.enter()});
  if (lane->pass) continue_lane(lane);
}

bool Prefetcher::complete() const {
  return options_.rest && rest_zeros_left_.load(std::memory_order_acquire) == 0 &&
         units_->installed() == units_total_;
}

void Prefetcher::judge(uint64_t page) {
  if (plan_steps_ == 0) return;
  auto& counter =
      plan_.predicted.test(page) ? counters_.predicted_faults : counters_.unpredicted_faults;
  counter.fetch_add(1, std::memory_order_relaxed);
  if (counters_.stopped.load(std::memory_order_relaxed)) return;
  const uint64_t right = counters_.predicted_faults.load(std::memory_order_relaxed);
  const uint64_t wrong = counters_.unpredicted_faults.load(std::memory_order_relaxed);
  if (right + wrong < kJudgedFaultsMin || wrong <= 3 * right) return;
  if (plan_steps_left_.load(std::memory_order_relaxed) == 0) return;  // nothing to stop
  counters_.stopped.store(true, std::memory_order_relaxed);
  log_warning("prefetch stops: of the guest's first " + std::to_string(right + wrong) + " faults " +
              std::to_string(wrong) + " were on pages that its working set does not have; record " +
              "it again if this goes on");
}

// A lane does one step, then queues up again behind whatever else the workers have to do.
void Prefetcher::continue_lane(const LaneRef& lane) {
  if (context_.host.stopping()) return;
  if (context_.workers.submit([this, lane] { run_lane(lane); }, /*urgent=*/false)) return;
  context_.host.retry([this, lane] { continue_lane(lane); });
}

void Prefetcher::run_lane(const LaneRef& lane) {
  if (context_.host.stopping()) return;
  const size_t at = next_step_.load(std::memory_order_relaxed);
  if (at >= plan_steps_ && lane->number >= options_.rest_lanes) return;
  const size_t step = next_step_.fetch_add(1, std::memory_order_relaxed);
  if (step >= steps_.size()) return;
  if (run_step(step, lane)) {
    end_step(step, lane);
  } else {
    add_lane();
  }
}

bool Prefetcher::run_step(size_t step, const LaneRef& lane) {
  if (step < plan_steps_ && counters_.stopped.load(std::memory_order_relaxed)) return true;
  switch (steps_[step].kind) {
    case Step::Kind::kUnit:
      return !units_->prefetch(steps_[step].index, [this, step, lane] { end_step(step, lane); });
    case Step::Kind::kSlice:
      return load_slice(step, lane);
    case Step::Kind::kZeros:
      return place_zeros(step, 0, lane);
  }
  return true;
}

void Prefetcher::end_step(size_t step, const LaneRef& lane) {
  if (step < plan_steps_ && plan_steps_left_.fetch_sub(1, std::memory_order_acq_rel) == 1 &&
      plan_.hold_guest) {
    context_.host.guest_released();
  }
  continue_lane(lane);
}

bool Prefetcher::load_slice(size_t step, const LaneRef& lane) {
  const auto load = std::make_shared<SliceLoad>();
  load->step = step;
  load->lane = lane;
  load->slice = chunk_slices_.empty() ? &plan_.slices[steps_[step].index]
                                      : &chunk_slices_[steps_[step].index];
  // The pieces are the plan's slices or its chunks, in their order, and so are the slices here.
  load->piece = steps_[step].index;
  const Manifest& manifest = context_.image.manifest();
  const uint32_t chunk = load->slice->chunk;
  const Pack* const pack = plan_.pack;
  const ChunkEntry& entry = pack != nullptr ? pack->chunks[chunk] : manifest.clear.chunks[chunk];
  load->key = pack != nullptr ? pack->chunk_key(chunk) : manifest.chunk_key(chunk);
  if (context_.plain != nullptr) load->plain = context_.plain->find(load->piece);
  if (load->plain != nullptr) {
    counters_.plain_hits.fetch_add(1, std::memory_order_relaxed);
    return install_slice(load);
  }
  load->chunk = context_.source.lookup(entry.id);
  if (load->chunk) return install_slice(load);
  context_.fetches.begin();
  context_.source.fetch(
      context_.fetches.request(manifest.clear.root_id, entry, Priority::kPrefetch),
      [this, load](Result<ChunkRef> result) {
        context_.fetches.end();
        if (result) {
          load->chunk = std::move(*result);
          if (install_slice(load)) end_step(load->step, load->lane);
          return;
        }
        note_error(result.error());
        end_step(load->step, load->lane);
      });
  return false;
}

std::optional<std::chrono::milliseconds> Prefetcher::idle_limit() const {
  const bool wanted = !near_begun_ && !counters_.stopped.load(std::memory_order_relaxed) &&
                      pages_ != nullptr && !plan_.near.empty() &&
                      plan_steps_left_.load(std::memory_order_relaxed) > 0;
  return wanted ? std::optional(kIdleLimit) : std::nullopt;
}

void Prefetcher::idle() {
  if (!idle_limit()) return;
  if (context_.workers.waiting() > 0) return;  // it is not the source that is slow
  near_begun_ = true;
  for (size_t i = 0; i < std::min<size_t>(options_.lanes, plan_.near.size()); ++i) {
    auto lane = std::make_shared<Lane>(Lane{options_.lanes, context_.gate.enter()});
    if (lane->pass) fetch_near(lane);
  }
}

void Prefetcher::fetch_near(const LaneRef& lane) {
  const Manifest& manifest = context_.image.manifest();
  uint32_t chunk = 0;
  ChunkRef at_hand;
  do {
    if (at_hand) pages_->offer(chunk, std::move(at_hand));
    const size_t at = next_near_.fetch_add(1, std::memory_order_relaxed);
    if (at >= plan_.near.size() || context_.host.stopping()) return;
    chunk = plan_.near[at];
    at_hand = context_.source.lookup(manifest.clear.chunks[chunk].id);
  } while (at_hand);
  context_.fetches.begin();
  context_.source.fetch(context_.fetches.request(manifest, chunk, Priority::kPrefetch),
                        [this, lane, chunk](Result<ChunkRef> result) {
                          context_.fetches.end();
                          if (result) {
                            pages_->offer(chunk, std::move(*result));
                          } else {
                            note_error(result.error());
                          }
                          fetch_near(lane);
                        });
}

// If the guest ever wants these pages, they are fetched for it.
void Prefetcher::note_error(const Error& error) {
  if (counters_.errors.fetch_add(1, std::memory_order_relaxed) == 0) {
    log_warning("prefetch skips what it cannot read, the first time for: " + error.message);
  }
}

bool Prefetcher::install_slice(const std::shared_ptr<SliceLoad>& load) {
  if (context_.host.stopping()) return false;
  const PlaceResult result = [&] {
    if (load->plain != nullptr) {
      return install_plain(context_.memory, load->plain->plain.span(), load->plain->runs,
                           wake_of(load->step));
    }
    ScratchPool::Loan scratch(context_.scratch);
    (*scratch).cipher.set_key(load->key);
    if (context_.plain != nullptr) {
      load->plain = context_.plain->fill(load->piece, load->chunk->ciphertext(), (*scratch).cipher);
      if (load->plain != nullptr) {
        return install_plain(context_.memory, load->plain->plain.span(), load->plain->runs,
                             wake_of(load->step));
      }
    }
    return install_slots(context_.memory, load->chunk->ciphertext(), load->slice->runs, *scratch,
                         wake_of(load->step));
  }();
  const auto retry = [this, load] {
    if (install_slice(load)) end_step(load->step, load->lane);
  };
  return settle(context_.host, load->slice->runs.front().page, result, [this, retry] {
    if (!context_.workers.submit(retry, /*urgent=*/true)) retry();
  });
}

bool Prefetcher::place_zeros(size_t step, uint32_t at, const LaneRef& lane) {
  for (; at < steps_[step].count; ++at) {
    const PageRun run = zero_runs_[steps_[step].index + at];
    const PlaceResult result = [&] {
      const GatePass pass(context_.memory.gate());
      return context_.memory.place_zero(run, wake_of(step));
    }();
    // `lane` in the closure keeps the session's gate from closing before the retry has run.
    const auto retry = [this, step, at, lane] {
      if (place_zeros(step, at, lane)) end_step(step, lane);
    };
    if (!settle(context_.host, run.page, result, retry)) return false;
  }
  if (step >= plan_steps_) {
    rest_zeros_left_.fetch_sub(1, std::memory_order_acq_rel);
    context_.host.progress();
  }
  return true;
}

}  // namespace thaw
