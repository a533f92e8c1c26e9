// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/session.h"

#include <poll.h>
#include <pthread.h>

#include <array>
#include <csignal>
#include <ctime>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/resume/page_filler.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

// More than a VMM has threads, so that one read empties the queue.
constexpr size_t kEventsPerRead = 64;

// How long a retry waits after EAGAIN when there is no event to read: the guest thread whose
// madvise changes the address space has to run first.
constexpr timespec kRetryPause{0, 50'000};

// A strategy that finds its chunks in memory is bound by the processor, and there by page tables
// and page allocation: more threads than this gain little.
unsigned prefetch_cores() { return std::clamp(std::thread::hardware_concurrency(), 1u, 8u); }

// How faults are filled.
struct FillWay {
  bool units = false;         // whole chunks; beside pages only for what is predicted
  uint64_t around_pages = 0;  // of a fault that is filled by pages; 0: none is
};

FillWay way_of(const SessionOptions& options, const PrefetchPlan& plan, uint64_t unit_pages) {
  if (unit_pages > 1 || options.prefault == Prefault::kAll || options.fill == Fill::kChunk) {
    return {.units = true};
  }
  if (options.fill == Fill::kPage) return {.around_pages = 1};
  if (options.fill == Fill::kAround) return {.around_pages = kFaultAroundPages};
  if (plan.empty()) return {.units = true};
  // Of a chunk that nobody predicted the guest wants little, or else it would be in the plan.
  return {.units = !plan.chunks.empty(), .around_pages = kFaultAroundPages};
}

}  // namespace

Result<void> SessionOptions::validate() const {
  if (prefault == Prefault::kAll && (fill == Fill::kPage || fill == Fill::kAround)) {
    return fail(ErrorCode::kInvalid,
                "prefault 'all' installs whole chunks: use it with fill 'auto' or 'chunk'");
  }
  if (recorder != nullptr &&
      (strategy != Strategy::kOnDemand || prefault != Prefault::kNone || fill != Fill::kPage)) {
    return fail(ErrorCode::kInvalid,
                "a recording needs the strategy 'on-demand', prefault 'none' and fill 'page'");
  }
  if (fetch_timeout_ms == 0) {
    return fail(ErrorCode::kInvalid, "fetch_timeout_ms must be at least 1");
  }
  if (prefetch_lanes == 0 || prefault_lanes == 0 || held_chunks_max == 0) {
    return fail(ErrorCode::kInvalid,
                "prefetch_lanes, prefault_lanes and held_chunks_max must be at least 1");
  }
  return placement.validate();
}

const char* to_string(SessionEnd end) {
  switch (end) {
    case SessionEnd::kRunning:
      return "running";
    case SessionEnd::kVmmExited:
      return "vmm_exited";
    case SessionEnd::kComplete:
      return "complete";
    case SessionEnd::kFailed:
      return "failed";
    case SessionEnd::kStopped:
      return "stopped";
  }
  return "unknown";
}

Result<std::unique_ptr<Session>> Session::start(std::shared_ptr<const ResumeImage> image,
                                                ChunkSource& source, WorkerPool& workers,
                                                Handshake handshake, VmmPeer peer,
                                                const SessionOptions& options,
                                                std::function<void()> on_end, PlainCache* plain) {
  TRY(options.validate());
  SessionOptions decided = options;
  if (!decided.strategy) decided.strategy = default_strategy(*image);
  ASSIGN_OR_RETURN(const PrefetchPlan* const plan, image->plan(*decided.strategy));
  CHECK(plain == nullptr || plain->is_for(*plan));
  ASSIGN_OR_RETURN(Fd wake, event_fd());
  std::unique_ptr<Session> session(new Session(std::move(image), source, workers,
                                               std::move(handshake), std::move(peer), decided,
                                               *plan, plain, std::move(wake), std::move(on_end)));
  // Before the thread, whose start takes as long as a chunk's install.
  session->prefetcher_->start();
  session->thread_ = std::thread([raw = session.get()] { raw->run(); });
  return session;
}

Session::Session(std::shared_ptr<const ResumeImage> image, ChunkSource& source, WorkerPool& workers,
                 Handshake handshake, VmmPeer peer, const SessionOptions& options,
                 const PrefetchPlan& plan, PlainCache* plain, Fd wake, std::function<void()> on_end)
    : image_(std::move(image)),
      options_(options),
      plan_(plan),
      peer_(std::move(peer)),
      socket_tells_exit_(handshake.keeps_socket),
      wake_(std::move(wake)),
      on_end_(std::move(on_end)),
      memory_(std::move(handshake.uffd), RegionMap(std::move(handshake.regions)),
              image_->map().page_count(), options.stages),
      huge_scratch_(memory_.unit_pages() > 1 ? std::make_unique<ScratchPool>(memory_.unit_pages())
                                             : nullptr),
      fetches_(std::chrono::milliseconds(options.fetch_timeout_ms)),
      placement_(options.placement, peer_.process.pid) {
  // A huge page is built of chunks and zeros at once: there is no piece of the plan to take.
  if (memory_.unit_pages() > 1) plain = nullptr;
  ScratchPool& scratch = huge_scratch_ ? *huge_scratch_ : image_->scratch();
  const FillContext context{*image_, memory_, source,   workers,        scratch,
                            *this,   gate_,   fetches_, fill_counters_, plain};
  const FillWay way = way_of(options_, plan, memory_.unit_pages());
  if (way.units) {
    unit_filler_ = std::make_unique<UnitFiller>(context, make_fill_units(*image_, memory_));
  }
  if (way.around_pages > 0) {
    PageFillOptions pages{.held_chunks_max = options_.held_chunks_max,
                          .around_pages = way.around_pages};
    if (options_.recorder != nullptr) pages.zero_window_pages = 1;
    page_filler_ = std::make_unique<PageFiller>(context, pages);
  }
  prefetcher_ = std::make_unique<Prefetcher>(
      context, unit_filler_.get(), page_filler_.get(), plan,
      PrefetchOptions{options_.prefetch_lanes, prefetch_cores(), options_.prefault_lanes,
                      options_.prefault == Prefault::kAll});
  faults_.reserve(kEventsPerRead);
}

Session::~Session() {
  stop();
  if (thread_.joinable()) thread_.join();
}

void Session::stop() { finish_with(SessionEnd::kStopped); }

// The first reason to end is the one that counts.
void Session::finish_with(SessionEnd end, Error error) {
  ending_.with([&](Ending& ending) {
    if (ending.end != SessionEnd::kRunning) return;
    ending.end = end;
    ending.error = std::move(error);
  });
  stopping_.store(true, std::memory_order_release);
  notify(wake_.get());
}

void Session::vmm_gone() { finish_with(SessionEnd::kVmmExited); }

void Session::progress() {
  if (prefetcher_->complete()) notify(wake_.get());
}

void Session::guest_released() { notify(wake_.get()); }

void Session::retry(std::function<void()> again) {
  // Destroyed outside the lock if it is refused: it may hold the last pass of the gate.
  retries_.with([&](Retries& retries) {
    if (!retries.closed) retries.waiting.push_back(std::exchange(again, nullptr));
  });
  retries_wait_.store(true, std::memory_order_release);
  notify(wake_.get());
}

void Session::fail_closed(uint64_t page, const Error& error) {
  const bool first = ending_.with([&](Ending& ending) {
    if (ending.end != SessionEnd::kRunning) return false;
    ending.end = SessionEnd::kFailed;
    // A chunk that the manifest names and no tier has is damage, not a question for what is not
    // there.
    const bool missing = error.code == ErrorCode::kNotFound;
    ending.error = {missing ? ErrorCode::kCorrupt : error.code,
                    "page " + std::to_string(page) + " cannot be served: " + error.message};
    return true;
  });
  if (!first) return;
  const uint64_t unit_page = align_down(page, memory_.unit_pages());
  const bool poisoned = memory_.poison(unit_page);
  end_vmm("page " + std::to_string(page) + " of the guest's memory cannot be served" +
          (poisoned ? " and is poisoned" : "") + ": " + error.message);
  stopping_.store(true, std::memory_order_release);
  notify(wake_.get());
}

// One line in the log, whatever comes of it.
void Session::end_vmm(const std::string& why) {
  const std::string who = "VMM " + std::to_string(peer_.process.pid);
  if (!peer_.process.pidfd) {
    log_error(who + " should be ended and is not visible from here: end it by hand; " + why);
    return;
  }
  const Result<void> killed = kill_by_pidfd(peer_.process.pidfd.get(), SIGKILL);
  if (killed || killed.error().code == ErrorCode::kGone) {
    log_error(who + " was ended: " + why);
  } else {
    log_error(who + " could not be ended (" + killed.error().message + "): end it by hand; " + why);
  }
}

void Session::run() {
  ::pthread_setname_np(::pthread_self(), "thaw-fault");
  placement_.start();
  if (options_.recorder != nullptr) options_.recorder->begin(Recorder::Clock::now());
  while (!stopping()) {
    if (!read_events()) continue;
    serve_faults();
    const bool retried = run_retries();
    if (prefetcher_->complete()) {
      finish_with(SessionEnd::kComplete);
    } else if (retried) {
      ::nanosleep(&kRetryPause, nullptr);
    } else {
      wait_for_events();
    }
  }
  finish();
}

// Waits for an event, a notification, the VMM's end, or for nothing of that to come for a while.
void Session::wait_for_events() {
  const bool by_pidfd = static_cast<bool>(peer_.process.pidfd);
  std::array<pollfd, 3> entries{
      {{memory_.uffd().fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}, {-1, POLLIN, 0}}};
  if (by_pidfd) {
    entries[2].fd = peer_.process.pidfd.get();
  } else if (socket_tells_exit_) {
    entries[2] = {peer_.socket.get(), POLLRDHUP, 0};
  }
  const auto idle_limit = prefetcher_->idle_limit();
  const int limit_ms = idle_limit ? static_cast<int>(idle_limit->count()) : -1;
  const int ready = ::poll(entries.data(), entries.size(), limit_ms);
  if (ready == 0) prefetcher_->idle();
  if (ready <= 0) return;
  if (entries[1].revents != 0) drain(wake_.get());
  if (entries[2].revents != 0) vmm_gone();
}

// Reads what waits and applies the removals among it. A fault that stands before a removal in the
// queue may logically come after it, so no fault is served before all that waits has been read.
// False if there is more.
bool Session::read_events() {
  std::array<UffdEvent, kEventsPerRead> events;
  memory_.gate().close();
  const Result<size_t> count = memory_.uffd().read_events(events);
  for (size_t i = 0; count && i < *count; ++i) {
    const UffdEvent& event = events[i];
    if (event.kind == UffdEvent::Kind::kRemove) {
      remove_count_.fetch_add(1, std::memory_order_relaxed);
      memory_.remove(event.address, event.end);
    }
  }
  memory_.gate().open();
  if (!count) {
    end_vmm(count.error().message);
    finish_with(SessionEnd::kFailed, count.error());
    return false;
  }
  for (size_t i = 0; i < *count; ++i) {
    const UffdEvent& event = events[i];
    if (event.kind != UffdEvent::Kind::kFault) continue;
    fault_count_.fetch_add(1, std::memory_order_relaxed);
    placement_.fault(event.thread_id);
    if (event.write) write_fault_count_.fetch_add(1, std::memory_order_relaxed);
    const std::optional<uint64_t> page = memory_.regions().page_at(event.address);
    if (page) {
      faults_.push_back(align_down(*page, memory_.unit_pages()));
      if (options_.recorder != nullptr) record(faults_.back(), event.write);
      continue;
    }
    const std::string why = "it faulted at an address outside the regions of its handshake";
    end_vmm(why);
    finish_with(SessionEnd::kFailed, Error{ErrorCode::kInvalid, why});
    return false;
  }
  return *count < events.size();
}

// A huge page is touched as a whole, because it comes as a whole. What the guest gave back before
// it touched it is no part of the snapshot.
void Session::record(uint64_t page, bool write) {
  if (!options_.recorder->active() || memory_.is_removed(page)) return;
  options_.recorder->touch({page, memory_.unit_pages()}, write, Recorder::Clock::now());
}

Filler& Session::filler_of(uint64_t page) const {
  if (page_filler_ == nullptr) return *unit_filler_;
  if (unit_filler_ == nullptr || !plan_.predicted.test(page)) return *page_filler_;
  return *unit_filler_;
}

void Session::serve_faults() {
  if (prefetcher_->holds_guest()) return;  // until guest_released()
  for (const uint64_t page : faults_) {
    if (stopping()) break;
    prefetcher_->judge(page);
    filler_of(page).fault(page);
  }
  faults_.clear();
}

bool Session::run_retries() {
  if (!retries_wait_.exchange(false, std::memory_order_acq_rel)) return false;
  std::vector<std::function<void()>> waiting =
      retries_.with([](Retries& retries) { return std::exchange(retries.waiting, {}); });
  for (std::function<void()>& again : waiting) again();
  return !waiting.empty();
}

// A guest thread waits until its removal is read. No new one begins once the regions are
// unregistered, but one that has begun may be queued only later: until then the kernel answers
// every install with EAGAIN, whatever its place.
void Session::release_removals() {
  std::array<UffdEvent, kEventsPerRead> events;
  while (true) {
    while (memory_.uffd().read_events(events).value_or(0) > 0) {
    }
    const uint64_t anywhere = memory_.regions().regions().front().address;
    if (memory_.uffd().zero(anywhere, memory_.regions().page_bytes()).status !=
        InstallStatus::kAgain) {
      return;
    }
    ::nanosleep(&kRetryPause, nullptr);
  }
}

void Session::finish() {
  // Retries hold passes of the gate, so they go first; those that still come are dropped on
  // arrival.
  retries_
      .with([](Retries& retries) {
        retries.closed = true;
        return std::exchange(retries.waiting, {});
      })
      .clear();
  gate_.close_and_wait();

  const SessionEnd end = ending_.with([](const Ending& ending) { return ending.end; });
  if (end == SessionEnd::kComplete) {
    for (const MemoryRegion& region : memory_.regions().regions()) {
      // A region that the VMM unmapped meanwhile needs no unregistering.
      const Result<void> ignored = memory_.uffd().unregister(region.address, region.bytes);
      static_cast<void>(ignored);
    }
    release_removals();
  } else if (end == SessionEnd::kStopped) {
    const bool exited = peer_.process.pidfd && pidfd_has_exited(peer_.process.pidfd.get());
    if (!exited) end_vmm("the page server stops before all of the guest's memory is present");
  }
  ended_.store(true, std::memory_order_release);
  if (on_end_) on_end_();
}

SessionSummary Session::summary() const {
  SessionSummary summary;
  ending_.with([&](const Ending& ending) {
    summary.end = ending.end;
    summary.error = ending.error.message;
    summary.error_code = ending.error.code;
  });
  const auto value = [](const std::atomic<uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  const FillCounters& fill = fill_counters_;
  const PlaceCounters& place = memory_.counters();
  summary.vmm_pid = peer_.process.pid;
  summary.faults = value(fault_count_);
  summary.write_faults = value(write_fault_count_);
  summary.removes = value(remove_count_);
  summary.hits = value(fill.hits);
  summary.misses = value(fill.misses);
  summary.joined = value(fill.joined);
  summary.zero_faults = value(fill.zero_faults);
  summary.stale = value(fill.stale);
  summary.chunks = value(fill.chunks);
  summary.pages_copied = value(place.pages_copied);
  summary.pages_zeroed = value(place.pages_zeroed);
  summary.pages_removed = value(place.pages_removed);
  summary.pages_present = memory_.pages_present();
  summary.again = value(place.again);
  const PrefetchCounters& prefetch = prefetcher_->counters();
  summary.strategy = *options_.strategy;
  summary.predicted_pages = prefetcher_->predicted_pages();
  summary.predicted_faults = value(prefetch.predicted_faults);
  summary.unpredicted_faults = value(prefetch.unpredicted_faults);
  summary.prefetch_stopped = prefetch.stopped.load(std::memory_order_relaxed);
  summary.prefetch_errors = value(fill.prefetch_errors) + value(prefetch.errors);
  summary.plain_hits = value(fill.plain_hits) + value(prefetch.plain_hits);
  summary.core_moves = placement_.moves();
  return summary;
}

}  // namespace thaw
