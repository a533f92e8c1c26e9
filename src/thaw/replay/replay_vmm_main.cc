// SPDX-License-Identifier: Apache-2.0
//
// thaw-replay-vmm: stands in for Firecracker as a client of a page server. It reads its options as
// one line of JSON (replay/replay_vmm_options.h), shakes hands, touches its memory, compares every
// byte, and writes what happened as lines of JSON. A program of its own, because a page server
// kills VMMs.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <latch>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include "thaw/replay/control_line.h"
#include "thaw/replay/guest_thread.h"
#include "thaw/replay/replay_handshake.h"
#include "thaw/replay/replay_memory.h"
#include "thaw/replay/replay_vmm_options.h"
#include "thaw/replay/touch_plan.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/pin_thread.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

constexpr char kHelp[] =
    "Usage: thaw-replay-vmm [--die-with-stdin] < options.json\n"
    "\n"
    "Stands in for Firecracker towards a page server. Reads one line of JSON; a name that is left "
    "out\n"
    "has its default, for instance:\n"
    "\n"
    "  {\"socket_path\": \"/tmp/uffd.sock\", \"image_path\": \"memory\",\n"
    "   \"regions\": [{\"bytes\": 67108864, \"offset\": 0}],\n"
    "   \"touching\": {\"order\": \"permutation\", \"threads\": 2, \"write_percent\": 50}}\n"
    "\n"
    "Writes lines of JSON: handshake_sent, then report or error. Exit code: 0 as told and every "
    "byte\n"
    "right, 1 a byte was wrong, 2 wrong options, 3 the machine lacks userfaultfd or huge pages,\n"
    "4 a call failed. With --die-with-stdin it kills itself when its standard input ends.\n";

void emit(const ReplayVmmEvent& event) {
  std::printf("%s\n", encode_event(event).c_str());
  std::fflush(stdout);
}

ReplayVmmExit give_up(const Error& error, ReplayVmmExit code) {
  emit({ReplayVmmEvent::Kind::kError, {}, error.message});
  return error.code == ErrorCode::kUnsupported ? ReplayVmmExit::kUnsupported : code;
}

LatencySummary summary_of(const Histogram& histogram) {
  LatencySummary summary;
  summary.count = histogram.count();
  summary.mean_ns = histogram.mean();
  summary.p50_ns = histogram.percentile(50);
  summary.p90_ns = histogram.percentile(90);
  summary.p99_ns = histogram.percentile(99);
  summary.p999_ns = histogram.percentile(99.9);
  summary.max_ns = histogram.max();
  return summary;
}

// The threads stand ready before the handshake and start together at touch(), so that the time
// since the handshake holds no thread creation.
class Guest {
 public:
  Guest(const ReplayVmmOptions& options, const GuestLayout& layout, const ReplayMemory& memory,
        const TouchPlan& plan, Moments& moments)
      : memory_(memory),
        pages_(layout),
        touched_(static_cast<ptrdiff_t>(plan.size()), Stamp{&end_ns_, &all_touched_}) {
    for (size_t i = 0; i < plan.size(); ++i) {
      threads_.push_back(
          std::make_unique<GuestThread>(layout, memory, pages_, moments, options.touching.check));
    }
    for (size_t i = 0; i < plan.size(); ++i) {
      running_.emplace_back([this, i, &plan] { run(i, plan); });
    }
  }
  ~Guest() {
    if (!running_[0].joinable()) return;
    abandoned_ = true;
    gate_.count_down();
    join();
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  Result<void> pin(const std::vector<int>& cores) {
    for (size_t i = 0; i < std::min(cores.size(), running_.size()); ++i) {
      if (cores[i] >= 0) TRY(pin_thread(running_[i].native_handle(), cores[i]));
    }
    return {};
  }

  /// Call once. `before_check` runs between the last touch and the first comparison. kUnavailable
  /// if the kernel refused a change of the map.
  Result<ReplayVmmReport> touch(uint64_t handshake_ns, const std::function<void()>& before_check) {
    start_ns_ = monotonic_ns();
    gate_.count_down();
    all_touched_.wait();
    const Result<MemoryUse> use = memory_.use();
    before_check();
    check_gate_.count_down();
    join();
    if (!use) return fail(use.error());
    ReplayVmmReport report;
    Histogram first;
    Histogram repeat;
    for (const auto& thread : threads_) {
      if (!thread->error().empty()) return fail(ErrorCode::kUnavailable, thread->error());
      thread->add_to(report);
      first.merge(thread->first_touches());
      repeat.merge(thread->repeat_touches());
    }
    report.first_touch = summary_of(first);
    for (const double percent : kTouchPercents) {
      report.first_touch_ns.push_back(first.percentile(percent));
    }
    report.private_bytes = use->private_bytes;
    report.share_bytes = use->share_bytes;
    report.repeat_touch = summary_of(repeat);
    report.touching_ns = end_ns_ - start_ns_;
    report.from_handshake_ns = end_ns_ - handshake_ns;
    report.touched_at_ns = end_ns_;
    return report;
  }

 private:
  /// Runs when the last thread has made its last touch.
  struct Stamp {
    uint64_t* out;
    std::latch* done;
    void operator()() noexcept {
      *out = monotonic_ns();
      done->count_down();
    }
  };

  void join() {
    for (std::thread& thread : running_) thread.join();
  }

  void run(size_t i, const TouchPlan& plan) {
    gate_.wait();
    if (abandoned_) return;
    const bool done = threads_[i]->run(plan[i], start_ns_);
    // No thread checks while another is still being timed.
    touched_.arrive_and_wait();
    check_gate_.wait();
    if (done) threads_[i]->check_all(static_cast<unsigned>(i), static_cast<unsigned>(plan.size()));
  }

  const ReplayMemory& memory_;
  GuestPages pages_;
  // Written before the gate opens or by the barrier's completion, read after: no lock needed.
  uint64_t start_ns_ = 0;
  uint64_t end_ns_ = 0;
  bool abandoned_ = false;
  std::latch gate_{1};
  std::latch all_touched_{1};
  std::latch check_gate_{1};
  std::barrier<Stamp> touched_;
  std::vector<std::unique_ptr<GuestThread>> threads_;
  std::vector<std::thread> running_;
};

void wait_for_close(int socket) {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(socket, &byte, 1);
  } while (got > 0 || (got < 0 && errno == EINTR));
}

/// Reads the loading set for the page cache's sake. What cannot be read is left to the guest.
void load_set(const ReplayVmmOptions& options, const std::stop_token& stop) {
  if (options.loading_set.empty()) return;
  const Result<Fd> file = open_file(options.mapped_path, O_RDONLY);
  if (!file) return;
  std::vector<std::byte> buffer;
  for (const ReplayRegion& piece : options.loading_set) {
    if (stop.stop_requested()) return;
    buffer.resize(piece.bytes);
    static_cast<void>(!read_exact_at(file->get(), piece.offset, buffer, options.mapped_path));
  }
}

/// From the handshake to the last check.
Result<ReplayVmmReport> shake_and_touch(const ReplayVmmOptions& options, const GuestLayout& layout,
                                        const ReplayMemory& memory, const TouchPlan& plan,
                                        ControlLine& control, Fd& socket) {
  Moments moments(options, [&socket] { socket.reset(); });
  Guest guest(options, layout, memory, plan, moments);
  TRY(guest.pin(options.touching.cores));
  const auto before_check = [&] {
    if (!options.hold_before_check) return;
    emit({ReplayVmmEvent::Kind::kTouched, {}, {}});
    control.hold();
  };
  if (options.backing != ReplayBacking::kUserfaultfd) {
    const std::jthread loader([&options](const std::stop_token& stop) { load_set(options, stop); });
    emit({ReplayVmmEvent::Kind::kHandshakeSent, {}, {}});
    moments.after_handshake();
    if (options.hold_before_touching) control.hold();
    return guest.touch(monotonic_ns(), before_check);
  }
  std::vector<PlacedRegion> placed;
  for (size_t i = 0; i < layout.regions().size(); ++i) {
    placed.push_back({memory.base_of(i), layout.regions()[i]});
  }
  const std::string body = options.handshake.raw_body.value_or(
      handshake_body(options.handshake, placed, options.page_bytes));

  ASSIGN_OR_RETURN(socket, connect_unix(options.socket_path));
  const uint64_t handshake_ns = monotonic_ns();
  TRY(send_handshake(socket.get(), options.handshake, body, memory.uffd().fd()));
  if (!options.handshake.keep_socket_open) socket.reset();
  emit({ReplayVmmEvent::Kind::kHandshakeSent, {}, {}});
  moments.after_handshake();
  if (options.hold_before_touching) control.hold();
  return guest.touch(handshake_ns, before_check);
}

ReplayVmmExit run(bool die_with_stdin) {
  ControlLine control(STDIN_FILENO);
  const Result<std::string> text = control.read_options();
  if (!text) return give_up(text.error(), ReplayVmmExit::kFailed);
  const Result<ReplayVmmOptions> options = decode_options(*text);
  if (!options) return give_up(options.error(), ReplayVmmExit::kBadOptions);
  const GuestLayout layout(options->regions, options->page_bytes);
  const Result<TouchPlan> plan = make_touch_plan(*options, layout);
  if (!plan) return give_up(plan.error(), ReplayVmmExit::kBadOptions);
  const Result<ReplayMemory> memory = ReplayMemory::map(*options, layout);
  if (!memory) {
    const bool invalid = memory.error().code == ErrorCode::kInvalid;
    return give_up(memory.error(), invalid ? ReplayVmmExit::kBadOptions : ReplayVmmExit::kFailed);
  }
  if (auto watched = control.watch(die_with_stdin); !watched) {
    return give_up(watched.error(), ReplayVmmExit::kFailed);
  }
  Fd socket;
  const Result<ReplayVmmReport> report =
      shake_and_touch(*options, layout, *memory, *plan, control, socket);
  if (!report) return give_up(report.error(), ReplayVmmExit::kFailed);
  emit({ReplayVmmEvent::Kind::kReport, *report, {}});
  if (options->wait_for_peer_close && socket) wait_for_close(socket.get());
  if (options->hold_before_exit) control.hold();
  return report->mismatch_count == 0 ? ReplayVmmExit::kDone : ReplayVmmExit::kMismatch;
}

}  // namespace
}  // namespace thaw

int main(int argc, char** argv) {
  bool die_with_stdin = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--die-with-stdin") == 0) {
      die_with_stdin = true;
      continue;
    }
    const bool asked = std::strcmp(argv[i], "--help") == 0;
    std::fputs(thaw::kHelp, asked ? stdout : stderr);
    return asked ? 0 : static_cast<int>(thaw::ReplayVmmExit::kBadOptions);
  }
  // A poisoned page kills a VMM by SIGBUS; a sanitizer would turn that into an exit code.
  std::signal(SIGBUS, SIG_DFL);
  std::signal(SIGSEGV, SIG_DFL);
  return static_cast<int>(thaw::run(die_with_stdin));
}
