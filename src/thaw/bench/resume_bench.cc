// SPDX-License-Identifier: Apache-2.0
#include "thaw/bench/resume_bench.h"

#include <algorithm>
#include <atomic>

#include "thaw/base/check.h"
#include "thaw/bench/bench_functions.h"
#include "thaw/lab/page_cache.h"
#include "thaw/sys/file_io.h"
#include "thaw/tier/warm.h"

namespace thaw {
namespace {

// The chunks of the traces with room to spare: 600 KiB each with parity, a third for each layout.
constexpr uint64_t kLocalBytes = 2 * kGiB;

// A machine that stands still for some 10 ms makes a node of the zone look dead. More than once in
// a row is a fault of ours.
constexpr int kAttemptsMax = 3;

double ms_of(const ReplayVmmResult& result) {
  if (!result.passed()) {
    std::fprintf(stderr, "%s\n", result.describe().c_str());
    CHECK(result.passed());
  }
  return static_cast<double>(result.report->from_handshake_ns) / 1e6;
}

}  // namespace

const char* to_string(BenchTier tier) {
  switch (tier) {
    case BenchTier::kMemory:
      return "memory";
    case BenchTier::kLocal:
      return "local";
    case BenchTier::kZone:
      return "zone";
    case BenchTier::kOrigin:
      return "origin";
  }
  return "?";
}

ResumeBench::ResumeBench(const BenchScale& scale)
    : traces_(load_function_traces(scale.smoke)), workers_(WorkerOptions().thread_count(), 65536) {
  CHECK(make_directories(memory_dir_.file("store")));
  store_ = *DirStore::create(memory_dir_.file("store"));
  catalog_ = std::make_unique<Catalog>(*store_);
  CHECK(catalog_->initialise());
  for (size_t i = 0; i < traces_.size(); ++i) {
    FunctionSnapshotOptions options;
    options.name = traces_[i].name;
    options.seed = i + 1;
    options.plain_path = disk_dir_.file(traces_[i].name);
    options.oracle_path = memory_dir_.file(traces_[i].name);
    snapshots_.push_back(*FunctionSnapshot::make(*catalog_, keys_, traces_[i], options));
    reaps_.push_back(*StudyServer::make(
        {.memory = {options.plain_path, ""}, .working_path = options.plain_path, .file = {}},
        traces_[i].recorded));
  }
  memory_ = make_stack({.memory = {.bytes_max = 4 * kGiB}});
  fill(*memory_);
  fill(*make_stack({.memory = {.bytes_max = 0}, .local = local_options()}));
  if (!MemcachedProcess::unavailable().empty()) return;
  zone_servers_ = *LoopbackZone::start(5, {.memory_mib = 256, .threads = 1});
  zone_ = make_stack({.memory = {.bytes_max = 0}, .zone = zone_servers_->options(1)});
  CHECK(wait_until_up(*zone_->zone_client(), zone_servers_->nodes()));
  fill(*zone_);
}

ResumeBench::~ResumeBench() = default;

std::unique_ptr<TierStack> ResumeBench::make_stack(const TierOptions& options) {
  return *TierStack::create(*store_, workers_, options);
}

LocalTierOptions ResumeBench::local_options() const {
  LocalTierOptions local;
  local.cache.path = disk_dir_.file("cache");
  local.cache.bytes_max = kLocalBytes;
  return local;
}

void ResumeBench::fill(TierStack& stack) {
  const bool keeps = stack.local() != nullptr || stack.zone() != nullptr;
  for (const auto& snapshot : snapshots_) {
    const std::vector<ChunkRequest> chunks = snapshot->touched_chunks();
    Progress progress;
    if (keeps) {
      const auto warmed = warm(stack, chunks, progress);
      CHECK(warmed && warmed->not_kept == 0);
    }
    for (const ChunkRequest& chunk : chunks) CHECK(fetch_and_wait(stack.top(), chunk));
  }
}

TierStack& ResumeBench::stack_of(BenchTier tier) {
  if (tier == BenchTier::kMemory) return *memory_;
  if (tier == BenchTier::kZone) return *zone_;
  // Before another opens the file.
  fresh_.reset();
  TierOptions options{.memory = {.bytes_max = 0}};
  if (tier == BenchTier::kLocal) {
    options.local = local_options();
  } else {
    options.origin_shape = latency_preset("origin");
    options.seed = ++resumes_;
  }
  fresh_ = make_stack(options);
  return *fresh_;
}

PlainCache& ResumeBench::plain_of(size_t function) {
  plains_.resize(functions());
  std::unique_ptr<PlainCache>& plain = plains_[function];
  if (plain == nullptr) {
    const ResumeImage& image = *snapshot(function).image(Layout::kHot);
    plain =
        std::make_unique<PlainCache>(image, **image.plan(Strategy::kHot), kPlainBytesMaxDefault);
  }
  return *plain;
}

ResumeFigure ResumeBench::session(size_t function, const SessionRun& run) {
  for (int attempt = 1;; ++attempt) {
    const std::optional<ResumeFigure> figure = try_session(function, run);
    if (figure) return *figure;
    std::fprintf(stderr, "%s: a resume from the %s asked the origin: dropped, and made again\n",
                 name(function).c_str(), to_string(run.tier));
    CHECK(attempt < kAttemptsMax);
  }
}

std::optional<ResumeFigure> ResumeBench::try_session(size_t function, const SessionRun& run) {
  TierStack& stack = stack_of(run.tier);
  const FunctionSnapshot& from = snapshot(function);
  const uint64_t misses_before = stack.origin().counters().requests;
  ReplayVmmOptions options = from.vmm();
  options.socket_path = memory_dir_.file("sock");
  ConnectedVmm vmm = *connect_vmm(options, from.bytes());
  SessionOptions session_options;
  session_options.strategy = run.strategy;
  session_options.fill = run.fill;
  PlainCache* const plain = run.clone ? &plain_of(function) : nullptr;
  std::optional<Recorder> recorder;
  if (run.record) {
    session_options.recorder = &recorder.emplace(from.bytes() / kPageBytes, RecorderOptions{});
  }
  const auto session = *Session::start(
      from.image(run.layout), stack.top(), workers_, std::move(vmm.handshake), std::move(vmm.peer),
      session_options, [] {}, plain);
  ResumeFigure figure;
  figure.ms = ms_of(vmm.process->wait());
  session->stop();
  figure.summary = session->summary();
  if (recorder) {
    recorder->stop(RecordEnd::kTold);
    CHECK(!recorder->recording().touches.empty());
  }
  const bool asked_origin = stack.origin().counters().requests != misses_before;
  if (run.tier != BenchTier::kOrigin && asked_origin) return std::nullopt;
  return figure;
}

double ResumeBench::plain_reap_ms(size_t function) {
  ReplayVmmOptions options = snapshot(function).vmm();
  options.socket_path = memory_dir_.file("sock");
  ConnectedVmm vmm = *connect_vmm(options, snapshot(function).bytes());
  CHECK(reaps_[function].serve(vmm, {}).has_value());
  return ms_of(vmm.process->wait());
}

double ResumeBench::mapping_ms(size_t function, bool cached) {
  const std::string& path = snapshot(function).plain_path();
  CHECK(cached ? read_into_page_cache(path) : drop_page_cache(path));
  return mapping_ms(function, path);
}

double ResumeBench::mapping_ms(size_t function, const std::string& path) {
  return unserved_ms(function, ReplayBacking::kPrivateFile, path);
}

double ResumeBench::present_ms(size_t function) {
  return unserved_ms(function, ReplayBacking::kPresent, "");
}

double ResumeBench::unserved_ms(size_t function, ReplayBacking backing, const std::string& path) {
  ReplayVmmOptions options = snapshot(function).vmm();
  options.backing = backing;
  options.mapped_path = path;
  const auto process = *ReplayVmm::start(options);
  return ms_of(process->wait());
}

Comparison compare_functions(const PairedSpec& spec, size_t functions, int rounds,
                             const std::function<double(size_t)>& ours,
                             const std::function<double(size_t)>& baseline) {
  std::vector<double> ratios, our_values, floors;
  for (size_t function = 0; function < functions; ++function) {
    const Comparison one =
        compare(spec, rounds, [&] { return ours(function); }, [&] { return baseline(function); });
    ratios.push_back(one.ratio.median);
    our_values.push_back(one.ours);
    floors.push_back(one.floor);
  }
  return {spec.name,
          spec.what,
          spec.unit,
          spec.target,
          spec.at_least,
          quartiles_of(ratios),
          quartiles_of(our_values).median,
          quartiles_of(floors).median,
          spec.report_only};
}

}  // namespace thaw
