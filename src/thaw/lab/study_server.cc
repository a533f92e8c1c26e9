// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/study_server.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "thaw/base/bytes.h"
#include "thaw/lab/stage_clock.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr uint64_t kImageBytesMax = uint64_t{1} << 36;
constexpr int kSilenceMsMax = 60'000;

Result<void> install(const GreetedVmm& vmm, uint64_t page, const std::byte* source,
                     uint64_t count) {
  const uint64_t address = vmm.handshake.regions[0].address + page * kPageBytes;
  const InstallOutcome outcome = vmm.handshake.uffd.copy(address, source, count * kPageBytes);
  switch (outcome.status) {
    case InstallStatus::kExists:
      // The guest faulted before its page came with the recorded ones.
      vmm.handshake.uffd.wake(address, kPageBytes);
      return {};
    case InstallStatus::kDone:
    // A guest that needs less than was recorded may come to its end, and unmap its memory, while
    // the rest is installed. That it got every page it waited for is its own report's to say.
    case InstallStatus::kUnmapped:
    case InstallStatus::kGone:
      return {};
    default:
      return fail_errno("cannot install page " + std::to_string(page), outcome.error_number);
  }
}

}  // namespace

Result<StudyServer> StudyServer::make(const StudyServerOptions& options,
                                      const PageTrace& recorded) {
  ASSIGN_OR_RETURN(const Bytes image, read_file(options.image_path, kImageBytesMax));
  std::vector<uint64_t> pages;
  for (const TraceEvent& event : recorded.events) pages.push_back(event.page);
  std::ranges::sort(pages);
  // A trace may have a page again, where it was written after it was read.
  pages.erase(std::ranges::unique(pages).begin(), pages.end());
  std::vector<PageRun> runs;
  AlignedBuffer buffer(pages.size() * kPageBytes);
  for (size_t i = 0; i < pages.size(); ++i) {
    if ((pages[i] + 1) * kPageBytes > image.size()) {
      return fail(ErrorCode::kInvalid, options.image_path + " is smaller than its trace");
    }
    std::copy_n(image.data() + pages[i] * kPageBytes, kPageBytes, buffer.data() + i * kPageBytes);
    if (!runs.empty() && runs.back().end() == pages[i]) {
      ++runs.back().count;
    } else {
      runs.push_back({pages[i], 1});
    }
  }
  const bool as_it_is = !options.file.encrypted && options.file.chunk_bytes == 0;
  ASSIGN_OR_RETURN(StudyFile whole, as_it_is ? StudyFile::open_plain(options.image_path)
                                             : StudyFile::make(options.working_path + ".image",
                                                               image, options.file));
  ASSIGN_OR_RETURN(StudyFile compact,
                   StudyFile::make(options.working_path + ".reap", buffer.span(), options.file));
  return StudyServer(std::move(whole), std::move(compact), std::move(runs), std::move(buffer));
}

Result<StudyRun> StudyServer::serve(GreetedVmm& vmm, const Way& way) {
  image_.begin(way.shape, way.seed);
  compact_.begin(way.shape, way.seed + 1);
  StudyRun run;
  if (way.reap) TRY(install_recorded(vmm, run));
  TRY(serve_faults(vmm, run));
  run.image = image_.cost();
  run.compact = compact_.cost();
  return run;
}

Result<void> StudyServer::install_recorded(const GreetedVmm& vmm, StudyRun& run) {
  TRY(compact_.read(0, buffer_.span()));
  // One clock for all: one for each run would add to what is measured.
  const StageClock clock(run.install_ns);
  const std::byte* source = buffer_.data();
  for (const PageRun& each : runs_) {
    TRY(install(vmm, each.page, source, each.count));
    source += each.count * kPageBytes;
  }
  return {};
}

Result<void> StudyServer::serve_faults(GreetedVmm& vmm, StudyRun& run) {
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
      const StageClock clock(run.install_ns);
      TRY(install(vmm, page, one_.data(), 1));
    }
  }
}

}  // namespace thaw
