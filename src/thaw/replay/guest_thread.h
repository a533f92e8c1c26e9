// SPDX-License-Identifier: Apache-2.0
//
// GuestThread: one touching thread of a replay VMM. It goes through its steps, times each touch and
// compares every byte of what it touched with what must be there: the image, or zeros after a
// remove, with the marker that it wrote itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "thaw/base/histogram.h"
#include "thaw/replay/replay_memory.h"
#include "thaw/replay/replay_vmm_options.h"
#include "thaw/replay/touch_plan.h"

namespace thaw {

/// CLOCK_MONOTONIC.
uint64_t monotonic_ns();

/// What one guest page went through. Only its owner reads or writes it.
struct PageHistory {
  uint32_t writes = 0;  // markers written since the start or the last remove
  bool removed = false;
  bool unmapped = false;
  bool touched = false;
  bool mismatched = false;  // reported once, not at every check, until a remove
};

/// The moments of ReplayVmmOptions, counted over all threads. Thread-safe.
class Moments {
 public:
  Moments(const ReplayVmmOptions& options, std::function<void()> close_socket)
      : options_(options), close_socket_(std::move(close_socket)) {}

  /// Called before each touch, and once with no touch to come, right after the handshake.
  void before_touch() { reached(begun_.fetch_add(1, std::memory_order_relaxed)); }
  void after_handshake();

 private:
  void reached(uint64_t touches);
  void wait_out_stall() const;

  const ReplayVmmOptions& options_;
  const std::function<void()> close_socket_;
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> stalled_until_ns_{0};
};

/// Shared by the threads: pages and VMM pages of distinct owners are distinct elements.
struct GuestPages {
  explicit GuestPages(const GuestLayout& layout)
      : history(layout.page_count()),
        resident(layout.page_count() / layout.pages_in_vmm_page(), uint8_t{0}) {}

  std::vector<PageHistory> history;  // by guest page
  std::vector<uint8_t> resident;     // by VMM page: touched since the start or the last remove
};

/// Belongs to the thread that calls it.
class GuestThread {
 public:
  /// The references outlive it.
  GuestThread(const GuestLayout& layout, const ReplayMemory& memory, GuestPages& pages,
              Moments& moments, ReplayTouching::Check check)
      : layout_(layout), memory_(memory), pages_(pages), moments_(moments), check_(check) {}

  /// Does the steps. False if the kernel refused a change of the map: error().
  bool run(const std::vector<TouchStep>& steps, uint64_t start_ns);
  /// Compares every page that this thread owns and that a touch installed or a remove emptied; the
  /// latter faults.
  void check_all(unsigned thread, unsigned threads);

  /// Adds what this thread did.
  void add_to(ReplayVmmReport& report) const;
  const Histogram& first_touches() const { return first_touches_; }
  const Histogram& repeat_touches() const { return repeat_touches_; }
  const std::string& error() const { return error_; }

 private:
  void touch(uint64_t page, bool write);
  bool change(const TouchStep& step);
  void check_page(uint64_t page);
  void report_mismatch(uint64_t page, const std::byte* got, const std::byte* expected);

  const GuestLayout& layout_;
  const ReplayMemory& memory_;
  GuestPages& pages_;
  Moments& moments_;
  const ReplayTouching::Check check_;

  ReplayVmmReport report_;  // this thread's counters and mismatches
  Histogram first_touches_;
  Histogram repeat_touches_;
  std::string error_;
};

}  // namespace thaw
