// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/simulate_fleet.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/check.h"
#include "thaw/fleet/event_queue.h"
#include "thaw/fleet/fleet_arrivals.h"
#include "thaw/fleet/fleet_record.h"
#include "thaw/fleet/fleet_schedule.h"
#include "thaw/fleet/grain_cache.h"
#include "thaw/fleet/pool.h"
#include "thaw/fleet/turns.h"
#include "thaw/fleet/zone_model.h"

namespace thaw {
namespace {

constexpr uint64_t kEventsPerLook = 1 << 14;        // at progress and cancelling
constexpr uint64_t kEventsPerMemoryLook = 1 << 20;  // which walks all workers

struct ModelWorker {
  ModelWorker(const FleetScenario& scenario, uint32_t memory_grains, uint32_t local_grains)
      : memory(scenario.worker.memory_policy, memory_grains),
        local(scenario.worker.local_policy, local_grains) {}

  GrainCache memory;
  GrainCache local;
  int64_t disk_free_ns = 0;
  int64_t link_free_ns = 0;
  uint32_t active = 0;            // resumes
  uint32_t origin_in_flight = 0;  // chunks
  std::unique_ptr<Turns> waiting;
};

struct ModelResume {
  uint32_t worker = 0;
  uint32_t function = 0;
  int64_t begun_ns = 0;
  uint32_t next = 0;  // place in the working set
  uint32_t outstanding = 0;
  FleetPhase phase = FleetPhase::kSteady;
};

struct Flight {
  uint32_t worker = 0;
  uint32_t grain = 0;
  FleetTier from = FleetTier::kLocal;
  std::vector<uint32_t> resumes;  // that wait for it, the one that began it first
};

class FleetRun {
 public:
  FleetRun(const FleetScenario& scenario, const FleetCosts& costs, const FleetHooks& hooks)
      : scenario_(scenario),
        costs_(costs.for_bytes(uint64_t{scenario.chunk_bytes} * scenario.grain_chunks)),
        hooks_(hooks),
        grain_(scenario.grain_chunks),
        lanes_(std::max(1U, scenario.worker.lanes / scenario.grain_chunks)),
        transfer_ns_(scenario.worker.link_bytes_per_s > 0
                         ? ns_of(static_cast<double>(scenario.chunk_bytes) * grain_ /
                                 scenario.worker.link_bytes_per_s)
                         : 0),
        sets_(scenario),
        arrivals_(scenario, sets_),
        schedule_(schedule_of(scenario)),
        latency_(scenario.seed, DrawPurpose::kLatency),
        origin_latency_(latency_preset(scenario.origin.latency).value_or(LatencyShape{}), 1, 1,
                        scenario.grain_chunks),
        threads_(size_t{scenario.workers} * scenario.worker.threads, 0),
        record_(scenario) {
    const uint32_t memory_grains = scenario.memory_grains();
    const uint32_t local_grains = scenario.local_grains();
    workers_.reserve(scenario.workers);
    for (uint32_t i = 0; i < scenario.workers; ++i) {
      workers_.emplace_back(scenario, memory_grains, local_grains);
    }
    if (scenario.zone.nodes > 0) zone_.emplace(scenario, hooks.partition_of);
  }

  Result<FleetResult> run(Progress& progress) {
    const uint64_t seconds_before = progress.bytes_done.load();
    for (uint32_t i = 0; i < schedule_.size(); ++i) {
      queue_.add(schedule_[i].at_ns, EventKind::kScheduled, i);
    }
    plan_arrival();
    while (!queue_.empty()) {
      const Event event = queue_.pop();
      now_ns_ = event.at_ns;
      handle(event);
      const uint64_t events = ++record_.totals().events;
      if (events % kEventsPerMemoryLook == 0) TRY(look_at_memory());
      if (events % kEventsPerLook != 0) continue;
      if (progress.cancelled()) {
        return fail(ErrorCode::kInterrupted,
                    "the simulation was stopped at " + std::to_string(now_ns_ / 1'000'000'000) +
                        " s of its time; nothing is kept, so it begins anew when it is run again");
      }
      const double done =
          std::min(static_cast<double>(now_ns_) / kNsPerSecond, scenario_.duration_s);
      progress.bytes_done.store(seconds_before + static_cast<uint64_t>(done));
    }
    TRY(look_at_memory());
    progress.bytes_done.store(seconds_before + static_cast<uint64_t>(scenario_.duration_s));
    return record_.finish();
  }

 private:
  void handle(const Event& event) {
    switch (event.kind) {
      case EventKind::kArrival:
        arrive();
        return;
      case EventKind::kScheduled:
        happen(schedule_[event.which]);
        return;
      case EventKind::kZoneMiss:
        ask_origin(event.which);
        return;
      case EventKind::kSent:
        come_in(event.which);
        return;
      case EventKind::kLanded:
        land(event.which);
        return;
      case EventKind::kInstalled:
        installed(event.which);
        return;
    }
  }

  // What the scenario does.

  void happen(const Scheduled& what) {
    if (what.phase != FleetPhase::kSteady) record_.begin(what.phase, now_ns_);
    FleetStep step{.tier = what.tier, .node = what.node};
    switch (what.kind) {
      case Scheduled::Kind::kPhase:
        return;
      case Scheduled::Kind::kEmpty:
        step.kind = FleetStep::Kind::kEmptied;
        empty(what.tier);
        break;
      case Scheduled::Kind::kLose:
        step.kind = FleetStep::Kind::kNodeLost;
        zone_->lose(what.node);
        break;
      case Scheduled::Kind::kBack:
        step.kind = FleetStep::Kind::kNodeBack;
        zone_->bring_back(what.node);
        break;
    }
    if (hooks_.observe) hooks_.observe(step);
  }

  void empty(FleetTier tier) {
    if (tier == FleetTier::kZone) {
      if (zone_) zone_->clear();
      return;
    }
    for (ModelWorker& worker : workers_) {
      (tier == FleetTier::kMemory ? worker.memory : worker.local).clear();
    }
  }

  Result<void> look_at_memory() {
    uint64_t bytes = zone_ ? zone_->memory_bytes() : 0;
    for (const ModelWorker& worker : workers_) {
      bytes += sizeof worker + worker.memory.memory_bytes() + worker.local.memory_bytes();
    }
    record_.totals().memory_bytes = std::max(record_.totals().memory_bytes, bytes);
    if (bytes <= kFleetMemoryMax) return {};
    return fail(ErrorCode::kExhausted, "the simulated caches take more than " +
                                           human_bytes(kFleetMemoryMax) +
                                           "; make grain_chunks larger, or the caches smaller");
  }

  // Resumes.

  void plan_arrival() {
    next_arrival_ = arrivals_.next();
    if (next_arrival_) queue_.add(next_arrival_->at_ns, EventKind::kArrival, 0);
  }

  void arrive() {
    const FleetArrival arrival = *next_arrival_;
    plan_arrival();
    const FleetPhase phase = record_.phase(now_ns_);
    ModelWorker& worker = workers_[arrival.worker];
    const uint32_t limit = scenario_.worker.restores_max;
    if (limit != 0 && worker.active >= limit) {
      ++record_.of(phase).rejected;
      ++record_.bin(now_ns_).rejected;
      return;
    }
    ++worker.active;
    ++record_.of(phase).resumes;
    ++record_.bin(now_ns_).resumes;
    const uint32_t resume = resumes_.add({.worker = arrival.worker,
                                          .function = arrival.function,
                                          .begun_ns = now_ns_,
                                          .phase = phase});
    const uint32_t first = std::min(lanes_, sets_.size(arrival.function));
    for (uint32_t lane = 0; lane < first; ++lane) ask_next(resume);
  }

  void installed(uint32_t number) {
    ModelResume& resume = resumes_[number];
    --resume.outstanding;
    if (resume.next < sets_.size(resume.function)) {
      ask_next(number);
      return;
    }
    if (resume.outstanding > 0) return;
    const auto took = static_cast<uint64_t>(now_ns_ - resume.begun_ns);
    record_.of(resume.phase).resume_ns.record(took);
    ++record_.bin(now_ns_).finished;
    record_.bin(now_ns_).resume_ns_sum += took;
    --workers_[resume.worker].active;
    resumes_.remove(number);
  }

  void count_read(const ModelResume& resume, uint32_t grain, FleetTier tier) {
    record_.of(resume.phase).reads.found[static_cast<size_t>(tier)] += grain_;
    record_.bin(now_ns_).reads.found[static_cast<size_t>(tier)] += grain_;
    if (hooks_.observe) {
      hooks_.observe(
          {.phase = resume.phase, .tier = tier, .worker = resume.worker, .grain = grain});
    }
  }

  void ask_next(uint32_t number) {
    ModelResume& resume = resumes_[number];
    const uint32_t grain = sets_.at(resume.function, resume.next++);
    ++resume.outstanding;
    ModelWorker& worker = workers_[resume.worker];
    if (worker.memory.touch(grain)) {
      count_read(resume, grain, FleetTier::kMemory);
      install(number, costs_.memory_hit_ns * grain_);
      return;
    }
    const uint64_t key = uint64_t{resume.worker} << 32 | grain;
    if (scenario_.worker.single_flight) {
      if (const auto found = under_way_.find(key); found != under_way_.end()) {
        count_read(resume, grain, FleetTier::kJoined);
        flights_[found->second].resumes.push_back(number);
        return;
      }
    }
    const uint32_t flight =
        flights_.add({.worker = resume.worker, .grain = grain, .resumes = {number}});
    if (scenario_.worker.single_flight) under_way_.emplace(key, flight);
    count_read(resume, grain, begin_flight(flight, worker));
  }

  /// Where the grain is.
  FleetTier begin_flight(uint32_t number, ModelWorker& worker) {
    Flight& flight = flights_[number];
    if (worker.local.touch(flight.grain)) {
      int64_t& thread = free_thread(flight.worker);
      const int64_t begin = std::max({now_ns_, thread, worker.disk_free_ns});
      thread = worker.disk_free_ns = begin + static_cast<int64_t>(costs_.local_read_ns);
      queue_.add(thread, EventKind::kLanded, number);
      return flight.from = FleetTier::kLocal;
    }
    if (!zone_) {
      flight.from = FleetTier::kOrigin;
      ask_origin(number);
      return FleetTier::kOrigin;
    }
    const ZoneModel::Answer answer = zone_->get(flight.grain, now_ns_, latency_);
    flight.from = answer.hit ? FleetTier::kZone : FleetTier::kOrigin;
    record_.totals().zone_degraded += answer.degraded ? grain_ : 0;
    queue_.add(answer.at_ns, answer.hit ? EventKind::kSent : EventKind::kZoneMiss, number);
    return flight.from;
  }

  void ask_origin(uint32_t number) {
    const Flight& flight = flights_[number];
    ModelWorker& worker = workers_[flight.worker];
    if (!may_ask_origin(worker)) {
      record_.totals().origin_waited += grain_;
      if (!worker.waiting) worker.waiting = std::make_unique<Turns>();
      worker.waiting->push(flight.resumes.front(), number);
      return;
    }
    dispatch(number, worker);
  }

  bool may_ask_origin(const ModelWorker& worker) const {
    // A grain larger than the limit goes alone.
    return worker.origin_in_flight == 0 ||
           worker.origin_in_flight + grain_ <= scenario_.origin.requests_max;
  }

  void dispatch(uint32_t number, ModelWorker& worker) {
    worker.origin_in_flight += grain_;
    record_.of(record_.phase(now_ns_)).origin_reads += grain_;
    record_.bin(now_ns_).origin_reads += grain_;
    int64_t sent = now_ns_;
    if (scenario_.origin.requests_per_s > 0) {
      const double each_ns = kNsPerSecond * grain_ / scenario_.origin.requests_per_s;
      store_free_ns_ = std::max(store_free_ns_, static_cast<double>(now_ns_)) + each_ns;
      sent = static_cast<int64_t>(store_free_ns_);
    }
    queue_.add(sent + origin_latency_.draw(latency_), EventKind::kSent, number);
  }

  void come_in(uint32_t number) {
    if (transfer_ns_ == 0) {
      land(number);
      return;
    }
    int64_t& link_free = workers_[flights_[number].worker].link_free_ns;
    link_free = std::max(now_ns_, link_free) + transfer_ns_;
    queue_.add(link_free, EventKind::kLanded, number);
  }

  void land(uint32_t number) {
    const Flight flight = std::move(flights_[number]);
    flights_.remove(number);
    if (scenario_.worker.single_flight) {
      under_way_.erase(uint64_t{flight.worker} << 32 | flight.grain);
    }
    ModelWorker& worker = workers_[flight.worker];
    if (flight.from == FleetTier::kOrigin) {
      worker.origin_in_flight -= grain_;
      if (zone_) zone_->put(flight.grain);
    }
    if (flight.from != FleetTier::kLocal) worker.local.insert(flight.grain);
    worker.memory.insert(flight.grain);
    uint64_t before_ns = flight.from == FleetTier::kLocal ? 0 : costs_.verify_ns;
    for (const uint32_t resume : flight.resumes) {
      install(resume, std::exchange(before_ns, 0));
    }
    while (worker.waiting && !worker.waiting->empty() && may_ask_origin(worker)) {
      dispatch(worker.waiting->pop(), worker);
    }
    if (worker.waiting && worker.waiting->empty()) worker.waiting.reset();
  }

  // The worker's threads.

  int64_t& free_thread(uint32_t worker) {
    const auto first =
        threads_.begin() + static_cast<ptrdiff_t>(size_t{worker} * scenario_.worker.threads);
    return *std::min_element(first, first + scenario_.worker.threads);
  }

  /// Decrypts and installs a grain, after `before_ns` of other work on the same thread.
  void install(uint32_t resume, uint64_t before_ns) {
    int64_t& thread = free_thread(resumes_[resume].worker);
    thread = std::max(now_ns_, thread) +
             static_cast<int64_t>(before_ns + costs_.decrypt_ns + costs_.install_ns);
    queue_.add(thread, EventKind::kInstalled, resume);
  }

  const FleetScenario& scenario_;
  const FleetCosts costs_;  // of a grain, but memory_hit_ns
  const FleetHooks& hooks_;
  const uint32_t grain_;
  const uint32_t lanes_;       // in grains
  const int64_t transfer_ns_;  // of a grain over the worker's link
  const WorkingSets sets_;
  FleetArrivals arrivals_;
  const std::vector<Scheduled> schedule_;
  FleetDraws latency_;
  const LatencyTable origin_latency_;

  std::vector<ModelWorker> workers_;
  std::vector<int64_t> threads_;  // when each is free, workers one after the other
  std::optional<ZoneModel> zone_;
  Pool<ModelResume> resumes_;
  Pool<Flight> flights_;
  std::unordered_map<uint64_t, uint32_t> under_way_;  // flights by worker and grain
  std::optional<FleetArrival> next_arrival_;
  double store_free_ns_ = 0;

  EventQueue queue_;
  int64_t now_ns_ = 0;
  FleetRecord record_;
};

}  // namespace

Result<FleetResult> simulate_fleet(const FleetScenario& scenario, const FleetCosts& costs,
                                   Progress& progress, const FleetHooks& hooks) {
  return FleetRun(scenario, costs, hooks).run(progress);
}

}  // namespace thaw
