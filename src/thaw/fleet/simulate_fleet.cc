// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/simulate_fleet.h"

#include <algorithm>
#include <boost/heap/d_ary_heap.hpp>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/check.h"
#include "thaw/fleet/fleet_arrivals.h"
#include "thaw/fleet/grain_cache.h"
#include "thaw/fleet/turns.h"
#include "thaw/fleet/zone_model.h"

namespace thaw {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr uint64_t kEventsPerLook = 1 << 14;        // at progress and cancelling
constexpr uint64_t kEventsPerMemoryLook = 1 << 20;  // which walks all workers

int64_t ns_of(double seconds) { return static_cast<int64_t>(seconds * kNsPerSecond); }

enum class EventKind : uint32_t {
  kArrival,    // of the next resume
  kScheduled,  // `which`: of schedule_
  kZoneMiss,   // `which`: a flight, to be asked of the origin
  kSent,       // `which`: a flight whose grain reaches the worker's link
  kLanded,     // `which`: a flight whose grain is here
  kInstalled,  // `which`: a resume that has one grain more
};

struct Event {
  int64_t at_ns = 0;
  uint64_t number = 0;  // of those at the same time the first made goes first
  EventKind kind = EventKind::kArrival;
  uint32_t which = 0;
};
struct Later {
  bool operator()(const Event& a, const Event& b) const {
    return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.number > b.number;
  }
};
using EventQueue =
    boost::heap::d_ary_heap<Event, boost::heap::arity<4>, boost::heap::compare<Later>>;

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

/// Records whose numbers are used again.
template <typename T>
class Pool {
 public:
  uint32_t add(T value) {
    if (free_.empty()) {
      all_.push_back(std::move(value));
      return static_cast<uint32_t>(all_.size() - 1);
    }
    const uint32_t number = free_.back();
    free_.pop_back();
    all_[number] = std::move(value);
    return number;
  }
  void remove(uint32_t number) { free_.push_back(number); }
  T& operator[](uint32_t number) { return all_[number]; }

 private:
  std::vector<T> all_;
  std::vector<uint32_t> free_;
};

/// What the scenario does to the fleet at a time.
struct Scheduled {
  enum class Kind { kPhase, kEmpty, kLose, kBack };
  int64_t at_ns = 0;
  Kind kind = Kind::kPhase;
  FleetPhase phase = FleetPhase::kSteady;  // that begins with it; kSteady: none does
  FleetTier tier = FleetTier::kLocal;
  uint32_t node = 0;
};

std::vector<Scheduled> schedule_of(const FleetScenario& scenario) {
  std::vector<Scheduled> schedule;
  for (const FleetBurst& burst : scenario.bursts) {
    schedule.push_back({.at_ns = ns_of(burst.at_s), .phase = FleetPhase::kBurst});
  }
  for (const FleetNodeLoss& loss : scenario.losses) {
    schedule.push_back({.at_ns = ns_of(loss.at_s),
                        .kind = Scheduled::Kind::kLose,
                        .phase = FleetPhase::kAfterLoss,
                        .node = loss.node});
    if (loss.back_s) {
      schedule.push_back(
          {.at_ns = ns_of(*loss.back_s), .kind = Scheduled::Kind::kBack, .node = loss.node});
    }
  }
  for (const FleetEmptying& emptying : scenario.emptyings) {
    schedule.push_back({.at_ns = ns_of(emptying.at_s),
                        .kind = Scheduled::Kind::kEmpty,
                        .phase = FleetPhase::kEmpty,
                        .tier = emptying.tier});
  }
  return schedule;
}

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
        phase_end_ns_(ns_of(scenario.warm_up_s)),
        bin_ns_(ns_of(scenario.bin_s)) {
    const uint32_t memory_grains = scenario.memory_grains();
    const uint32_t local_grains = scenario.local_grains();
    workers_.reserve(scenario.workers);
    for (uint32_t i = 0; i < scenario.workers; ++i) {
      workers_.emplace_back(scenario, memory_grains, local_grains);
    }
    if (scenario.zone.nodes > 0) zone_.emplace(scenario, hooks.partition_of);
    result_.duration_s = scenario.duration_s;
    result_.bin_s = scenario.bin_s;
    result_.bins.resize(static_cast<size_t>(ns_of(scenario.duration_s) / bin_ns_ + 1));
  }

  Result<FleetResult> run(Progress& progress) {
    const uint64_t seconds_before = progress.bytes_done.load();
    for (uint32_t i = 0; i < schedule_.size(); ++i) {
      at(schedule_[i].at_ns, EventKind::kScheduled, i);
    }
    plan_arrival();
    while (!queue_.empty()) {
      const Event event = queue_.top();
      queue_.pop();
      now_ns_ = event.at_ns;
      handle(event);
      ++result_.events;
      if (result_.events % kEventsPerMemoryLook == 0) TRY(look_at_memory());
      if (result_.events % kEventsPerLook != 0) continue;
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
    end_phases();
    progress.bytes_done.store(seconds_before + static_cast<uint64_t>(scenario_.duration_s));
    return std::move(result_);
  }

 private:
  void at(int64_t at_ns, EventKind kind, uint32_t which) {
    queue_.push({at_ns, ++events_made_, kind, which});
  }

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

  // Time and phases.

  FleetBin& bin() {
    const auto index = static_cast<size_t>(now_ns_ / bin_ns_);
    // A store that is slower than what is asked of it answers long after the end: what comes later
    // than twice the duration is in the last bin.
    const size_t last = 2 * static_cast<size_t>(scenario_.duration_s / scenario_.bin_s) + 1;
    if (std::min(index, last) >= result_.bins.size()) {
      result_.bins.resize(std::min(index, last) + 1);
    }
    return result_.bins[std::min(index, last)];
  }

  FleetPhaseResult& phase_result(FleetPhase phase) {
    return result_.phases[static_cast<size_t>(phase)];
  }

  void add_seconds(int64_t until_ns) {
    phase_result(phase_).seconds += static_cast<double>(until_ns - phase_since_ns_) / kNsPerSecond;
    phase_since_ns_ = until_ns;
  }

  FleetPhase phase_now() {
    if (phase_ != FleetPhase::kSteady && now_ns_ >= phase_end_ns_) {
      add_seconds(phase_end_ns_);
      phase_ = FleetPhase::kSteady;
    }
    return phase_;
  }

  void end_phases() {
    now_ns_ = ns_of(scenario_.duration_s);
    phase_now();
    add_seconds(std::max(now_ns_, phase_since_ns_));
    result_.all.seconds = scenario_.duration_s;
    for (const FleetPhaseResult& each : result_.phases) {
      result_.all.resumes += each.resumes;
      result_.all.rejected += each.rejected;
      result_.all.origin_reads += each.origin_reads;
      result_.all.reads.add(each.reads);
      result_.all.resume_ns.merge(each.resume_ns);
    }
  }

  void happen(const Scheduled& what) {
    if (what.phase != FleetPhase::kSteady) {
      phase_now();
      add_seconds(now_ns_);
      phase_ = what.phase;
      phase_end_ns_ = now_ns_ + ns_of(scenario_.phase_s);
    }
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
    result_.memory_bytes = std::max(result_.memory_bytes, bytes);
    if (bytes <= kFleetMemoryMax) return {};
    return fail(ErrorCode::kExhausted, "the simulated caches take more than " +
                                           human_bytes(kFleetMemoryMax) +
                                           "; make grain_chunks larger, or the caches smaller");
  }

  // Resumes.

  void plan_arrival() {
    next_arrival_ = arrivals_.next();
    if (next_arrival_) at(next_arrival_->at_ns, EventKind::kArrival, 0);
  }

  void arrive() {
    const FleetArrival arrival = *next_arrival_;
    plan_arrival();
    const FleetPhase phase = phase_now();
    ModelWorker& worker = workers_[arrival.worker];
    const uint32_t limit = scenario_.worker.restores_max;
    if (limit != 0 && worker.active >= limit) {
      ++phase_result(phase).rejected;
      ++bin().rejected;
      return;
    }
    ++worker.active;
    ++phase_result(phase).resumes;
    ++bin().resumes;
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
    phase_result(resume.phase).resume_ns.record(took);
    ++bin().finished;
    bin().resume_ns_sum += took;
    --workers_[resume.worker].active;
    resumes_.remove(number);
  }

  void count_read(const ModelResume& resume, uint32_t grain, FleetTier tier) {
    phase_result(resume.phase).reads.found[static_cast<size_t>(tier)] += grain_;
    bin().reads.found[static_cast<size_t>(tier)] += grain_;
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
      at(thread, EventKind::kLanded, number);
      return flight.from = FleetTier::kLocal;
    }
    if (!zone_) {
      flight.from = FleetTier::kOrigin;
      ask_origin(number);
      return FleetTier::kOrigin;
    }
    const ZoneModel::Answer answer = zone_->get(flight.grain, now_ns_, latency_);
    flight.from = answer.hit ? FleetTier::kZone : FleetTier::kOrigin;
    result_.zone_degraded += answer.degraded ? grain_ : 0;
    at(answer.at_ns, answer.hit ? EventKind::kSent : EventKind::kZoneMiss, number);
    return flight.from;
  }

  void ask_origin(uint32_t number) {
    const Flight& flight = flights_[number];
    ModelWorker& worker = workers_[flight.worker];
    if (!may_ask_origin(worker)) {
      result_.origin_waited += grain_;
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
    phase_result(phase_now()).origin_reads += grain_;
    bin().origin_reads += grain_;
    int64_t sent = now_ns_;
    if (scenario_.origin.requests_per_s > 0) {
      const double each_ns = kNsPerSecond * grain_ / scenario_.origin.requests_per_s;
      store_free_ns_ = std::max(store_free_ns_, static_cast<double>(now_ns_)) + each_ns;
      sent = static_cast<int64_t>(store_free_ns_);
    }
    at(sent + origin_latency_.draw(latency_), EventKind::kSent, number);
  }

  void come_in(uint32_t number) {
    if (transfer_ns_ == 0) {
      land(number);
      return;
    }
    int64_t& link_free = workers_[flights_[number].worker].link_free_ns;
    link_free = std::max(now_ns_, link_free) + transfer_ns_;
    at(link_free, EventKind::kLanded, number);
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
    at(thread, EventKind::kInstalled, resume);
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
  uint64_t events_made_ = 0;
  int64_t now_ns_ = 0;
  FleetPhase phase_ = FleetPhase::kWarmUp;
  int64_t phase_since_ns_ = 0;
  int64_t phase_end_ns_;
  const int64_t bin_ns_;
  FleetResult result_;
};

}  // namespace

Result<FleetResult> simulate_fleet(const FleetScenario& scenario, const FleetCosts& costs,
                                   Progress& progress, const FleetHooks& hooks) {
  return FleetRun(scenario, costs, hooks).run(progress);
}

}  // namespace thaw
