// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/playground.h"

#include <sys/resource.h>

#include <optional>
#include <thread>
#include <vector>

#include "thaw/lab/page_cache.h"
#include "thaw/resume/session.h"
#include "thaw/sys/file_io.h"
#include "thaw/tier/warm.h"

namespace thaw {
namespace {

constexpr uint64_t kLocalBytesMax = 2 * kGiB;
constexpr uint64_t kMemoryBytesMax = 4 * kGiB;
constexpr uint32_t kQueueMax = 65536;
constexpr char kTenant[] = "lab";

double to_mib(uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(kMiB); }

double cpu_ms() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

Result<ReplayVmmReport> report_of(ReplayVmm& vmm) {
  const ReplayVmmResult& result = vmm.wait();
  if (result.passed()) return *result.report;
  const bool wrong = result.report && result.report->mismatch_count > 0;
  return fail(wrong ? ErrorCode::kCorrupt : ErrorCode::kUnavailable, result.describe());
}

Strategy strategy_of(const Cell& cell) {
  switch (cell.technique) {
    case Technique::kReap:
      return Strategy::kReap;
    case Technique::kFaasnap:
      return Strategy::kFaasnap;
    case Technique::kChunks:
      return Strategy::kChunks;
    case Technique::kHot:
      return cell.without == Without::kLayout ? Strategy::kChunks : Strategy::kHot;
    default:
      return Strategy::kOnDemand;
  }
}

SessionOptions session_options(const Cell& cell) {
  SessionOptions options;
  options.strategy = strategy_of(cell);
  if (cell.without == Without::kPageFill) options.fill = Fill::kChunk;
  if (cell.without == Without::kOverlap) options.prefetch_lanes = 1;
  return options;
}

StudyFileOptions study_options(const Cell& cell) {
  StudyFileOptions options;
  options.encrypted =
      cell.storage == LabStorage::kEncrypted || cell.storage == LabStorage::kChunkedEncrypted;
  const bool chunked =
      cell.storage == LabStorage::kChunked || cell.storage == LabStorage::kChunkedEncrypted;
  options.chunk_bytes = chunked ? cell.chunk_bytes : 0;
  return options;
}

}  // namespace

struct Playground::Home {
  const FunctionTrace* trace = nullptr;
  std::string cache_path;
  std::unique_ptr<DirStore> store;
  std::unique_ptr<Catalog> catalog;
  std::unique_ptr<FunctionSnapshot> snapshot;
  bool local_filled = false;
  std::unique_ptr<TierStack> memory;  // stays
  std::unique_ptr<TierStack> fresh;   // local or origin, made anew for each measurement
};

struct Playground::CloneFigure {
  ReplayVmmReport report;
  StudyRun study;
  SessionSummary session;

  void add_to(Measurement& measurement) const;
};

void Playground::CloneFigure::add_to(Measurement& measurement) const {
  if (measurement.resume_ms.empty()) {
    const LatencySummary& touch = report.first_touch;
    measurement.touches = touch.count;
    measurement.touch_mean_ns = touch.mean_ns;
    measurement.touch_p50_ns = touch.p50_ns;
    measurement.touch_p90_ns = touch.p90_ns;
    measurement.touch_p99_ns = touch.p99_ns;
    measurement.touch_max_ns = touch.max_ns;
    measurement.touch_ns = report.first_touch_ns;
  }
  measurement.resume_ms.push_back(static_cast<double>(report.from_handshake_ns) / 1e6);
  measurement.private_mib.push_back(to_mib(report.private_bytes));
  measurement.share_mib.push_back(to_mib(report.share_bytes));
  measurement.pages_checked += report.pages_checked;
  measurement.faults += study.faults + session.faults;
  measurement.requests += session.chunks;
  measurement.install_ns += study.install_ns;
  for (const StudyCost* cost : {&study.image, &study.compact}) {
    measurement.requests += cost->requests;
    measurement.local_bytes += cost->bytes;
    measurement.fetch_ns += cost->fetch_ns;
    measurement.verify_ns += cost->verify_ns;
    measurement.decrypt_ns += cost->decrypt_ns;
  }
}

Playground::Playground(PlaygroundOptions options)
    : options_(std::move(options)), workers_(WorkerOptions().thread_count(), kQueueMax) {}

Playground::~Playground() = default;

Result<std::unique_ptr<Playground>> Playground::make(const PlaygroundOptions& options) {
  std::unique_ptr<Playground> made(new Playground(options));
  ASSIGN_OR_RETURN(made->memory_dir_, ScratchDir::make(options.memory_parent));
  ASSIGN_OR_RETURN(made->disk_dir_, ScratchDir::make(options.disk_parent));
  ASSIGN_OR_RETURN(Keyring keyring, Keyring::create(made->memory_dir_->file("keys"), kTenant));
  made->keys_ = std::make_unique<FileKeyProvider>(std::move(keyring));
  return made;
}

Result<void> Playground::check(const Cell& cell) {
  ASSIGN_OR_RETURN(const FunctionTrace* const trace, trace_of(cell.function));
  if (cell.input == LabInput::kOther && !trace->other) {
    return fail(ErrorCode::kNotFound, "there is no trace of '" + cell.function +
                                          "' with another input in " + options_.traces);
  }
  return {};
}

Result<const FunctionTrace*> Playground::trace_of(const std::string& function) {
  const auto found = traces_.find(function);
  if (found != traces_.end()) return &found->second;
  ASSIGN_OR_RETURN(FunctionTrace trace, load_function(options_.traces, function));
  return &traces_.emplace(function, std::move(trace)).first->second;
}

Result<Playground::Home*> Playground::home_of(const Cell& cell) {
  const std::string name = cell.function + "-" + std::to_string(cell.chunk_bytes);
  std::unique_ptr<Home>& home = homes_[name];
  if (home != nullptr) return home.get();
  auto made = std::make_unique<Home>();
  ASSIGN_OR_RETURN(made->trace, trace_of(cell.function));
  const std::string directory = memory_dir_->file("store-" + name);
  made->cache_path = disk_dir_->file("cache-" + name);
  TRY(make_directories(directory));
  ASSIGN_OR_RETURN(made->store, DirStore::create(directory));
  made->catalog = std::make_unique<Catalog>(*made->store);
  TRY(made->catalog->initialise());
  FunctionSnapshotOptions options;
  options.name = cell.function;
  options.plain_path = disk_dir_->file("plain-" + name);
  options.oracle_path = memory_dir_->file("oracle-" + name);
  options.chunk_bytes = static_cast<uint32_t>(cell.chunk_bytes);
  ASSIGN_OR_RETURN(made->snapshot,
                   FunctionSnapshot::make(*made->catalog, *keys_, *made->trace, options));
  home = std::move(made);
  return home.get();
}

Result<void> Playground::fill(const Home& home, TierStack& stack) {
  const std::vector<ChunkRequest> chunks = home.snapshot->touched_chunks();
  if (stack.local() != nullptr) {
    Progress progress;
    ASSIGN_OR_RETURN(const WarmReport warmed, warm(stack, chunks, progress));
    if (warmed.not_kept == 0) return {};
    return fail(ErrorCode::kExhausted, home.cache_path + " does not hold the chunks");
  }
  for (const ChunkRequest& chunk : chunks) TRY(fetch_and_wait(stack.top(), chunk));
  return {};
}

Result<TierStack*> Playground::stack_of(Home& home, const Cell& cell, uint64_t seed) {
  TierOptions options;
  options.seed = seed;
  if (cell.tier == LabTier::kMemory) {
    if (home.memory == nullptr) {
      options.memory.bytes_max = kMemoryBytesMax;
      ASSIGN_OR_RETURN(home.memory, TierStack::create(*home.store, workers_, options));
      TRY(fill(home, *home.memory));
    }
    return home.memory.get();
  }
  home.fresh.reset();  // before another opens the file
  options.memory.bytes_max = 0;
  if (cell.tier == LabTier::kOrigin) {
    options.origin_shape = latency_preset("origin");
  } else {
    options.local = LocalTierOptions{};
    options.local->cache.path = home.cache_path;
    options.local->cache.bytes_max = kLocalBytesMax;
    options.local->verify_always = cell.without == Without::kPageVerify;
    if (!home.local_filled) {
      ASSIGN_OR_RETURN(const auto filling, TierStack::create(*home.store, workers_, options));
      TRY(fill(home, *filling));
      home.local_filled = true;
    }
  }
  ASSIGN_OR_RETURN(home.fresh, TierStack::create(*home.store, workers_, options));
  return home.fresh.get();
}

Result<StudyServer*> Playground::study_of(const Cell& cell, const Home& home, uint64_t clone) {
  const StudyFileOptions file = study_options(cell);
  std::string name = cell.function + "-" + axis_value(cell, "storage");
  if (file.chunk_bytes > 0) name += "-" + std::to_string(file.chunk_bytes);
  name += "-" + std::to_string(clone);
  std::unique_ptr<StudyServer>& server = studies_[name];
  if (server == nullptr) {
    const StudyServerOptions options{.image_path = home.snapshot->plain_path(),
                                     .working_path = disk_dir_->file("study-" + name),
                                     .file = file};
    ASSIGN_OR_RETURN(StudyServer made, StudyServer::make(options, home.trace->recorded));
    server = std::make_unique<StudyServer>(std::move(made));
  }
  return server.get();
}

ReplayVmmOptions Playground::vmm_of(const Cell& cell, const Home& home, uint64_t clone) const {
  ReplayVmmOptions options = home.snapshot->vmm();
  options.socket_path = memory_dir_->file("vmm" + std::to_string(clone));
  if (cell.input == LabInput::kOther) options.touching.trace = *home.trace->other;
  return options;
}

Result<Playground::CloneFigure> Playground::resume_by_kernel(const Cell& cell, const Home& home,
                                                             uint64_t clone) const {
  ReplayVmmOptions options = vmm_of(cell, home, clone);
  options.backing =
      cell.technique == Technique::kPresent ? ReplayBacking::kPresent : ReplayBacking::kPrivateFile;
  ASSIGN_OR_RETURN(const auto vmm, ReplayVmm::start(options));
  CloneFigure figure;
  ASSIGN_OR_RETURN(figure.report, report_of(*vmm));
  return figure;
}

Result<Playground::CloneFigure> Playground::resume_by_study(const Cell& cell, const Home& home,
                                                            StudyServer& study, uint64_t seed,
                                                            uint64_t clone) const {
  ASSIGN_OR_RETURN(ConnectedVmm vmm,
                   connect_vmm(vmm_of(cell, home, clone), home.snapshot->bytes()));
  StudyServer::Way way;
  way.reap = cell.technique == Technique::kStudyReap;
  way.seed = seed + clone;
  if (cell.tier == LabTier::kOrigin) way.shape = latency_preset("origin");
  CloneFigure figure;
  ASSIGN_OR_RETURN(figure.study, study.serve(vmm, way));
  ASSIGN_OR_RETURN(figure.report, report_of(*vmm.process));
  return figure;
}

Result<Playground::CloneFigure> Playground::resume_by_session(const Cell& cell, const Home& home,
                                                              TierStack& stack, uint64_t clone) {
  const bool hot = cell.technique == Technique::kHot && cell.without != Without::kLayout;
  ASSIGN_OR_RETURN(ConnectedVmm vmm,
                   connect_vmm(vmm_of(cell, home, clone), home.snapshot->bytes()));
  ASSIGN_OR_RETURN(const auto session,
                   Session::start(home.snapshot->image(hot ? Layout::kHot : Layout::kLinear),
                                  stack.top(), workers_, std::move(vmm.handshake),
                                  std::move(vmm.peer), session_options(cell), [] {}));
  CloneFigure figure;
  Result<ReplayVmmReport> report = report_of(*vmm.process);
  session->stop();
  figure.session = session->summary();
  if (!report) {
    return fail(std::move(report).error().with_context("session: " + figure.session.error));
  }
  figure.report = *report;
  return figure;
}

Result<Playground::CloneFigure> Playground::resume_clone(const Cell& cell, Home& home,
                                                         TierStack* stack, StudyServer* study,
                                                         uint64_t seed, uint64_t clone) {
  if (stack != nullptr) return resume_by_session(cell, home, *stack, clone);
  if (study != nullptr) return resume_by_study(cell, home, *study, seed, clone);
  return resume_by_kernel(cell, home, clone);
}

Result<Measurement> Playground::measure(const Cell& cell, uint64_t seed) {
  ASSIGN_OR_RETURN(Home* const home, home_of(cell));
  TierStack* stack = nullptr;
  std::vector<StudyServer*> studies(cell.parallel, nullptr);
  if (is_ours(cell.technique)) {
    ASSIGN_OR_RETURN(stack, stack_of(*home, cell, seed));
  } else if (!is_kernels(cell.technique)) {
    for (uint64_t i = 0; i < cell.parallel; ++i) {
      ASSIGN_OR_RETURN(studies[i], study_of(cell, *home, i));
    }
  } else if (cell.technique != Technique::kPresent) {
    const bool cached = cell.technique == Technique::kMappingCached;
    const std::string& path = home->snapshot->plain_path();
    TRY(cached ? read_into_page_cache(path) : drop_page_cache(path));
  }
  const uint64_t misses_before = stack != nullptr ? stack->origin().counters().requests.load() : 0;
  const uint64_t bytes_before = stack != nullptr ? stack->origin().counters().bytes.load() : 0;
  const double cpu_before = cpu_ms();

  std::vector<std::optional<Result<CloneFigure>>> figures(cell.parallel);
  const auto resume = [&](uint64_t i) {
    figures[i].emplace(resume_clone(cell, *home, stack, studies[i], seed, i));
  };
  std::vector<std::thread> others;
  for (uint64_t i = 1; i < cell.parallel; ++i) others.emplace_back(resume, i);
  resume(0);
  for (std::thread& other : others) other.join();

  Measurement measurement;
  measurement.cell = cell;
  measurement.seed = seed;
  measurement.cpu_ms = cpu_ms() - cpu_before;
  for (uint64_t i = 0; i < cell.parallel; ++i) {
    if (!*figures[i]) return fail(std::move(*figures[i]).error().with_context(cell.key()));
    (*figures[i])->add_to(measurement);
  }
  if (stack != nullptr) {
    measurement.origin_bytes += stack->origin().counters().bytes - bytes_before;
    const bool asked_origin = stack->origin().counters().requests != misses_before;
    if (cell.tier != LabTier::kOrigin && asked_origin) {
      return fail(ErrorCode::kUnavailable, cell.key() + ": asked the origin for what its tier has");
    }
  }
  if (measurement.pages_checked == 0) {
    return fail(ErrorCode::kInvalid, cell.key() + ": no page was compared with the oracle");
  }
  return measurement;
}

}  // namespace thaw
