// SPDX-License-Identifier: Apache-2.0
//
// EventQueue: what happens when in a simulation. Of what happens at the same time, what was planned
// first goes first, so that a run is the same on every machine.
#pragma once

#include <boost/heap/d_ary_heap.hpp>
#include <cstdint>

namespace thaw {

inline constexpr double kNsPerSecond = 1e9;
inline int64_t ns_of(double seconds) { return static_cast<int64_t>(seconds * kNsPerSecond); }

enum class EventKind : uint32_t {
  kArrival,    // of the next resume
  kScheduled,  // `which`: of the schedule (fleet_schedule.h)
  kZoneMiss,   // `which`: a flight, to be asked of the origin
  kSent,       // `which`: a flight whose grain reaches the worker's link
  kLanded,     // `which`: a flight whose grain is here
  kInstalled,  // `which`: a resume that has one grain more
};

struct Event {
  int64_t at_ns = 0;
  uint64_t number = 0;
  EventKind kind = EventKind::kArrival;
  uint32_t which = 0;
};

/// Belongs to one thread.
class EventQueue {
 public:
  bool empty() const { return events_.empty(); }
  void add(int64_t at_ns, EventKind kind, uint32_t which) {
    events_.push({at_ns, ++made_, kind, which});
  }
  /// Not empty.
  Event pop() {
    const Event event = events_.top();
    events_.pop();
    return event;
  }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.number > b.number;
    }
  };
  boost::heap::d_ary_heap<Event, boost::heap::arity<4>, boost::heap::compare<Later>> events_;
  uint64_t made_ = 0;
};

}  // namespace thaw
