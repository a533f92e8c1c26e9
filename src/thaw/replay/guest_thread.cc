// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/guest_thread.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

alignas(kPageBytes) constexpr std::array<std::byte, kPageBytes> kZeroPage{};

// splitmix64: every page gets its own place to be touched at, and every write its own marker.
uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint64_t marker_offset(uint64_t page) {
  return mix(page) % (kPageBytes / sizeof(uint64_t)) * sizeof(uint64_t);
}
uint64_t marker_value(uint64_t page, uint32_t writes) { return mix(mix(page) + writes); }

void sleep_until(uint64_t when_ns) {
  const timespec when{static_cast<time_t>(when_ns / 1'000'000'000),
                      static_cast<long>(when_ns % 1'000'000'000)};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

}  // namespace

uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Moments::after_handshake() {
  if (options_.sigkill_after == 0 || options_.exit_after == 0 || options_.close_socket_after == 0) {
    reached(0);
  }
}

void Moments::reached(uint64_t touches) {
  if (touches == options_.sigkill_after) ::kill(::getpid(), SIGKILL);
  if (touches == options_.exit_after) ::_exit(static_cast<int>(ReplayVmmExit::kDone));
  if (touches == options_.close_socket_after) close_socket_();
  if (touches == options_.stall_after) {
    stalled_until_ns_ = monotonic_ns() + uint64_t{options_.stall_ms} * 1'000'000;
  }
  if (stalled_until_ns_.load(std::memory_order_relaxed) != 0) wait_out_stall();
}

void Moments::wait_out_stall() const {
  const uint64_t until = stalled_until_ns_;
  if (monotonic_ns() < until) sleep_until(until);
}

bool GuestThread::run(const std::vector<TouchStep>& steps, uint64_t start_ns) {
  rusage before{};
  ::getrusage(RUSAGE_THREAD, &before);
  bool done = true;
  for (const TouchStep& step : steps) {
    if (step.due_ns != 0 && monotonic_ns() < start_ns + step.due_ns) {
      sleep_until(start_ns + step.due_ns);
    }
    if (step.kind == TouchStep::Kind::kRead || step.kind == TouchStep::Kind::kWrite) {
      touch(step.page, step.kind == TouchStep::Kind::kWrite);
    } else if (!change(step)) {
      done = false;
      break;
    }
  }
  rusage after{};
  ::getrusage(RUSAGE_THREAD, &after);
  report_.faults_minor = static_cast<uint64_t>(after.ru_minflt - before.ru_minflt);
  report_.faults_major = static_cast<uint64_t>(after.ru_majflt - before.ru_majflt);
  return done;
}

void GuestThread::touch(uint64_t page, bool write) {
  PageHistory& history = pages_.history[page];
  if (history.unmapped) {
    ++report_.skipped;
    return;
  }
  moments_.before_touch();
  uint8_t& resident = pages_.resident[layout_.vmm_page_of(page)];
  // SAFETY: an aligned word of guest memory that no other thread reads or writes.
  auto* word = reinterpret_cast<uint64_t*>(memory_.page(page) + marker_offset(page));
  const uint64_t before = monotonic_ns();
  if (write) {
    // A write fault that leaves the content as the server installed it, to be compared: adding zero
    // would not do, a compiler may turn that into a read.
    __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
  } else {
    __atomic_load_n(word, __ATOMIC_RELAXED);
  }
  const uint64_t after = monotonic_ns();
  if (write) __atomic_fetch_sub(word, 1, __ATOMIC_RELAXED);
  (resident != 0 ? repeat_touches_ : first_touches_).record(after - before);

  if (check_ == ReplayTouching::Check::kOnTouch) {
    if (resident != 0) {
      check_page(page);
    } else {
      const uint64_t unit = layout_.pages_in_vmm_page();
      const uint64_t first = page - page % unit;
      for (uint64_t i = first; i < first + unit; ++i) check_page(i);
    }
  }
  resident = 1;
  history.touched = true;
  ++report_.touches;
  if (write) {
    ++report_.writes;
    __atomic_store_n(word, marker_value(page, ++history.writes), __ATOMIC_RELAXED);
  }
}

bool GuestThread::change(const TouchStep& step) {
  for (uint64_t page = step.page; page < step.page + step.count; ++page) {
    if (pages_.history[page].unmapped) return true;
  }
  bool changed = false;
  const char* what = "";
  switch (step.kind) {
    case TouchStep::Kind::kRemove:
      what = "madvise(MADV_DONTNEED)";
      changed = memory_.remove(step.page, step.count);
      break;
    case TouchStep::Kind::kRemoveByMap:
      what = "mmap(MAP_FIXED)";
      changed = memory_.remove_by_map(step.page, step.count);
      break;
    default:
      what = "munmap";
      changed = memory_.unmap(step.page, step.count);
      break;
  }
  if (!changed) {
    error_ = errno_error(std::string(what) + " of guest memory", errno).message;
    return false;
  }
  const bool unmapped = step.kind == TouchStep::Kind::kUnmap;
  if (!unmapped) report_.pages_removed += step.count;
  for (uint64_t page = step.page; page < step.page + step.count; ++page) {
    PageHistory& history = pages_.history[page];
    history = {.removed = true, .unmapped = unmapped, .touched = history.touched};
    pages_.resident[layout_.vmm_page_of(page)] = 0;
  }
  return true;
}

void GuestThread::check_page(uint64_t page) {
  const PageHistory& history = pages_.history[page];
  const std::byte* got = memory_.page(page);
  const std::byte* expected = history.removed ? kZeroPage.data() : memory_.original(page);
  ++report_.pages_checked;
  if (history.writes == 0) {
    if (std::memcmp(got, expected, kPageBytes) == 0) return;
    return report_mismatch(page, got, expected);
  }
  std::array<std::byte, kPageBytes> marked;
  std::memcpy(marked.data(), expected, kPageBytes);
  const uint64_t marker = marker_value(page, history.writes);
  std::memcpy(marked.data() + marker_offset(page), &marker, sizeof marker);
  if (std::memcmp(got, marked.data(), kPageBytes) != 0) report_mismatch(page, got, marked.data());
}

void GuestThread::report_mismatch(uint64_t page, const std::byte* got, const std::byte* expected) {
  PageHistory& history = pages_.history[page];
  if (history.mismatched) return;
  history.mismatched = true;
  ++report_.mismatch_count;
  if (report_.mismatches.size() == kMismatchesMax) return;
  const auto offset = std::mismatch(got, got + kPageBytes, expected).first - got;
  CHECK(static_cast<size_t>(offset) < kPageBytes);
  PageMismatch mismatch;
  mismatch.page = layout_.image_page_of(page);
  mismatch.offset = static_cast<uint32_t>(offset);
  mismatch.expected = std::to_integer<uint8_t>(expected[offset]);
  mismatch.got = std::to_integer<uint8_t>(got[offset]);
  mismatch.history = history.removed ? "removed" : "original";
  if (history.writes > 0) mismatch.history += ", written";
  report_.mismatches.push_back(std::move(mismatch));
}

void GuestThread::check_all(unsigned thread, unsigned threads) {
  for (uint64_t page = 0; page < layout_.page_count(); ++page) {
    if (owner_of(layout_, page, threads) != thread) continue;
    const PageHistory& history = pages_.history[page];
    if (history.touched) ++report_.pages_touched;
    const bool installed = pages_.resident[layout_.vmm_page_of(page)] != 0;
    if ((installed || history.removed) && !history.unmapped) check_page(page);
  }
}

void GuestThread::add_to(ReplayVmmReport& report) const {
  report.touches += report_.touches;
  report.writes += report_.writes;
  report.skipped += report_.skipped;
  report.pages_touched += report_.pages_touched;
  report.pages_removed += report_.pages_removed;
  report.pages_checked += report_.pages_checked;
  report.mismatch_count += report_.mismatch_count;
  report.faults_minor += report_.faults_minor;
  report.faults_major += report_.faults_major;
  const size_t room = kMismatchesMax - report.mismatches.size();
  const auto begin = report_.mismatches.begin();
  report.mismatches.insert(
      report.mismatches.end(), begin,
      begin + static_cast<ptrdiff_t>(std::min(room, report_.mismatches.size())));
}

}  // namespace thaw
