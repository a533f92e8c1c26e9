// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/study_server.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/base/stage_clock.h"
#include "thaw/lab/loading_set.h"
#include "thaw/resume/strategy.h"

namespace thaw {
namespace {

constexpr int kSilenceMsMax = 60'000;

Result<void> install(const Handshake& vmm, uint64_t page, const std::byte* source, uint64_t count) {
  const uint64_t address = vmm.regions[0].address + page * kPageBytes;
  for (uint64_t done = 0; done < count * kPageBytes;) {
    const InstallOutcome outcome =
        vmm.uffd.copy(address + done, source + done, count * kPageBytes - done);
    switch (outcome.status) {
      case InstallStatus::kDone:
        return {};
      case InstallStatus::kPartial:
        done += outcome.installed_bytes;
        break;
      case InstallStatus::kExists:
        // Its fault and the loading ahead met on this page.
        vmm.uffd.wake(address + done, kPageBytes);
        done += kPageBytes;
        break;
      // A guest that needs less than was recorded may come to its end, and unmap its memory, while
      // the rest is installed. That it got every page it waited for is its own report's to say.
      case InstallStatus::kUnmapped:
      case InstallStatus::kGone:
        return {};
      default:
        return fail_errno("cannot install page " + std::to_string(page), outcome.error_number);
    }
  }
  return {};
}

}  // namespace

Result<StudyServer> StudyServer::make(const StudyServerOptions& options,
                                      const PageTrace& recorded) {
  ASSIGN_OR_RETURN(StudyImage image,
                   StudyImage::make(options.memory, options.working_path, options.file));
  StudyServer server(std::move(image));
  ASSIGN_OR_RETURN(const Bytes memory, StudyImage::read_layers(options.memory));
  ASSIGN_OR_RETURN(LoadingSet reap, make_set(loading_groups(recorded, SIZE_MAX, 0), memory,
                                             options.working_path + ".reap", options.file));
  ASSIGN_OR_RETURN(LoadingSet faasnap,
                   make_set(loading_groups(recorded, kFaasnapGroupPages, kFaasnapGapPages), memory,
                            options.working_path + ".faasnap", options.file));
  server.sets_.emplace(StudyAhead::kReap, std::move(reap));
  server.sets_.emplace(StudyAhead::kFaasnap, std::move(faasnap));
  return server;
}

Result<StudyServer::LoadingSet> StudyServer::make_set(std::vector<PageRuns> groups, ByteSpan memory,
                                                      const std::string& path,
                                                      const StudyFileOptions& options) {
  Bytes pages;
  uint64_t largest = 0;
  for (const PageRuns& group : groups) {
    largest = std::max(largest, count_pages(group));
    for (const PageRun& run : group) {
      if (run.end() * kPageBytes > memory.size()) {
        return fail(ErrorCode::kInvalid, "the memory of " + path + " is smaller than its trace");
      }
      const ByteSpan bytes = memory.subspan(run.page * kPageBytes, run.count * kPageBytes);
      pages.insert(pages.end(), bytes.begin(), bytes.end());
    }
  }
  ASSIGN_OR_RETURN(StudyFile file, StudyFile::make(path, pages, options));
  AlignedBuffer buffer(largest * kPageBytes);
  std::ranges::fill(buffer.span(), std::byte{0});
  return LoadingSet{std::move(groups), std::move(file), std::move(buffer)};
}

uint64_t StudyServer::pages() const {
  return sets_.at(StudyAhead::kReap).file.bytes() / kPageBytes;
}

Result<StudyRun> StudyServer::serve(const GreetedVmm& vmm, const Way& way) {
  StudyRun run;
  image_.begin(way.shape, way.seed);
  const auto found = sets_.find(way.ahead);
  LoadingSet* const set = found == sets_.end() ? nullptr : &found->second;
  if (set != nullptr) set->file.begin(way.shape, way.seed + 1);
  std::atomic<bool> stop{false};
  uint64_t load_ns = 0;
  Result<void> loaded;
  std::thread loader;
  if (way.ahead == StudyAhead::kReap) TRY(load(*set, vmm.handshake, load_ns, stop));
  if (way.ahead == StudyAhead::kFaasnap) {
    loader = std::thread([&] { loaded = load(*set, vmm.handshake, load_ns, stop); });
  }
  const Result<void> served = serve_faults(vmm, run);
  stop = true;
  if (loader.joinable()) loader.join();
  TRY(served);
  TRY(loaded);
  run.install_ns += load_ns;
  run.image = image_.cost();
  if (set != nullptr) run.compact = set->file.cost();
  return run;
}

Result<void> StudyServer::load(LoadingSet& set, const Handshake& vmm, uint64_t& install_ns,
                               const std::atomic<bool>& stop) {
  uint64_t page = 0;
  for (const PageRuns& group : set.groups) {
    if (stop) return {};
    const uint64_t count = count_pages(group);
    TRY(set.file.read(page, set.buffer.span().first(count * kPageBytes)));
    page += count;
    // One clock for all of the group: one for each run would add to what is measured.
    const StageClock clock(&install_ns);
    const std::byte* source = set.buffer.data();
    for (const PageRun& run : group) {
      TRY(install(vmm, run.page, source, run.count));
      source += run.count * kPageBytes;
    }
  }
  return {};
}

Result<void> StudyServer::serve_faults(const GreetedVmm& vmm, StudyRun& run) {
  const uint64_t base = vmm.handshake.regions[0].address;
  std::array<pollfd, 2> entries{pollfd{vmm.handshake.uffd.fd(), POLLIN, 0},
                                pollfd{vmm.peer.process.pidfd.get(), POLLIN, 0}};
  while (true) {
    const int ready = ::poll(entries.data(), entries.size(), kSilenceMsMax);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(ErrorCode::kUnavailable, "the VMM hangs");
    if (entries[1].revents != 0) return {};
    std::array<UffdEvent, 16> events;
    ASSIGN_OR_RETURN(const size_t count, vmm.handshake.uffd.read_events(events));
    for (size_t i = 0; i < count; ++i) {
      if (events[i].kind != UffdEvent::Kind::kFault) continue;
      ++run.faults;
      const uint64_t page = (events[i].address - base) / kPageBytes;
      TRY(image_.read(page, one_.span()));
      const StageClock clock(&run.install_ns);
      TRY(install(vmm.handshake, page, one_.data(), 1));
    }
  }
}

}  // namespace thaw
