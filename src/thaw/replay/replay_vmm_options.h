// SPDX-License-Identifier: Apache-2.0
//
// What a replay VMM is told to do and what it reports, and both as JSON: the wire between the
// launcher (replay/replay_vmm.h) and the program thaw-replay-vmm. Pages are pages of 4 KiB of the
// memory image file, whatever page size the replay VMM uses for its memory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/image/page_trace.h"

namespace thaw {

/// Never, as a moment: more touches than any run makes.
inline constexpr uint64_t kNever = UINT64_MAX;
/// Pages that follow each other belong to one thread in groups of this many VMM pages, so that a
/// remove of up to a group is one madvise.
inline constexpr uint64_t kOwnedRunPages = 16;
inline constexpr unsigned kReplayVmmThreadsMax = 64;
/// Mismatches beyond these are counted, not described.
inline constexpr size_t kMismatchesMax = 16;

/// Guest memory: `bytes` of the image from `offset`. Multiples of the page size; disjoint.
struct ReplayRegion {
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

/// Firecracker's releases as a page server can tell them apart.
enum class Generation {
  kV1_1,   // base, size, offset; REMOVE not requested; socket closed after the handshake
  kV1_7,   // + page_size_kib, which holds bytes
  kV1_11,  // the same, and REMOVE requested
  kV1_12,  // + page_size; socket kept open
};

struct ReplayHandshake {
  enum class Fields { kV1_1, kV1_7, kV1_12 };
  enum class Delivery {
    kWhole,      // one sendmsg, as Firecracker does
    kTwoPieces,  // cut at `cut_at`, the second piece `delay_ms` later
    kCut,        // the first piece only
    kSilent,     // connects and sends nothing
  };
  enum class Passed { kUffd, kMemfd, kDevNull };

  Fields fields = Fields::kV1_12;
  bool unknown_field = false;  // one more field that no release has
  bool keep_socket_open = true;
  Delivery delivery = Delivery::kWhole;
  uint64_t cut_at = 0;  // bytes in the first piece; 0: half of them
  uint32_t delay_ms = 20;
  /// The descriptors that go with the first byte, in order. E2B's fork sends {kUffd, kMemfd}.
  std::vector<Passed> fds = {Passed::kUffd};
  /// Bytes to send in place of the JSON.
  std::optional<std::string> raw_body;
};

struct ReplayTouching {
  enum class Order {
    kNone,         // touches nothing
    kTrace,        // `trace`
    kSequential,   // every page by address
    kPermutation,  // every page once, in random order
    kRepeats,      // `touches` random pages, with repeats
  };
  enum class Check {
    kOnTouch,  // each touched page, every byte, at once; and all of them again after the last touch
    kAfterTrace,  // all of them after the last touch only: leaves the touching undisturbed, to time
                  // it
  };

  Order order = Order::kNone;
  PageTrace trace;             // for kTrace; its page_count is not used
  bool replay_gaps = false;    // kTrace: keeps the trace's times where it can
  uint64_t touches = 0;        // for kRepeats
  uint32_t write_percent = 0;  // of the touches of a pattern; a trace says itself
  bool every_page = false;     // afterwards touches each page that nothing touched before
  uint64_t seed = 1;
  uint32_t threads = 1;
  /// Thread i runs on core cores[i]; -1, or no entry: anywhere.
  std::vector<int> cores;
  Check check = Check::kOnTouch;
};

/// A change of the memory map at a moment of the touching: after `after_touches` touches of the
/// order above. It is widened to whole VMM pages. Each owning thread changes its own part when it
/// gets there, so the parts of other threads interleave at will while every single page's history
/// stays known.
struct ReplayMapChange {
  enum class Kind {
    kRemove,       // madvise(MADV_DONTNEED): a balloon since v1.11. Reads as zeros afterwards.
    kRemoveByMap,  // mmap(MAP_FIXED): a balloon before v1.11, without an event. Zeros afterwards.
    kUnmap,        // munmap: never touched again
  };
  Kind kind = Kind::kRemove;
  uint64_t after_touches = 0;
  uint64_t page = 0;
  uint64_t count = 0;
};

/// Where the guest's memory comes from.
enum class ReplayBacking {
  kUserfaultfd,  // from a page server
  // From nobody: what page servers are compared with. There is no handshake; it counts as sent when
  // the memory stands.
  kPrivateFile,  // a private mapping of `mapped_path`, nothing read ahead of the touching
  // As FaaSnap maps (EuroSys 2022): anonymous memory; over it, where `mapped_path` holds data, its
  // private mapping, gaps of up to 32 pages along with it; and while the guest runs a thread reads
  // `loading_set` through the file, so that it is in the page cache when the guest gets there.
  kRegions,
  kPresent,  // anonymous memory that holds all of the image before the first touch: the floor
};

struct ReplayVmmOptions {
  /// The options that make the replay VMM shake hands like that release; the rest at the defaults.
  static ReplayVmmOptions firecracker(Generation generation);

  std::string socket_path;
  /// The memory image: what every page must hold. May be empty if nothing is touched.
  std::string image_path;
  ReplayBacking backing = ReplayBacking::kUserfaultfd;
  /// For kPrivateFile and kRegions: the file that is mapped; empty: image_path. They must be
  /// different files if the page cache is to be cold, because all of the image is mapped and read
  /// to compare with it.
  std::string mapped_path;
  /// For kPrivateFile: a second file whose data is mapped over the first, as a VMM maps a diff over
  /// what it is a diff of; page by page, without the pages between.
  std::string overlay_path;
  /// For kRegions: pieces of the file in the order in which they are to be loaded.
  std::vector<ReplayRegion> loading_set;
  std::vector<ReplayRegion> regions;
  uint64_t page_bytes = 4096;  // or 2 MiB
  /// With pages of 2 MiB: take hugetlb memory, as Firecracker does. False announces 2 MiB over
  /// ordinary memory, for machines that have no huge pages.
  bool hugetlb = true;
  bool event_remove = true;
  bool thread_id = false;  // asks for the faulting thread's number in each fault

  ReplayHandshake handshake;
  ReplayTouching touching;
  std::vector<ReplayMapChange> changes;
  uint64_t random_removes = 0;           // this many kRemove at seeded moments and places,
  uint64_t random_remove_pages_max = 8;  // of 1 to this many VMM pages each

  /// Moments, in touches begun by all threads together; 0 is right after the handshake.
  uint64_t sigkill_after = kNever;
  uint64_t exit_after = kNever;  // _exit(0), without a report
  uint64_t close_socket_after = kNever;
  uint64_t stall_after = kNever;  // no thread begins a touch for `stall_ms`
  uint32_t stall_ms = 50;

  /// Waits for ReplayVmm::proceed() before the first touch, after the last touch and before it
  /// compares (so that VMMs that are done take no time from those that are not), and before the
  /// end.
  bool hold_before_touching = false;
  bool hold_before_check = false;
  bool hold_before_exit = false;
  /// Before the end, waits until the peer closes the connection.
  bool wait_for_peer_close = false;

  /// kInvalid says which option is wrong.
  Result<void> validate() const;
};

/// How a replay VMM ends. Anything else is a signal.
enum class ReplayVmmExit : int {
  kDone = 0,         // did as told, and every byte was right
  kMismatch = 1,     // a byte was wrong: report.mismatches
  kBadOptions = 2,   // the options are no JSON or contradict themselves
  kUnsupported = 3,  // the machine lacks userfaultfd or huge pages
  kFailed = 4,       // connecting, sending, mapping failed
};

/// Where the distribution of first touches is reported.
inline constexpr std::array<double, 23> kTouchPercents{
    1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99, 99.9, 100};

struct LatencySummary {
  uint64_t count = 0;
  double mean_ns = 0;
  uint64_t p50_ns = 0, p90_ns = 0, p99_ns = 0, p999_ns = 0, max_ns = 0;
};

struct PageMismatch {
  uint64_t page = 0;
  uint32_t offset = 0;  // of the first wrong byte in the page
  uint8_t expected = 0;
  uint8_t got = 0;
  std::string history;  // what the page went through: "original", "removed, written"
};

struct ReplayVmmReport {
  uint64_t touches = 0;
  uint64_t writes = 0;         // of the touches
  uint64_t skipped = 0;        // touches of unmapped pages, not done
  uint64_t pages_touched = 0;  // distinct
  uint64_t pages_removed = 0;  // by both kinds of remove, with repeats
  uint64_t pages_checked = 0;  // comparisons of a whole page
  uint64_t mismatch_count = 0;
  std::vector<PageMismatch> mismatches;

  /// Of the touching threads (getrusage), up to their last touch of the order. Kernels differ in
  /// whether a fault that waited for the page server is a major one, so add them up.
  uint64_t faults_minor = 0, faults_major = 0;
  uint64_t touching_ns = 0;        // from the first thread's start to the last touch
  uint64_t from_handshake_ns = 0;  // from before the sending of the handshake to the last touch
  uint64_t touched_at_ns = 0;      // of the last touch, on CLOCK_MONOTONIC
  /// Touches of a VMM page that this process had not touched since its start or its removal, and
  /// all others. The clock's own 20 to 50 ns are included.
  LatencySummary first_touch, repeat_touch;
  std::vector<uint64_t> first_touch_ns;  // at each of kTouchPercents
  /// Of the guest memory after the last touch and before anything is compared: what is this
  /// process's own, and its share of what it has with others (Private_* and Pss of
  /// /proc/self/smaps).
  uint64_t private_bytes = 0, share_bytes = 0;
};

/// A line of the program's output.
struct ReplayVmmEvent {
  enum class Kind {
    kHandshakeSent,  // or as much of it as was to be sent
    kTouched,        // the last touch is done; only with hold_before_check
    kReport,         // the touching is over and checked: `report`
    kError,          // it gives up: `error`
  };
  Kind kind = Kind::kError;
  ReplayVmmReport report;
  std::string error;
};

std::string encode_options(const ReplayVmmOptions& options);
/// kInvalid if the text is not the JSON of options, or validate() fails.
Result<ReplayVmmOptions> decode_options(std::string_view json);
/// One line, without its end.
std::string encode_event(const ReplayVmmEvent& event);
Result<ReplayVmmEvent> decode_event(std::string_view json);

}  // namespace thaw
