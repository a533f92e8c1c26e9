// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/fault_placement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "thaw/base/log.h"

namespace thaw {
namespace {

struct Word {
  CorePolicy placement;
  const char* text;
};
constexpr std::array kWords{Word{CorePolicy::kNone, "none"}, Word{CorePolicy::kCores, "cores"},
                            Word{CorePolicy::kFollow, "follow"}};

// Fields of stat after the name, whose closing bracket ends field 2.
constexpr int kCoreField = 39;
constexpr int kFirstFieldAfterName = 3;

}  // namespace

const char* to_string(CorePolicy placement) {
  for (const Word& word : kWords) {
    if (word.placement == placement) return word.text;
  }
  return "unknown";
}

std::optional<CorePolicy> parse_placement(std::string_view word) {
  for (const Word& known : kWords) {
    if (known.text == word) return known.placement;
  }
  return std::nullopt;
}

Result<void> PlacementOptions::validate() const {
  if (placement == CorePolicy::kCores && cores.empty()) {
    return fail(ErrorCode::kInvalid,
                "placement 'cores' needs cores: name them with fault_cores (--fault-core)");
  }
  return {};
}

CoreSet PlacementOptions::cores_of_workers() const {
  if (decided() == CorePolicy::kNone || cores.empty()) return {};
  return CoreSet::allowed().without(cores);
}

std::optional<unsigned> core_of_stat(std::string_view stat) {
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  stat.remove_prefix(name_end + 2);
  for (int field = kFirstFieldAfterName; field < kCoreField; ++field) {
    const size_t space = stat.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    stat.remove_prefix(space + 1);
  }
  unsigned core = 0;
  const auto [end, error] = std::from_chars(stat.data(), stat.data() + stat.size(), core);
  if (error != std::errc() || end == stat.data() || core >= kCoresMax) return std::nullopt;
  return core;
}

FaultPlacement::FaultPlacement(const PlacementOptions& options, pid_t vmm)
    : options_(options), vmm_(vmm) {}

void FaultPlacement::start() {
  const CorePolicy placement = options_.decided();
  follows_ = placement == CorePolicy::kFollow;
  allowed_ = CoreSet::allowed();
  if (placement == CorePolicy::kNone || options_.cores.empty()) return;
  if (const Result<void> confined = options_.cores.confine_this_thread(); !confined) {
    log_warning("the fault thread runs on any core: " + confined.error().message);
  }
}

void FaultPlacement::look(uint32_t thread_id) {
  since_look_ = 0;
  if (thread_id == 0) {
    return stop_following(
        "its userfaultfd does not tell which thread faults "
        "(UFFD_FEATURE_THREAD_ID)");
  }
  const Result<unsigned> core = core_of(thread_id);
  if (!core) return stop_following(core.error().message);
  const bool stays = thread_id == thread_ && core_ == *core;
  interval_ = stays ? std::min(2 * interval_, kLookFaultsMax) : kLookFaultsMin;
  thread_ = thread_id;
  if (core_ == *core) return;
  if (const Result<void> moved = CoreSet{*core}.confine_this_thread(); !moved) {
    return stop_following(moved.error().message);
  }
  core_ = *core;
  moves_.fetch_add(1, std::memory_order_relaxed);
}

// The number is of the VMM's own pid namespace. Where that is not ours, no such thread is found
// under its process here, or, at worst, another of the same VMM.
Result<unsigned> FaultPlacement::core_of(uint32_t thread_id) {
  const auto found = std::find_if(watched_.begin(), watched_.end(), [&](const Watched& one) {
    return one.thread == thread_id && one.stat;
  });
  Watched& watched = found != watched_.end() ? *found : watched_[next_watched_];
  const std::string path =
      "/proc/" + std::to_string(vmm_) + "/task/" + std::to_string(thread_id) + "/stat";
  if (found == watched_.end()) {
    next_watched_ = (next_watched_ + 1) % watched_.size();
    watched.thread = thread_id;
    watched.stat = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!watched.stat) return fail_errno("cannot open " + path, errno);
  }
  std::array<char, 1024> text;  // 52 numbers; a third of it as a rule
  const ssize_t got = ::pread(watched.stat.get(), text.data(), text.size(), 0);
  const int error_number = errno;
  const std::optional<unsigned> core =
      got > 0 ? core_of_stat({text.data(), static_cast<size_t>(got)}) : std::nullopt;
  if (core) return *core;
  watched.stat.reset();
  if (got < 0) return fail_errno("cannot read " + path, error_number);
  return fail(ErrorCode::kUnsupported, path + " does not tell the thread's core");
}

void FaultPlacement::stop_following(const std::string& why) {
  follows_ = false;
  for (Watched& watched : watched_) watched.stat.reset();
  const CoreSet& fallback = options_.cores.empty() ? allowed_ : options_.cores;
  const Result<void> confined = core_ ? fallback.confine_this_thread() : Result<void>();
  const std::string where = !confined ? "stays where it is (" + confined.error().message + ")"
                            : options_.cores.empty()
                                ? "runs on any core"
                                : "keeps to the cores " + options_.cores.text();
  // Following is what happens unless something else is asked for, and some VMMs cannot be followed.
  log(options_.placement ? LogLevel::kWarning : LogLevel::kInfo,
      "the fault thread of VMM " + std::to_string(vmm_) + " does not follow its threads and " +
          where + ": " + why);
}

}  // namespace thaw
