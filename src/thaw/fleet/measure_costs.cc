// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/measure_costs.h"

#include <sys/mman.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/check.h"
#include "thaw/base/utc_text.h"
#include "thaw/cache/disk_cache.h"
#include "thaw/sys/cpu_info.h"
#include "thaw/sys/file_system.h"
#include "thaw/sys/scratch_dir.h"
#include "thaw/sys/uffd.h"
#include "thaw/tier/memory_tier.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

/// Enough that neither the processor's caches nor a disk's have them all.
constexpr uint64_t kWorkingBytes = 96 * kMiB;
constexpr int kOperations = 5;
/// Lookups are too short for the clock one by one.
constexpr uint32_t kLookupsPerRound = 64;

/// Pages that wait for userfaultfd.
class InstallTarget {
 public:
  static Result<std::unique_ptr<InstallTarget>> make(uint64_t bytes) {
    ASSIGN_OR_RETURN(Uffd uffd, Uffd::create(0));
    // SAFETY: a fresh mapping, which only this object knows.
    void* const at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return fail_errno("cannot map memory to install into", errno);
    std::unique_ptr<InstallTarget> target(new InstallTarget(std::move(uffd), at, bytes));
    TRY(target->uffd_.register_missing(target->address(), bytes));
    return target;
  }
  ~InstallTarget() { ::munmap(at_, bytes_); }
  InstallTarget(const InstallTarget&) = delete;
  InstallTarget& operator=(const InstallTarget&) = delete;

  /// Takes away what an install has put there.
  void empty() const { ::madvise(at_, bytes_, MADV_DONTNEED); }
  Result<void> install(ByteSpan from) const {
    const InstallOutcome outcome = uffd_.copy(address(), from.data(), from.size());
    if (outcome.status == InstallStatus::kDone) return {};
    return fail_errno("userfaultfd does not install", outcome.error_number);
  }

 private:
  InstallTarget(Uffd uffd, void* at, uint64_t bytes)
      : uffd_(std::move(uffd)), at_(at), bytes_(bytes) {}
  // SAFETY: an address as a number, as the ioctls want it.
  uint64_t address() const { return reinterpret_cast<uint64_t>(at_); }

  const Uffd uffd_;
  void* const at_;
  const uint64_t bytes_;
};

/// The memory tier asks nothing below it here.
class NothingBelow final : public ChunkSource {
 public:
  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& request, Completion done) override { done(chunk_of_(request)); }
  void promote(const ChunkId&) override {}
  std::string describe() const override { return "nothing"; }

  explicit NothingBelow(std::function<ChunkRef(const ChunkRequest&)> chunk_of)
      : chunk_of_(std::move(chunk_of)) {}

 private:
  std::function<ChunkRef(const ChunkRequest&)> chunk_of_;
};

class Measuring {
 public:
  Measuring(const MeasureCostsOptions& options, Progress& progress)
      : options_(options), progress_(progress) {
    std::mt19937_64 random(1);
    AlignedBuffer plaintext(options.chunk_bytes);
    AlignedBuffer key(kKeyBytes);
    ChunkSealer sealer(SecretBytes::copy_of(sha256(as_bytes("costs"))));
    for (uint64_t i = 0; i < std::max<uint64_t>(4, kWorkingBytes / options.chunk_bytes); ++i) {
      for (size_t at = 0; at < plaintext.size(); at += sizeof(uint64_t)) {
        const uint64_t word = random();
        std::memcpy(plaintext.data() + at, &word, sizeof word);
      }
      AlignedBuffer ciphertext(options.chunk_bytes);
      const ChunkId id = sealer.seal(plaintext.span(), ciphertext.span(), key.span());
      chunks_.push_back(std::make_shared<Chunk>(Chunk{id, std::move(ciphertext)}));
    }
    key_.assign(key.data(), key.data() + key.size());
  }

  /// The median of what `operation` says it took, in nanoseconds.
  Result<uint64_t> median(const std::function<Result<Clock::duration>(const Chunk&)>& operation) {
    std::vector<uint64_t> took;
    const uint32_t warm_up = options_.rounds / 10 + 1;
    for (uint32_t round = 0; round < warm_up + options_.rounds; ++round) {
      if (progress_.cancelled()) {
        return fail(ErrorCode::kInterrupted, "the measurement was stopped; nothing was written");
      }
      ASSIGN_OR_RETURN(const Clock::duration each, operation(*chunks_[round % chunks_.size()]));
      if (round >= warm_up) {
        took.push_back(static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(each).count()));
        progress_.advance(1);
      }
    }
    std::nth_element(took.begin(), took.begin() + static_cast<ptrdiff_t>(took.size() / 2),
                     took.end());
    return took[took.size() / 2];
  }

  /// The same of an operation that is all to be measured.
  Result<uint64_t> median_of_all(const std::function<Result<void>(const Chunk&)>& operation) {
    return median([&](const Chunk& chunk) -> Result<Clock::duration> {
      const Clock::time_point begin = Clock::now();
      TRY(operation(chunk));
      return Clock::now() - begin;
    });
  }

  Result<uint64_t> memory_hit() {
    NothingBelow below([this](const ChunkRequest& request) -> ChunkRef {
      for (const auto& chunk : chunks_) {
        if (chunk->id == request.id) return chunk;
      }
      return nullptr;
    });
    MemoryTier memory({.bytes_max = 2 * kWorkingBytes, .slot_bytes = options_.chunk_bytes}, below);
    for (const auto& chunk : chunks_) {
      memory.fetch({.id = chunk->id}, [](const Result<ChunkRef>& got) { CHECK(got.has_value()); });
    }
    size_t next = 0;
    ASSIGN_OR_RETURN(const uint64_t all, median_of_all([&](const Chunk&) -> Result<void> {
                       for (uint32_t i = 0; i < kLookupsPerRound; ++i) {
                         CHECK(memory.lookup(chunks_[next++ % chunks_.size()]->id) != nullptr);
                       }
                       return {};
                     }));
    return all / kLookupsPerRound;
  }

  Result<uint64_t> local_read(const std::string& directory) {
    DiskCacheOptions options;
    options.path = directory + "/cache";
    options.bytes_max = kWorkingBytes + kWorkingBytes / 2;
    options.slot_bytes = options_.chunk_bytes;
    ASSIGN_OR_RETURN(const auto cache, DiskCache::open(options));
    for (const auto& chunk : chunks_) TRY(cache->write(chunk->id, chunk->ciphertext()));
    AlignedBuffer out(options_.chunk_bytes);
    return median_of_all([&](const Chunk& chunk) -> Result<void> {
      if (cache->read_into(chunk.id, out.span())) return {};
      return fail(ErrorCode::kUnavailable, "the disk cache in " + directory +
                                               " lost a chunk; choose a disk that keeps what is "
                                               "written");
    });
  }

  Result<uint64_t> verify() {
    Sha256 hasher;
    return median_of_all(
        [&](const Chunk& chunk) { return verify_chunk(hasher, chunk.id, chunk.ciphertext()); });
  }

  Result<uint64_t> decrypt() {
    CtrCipher cipher;
    AlignedBuffer out(options_.chunk_bytes);
    return median_of_all([&](const Chunk& chunk) -> Result<void> {
      // Every chunk has a key of its own, so its schedule is part of the cost.
      cipher.set_key(key_);
      decrypt_pages(cipher, chunk.ciphertext(), 0,
                    static_cast<uint32_t>(options_.chunk_bytes / kPageBytes), out.data());
      return {};
    });
  }

  Result<uint64_t> install() {
    ASSIGN_OR_RETURN(const auto target, InstallTarget::make(options_.chunk_bytes));
    return median([&](const Chunk& chunk) -> Result<Clock::duration> {
      target->empty();
      const Clock::time_point begin = Clock::now();
      TRY(target->install(chunk.ciphertext()));
      return Clock::now() - begin;
    });
  }

 private:
  const MeasureCostsOptions& options_;
  Progress& progress_;
  std::vector<std::shared_ptr<Chunk>> chunks_;
  Bytes key_;
};

}  // namespace

Result<FleetCosts> measure_costs(const MeasureCostsOptions& options, Progress& progress) {
  TRY(validate_chunk_bytes(options.chunk_bytes));
  CHECK(options.rounds > 0);
  progress.bytes_total.store(uint64_t{kOperations} * options.rounds);
  ASSIGN_OR_RETURN(const auto scratch, ScratchDir::make(options.scratch_parent));
  Measuring measuring(options, progress);
  FleetCosts costs;
  costs.chunk_bytes = options.chunk_bytes;
  ASSIGN_OR_RETURN(costs.install_ns, measuring.install());
  ASSIGN_OR_RETURN(costs.memory_hit_ns, measuring.memory_hit());
  ASSIGN_OR_RETURN(costs.local_read_ns, measuring.local_read(scratch->path()));
  ASSIGN_OR_RETURN(costs.verify_ns, measuring.verify());
  ASSIGN_OR_RETURN(costs.decrypt_ns, measuring.decrypt());
  utsname system{};
  if (::uname(&system) == 0) costs.kernel = system.release;
  costs.cpu = cpu_model();
  costs.cores = std::thread::hardware_concurrency();
  costs.disk = file_system_of(scratch->path());
  costs.at = utc_text(std::chrono::system_clock::now());
  costs.thaw_version = options.thaw_version;
  return costs;
}

}  // namespace thaw
