// SPDX-License-Identifier: Apache-2.0
#include "thaw/bench/plain_reap.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/sys/file_io.h"

namespace thaw {

PlainReap::PlainReap(const std::string& memory_path, const PageTrace& recorded)
    : memory_(*open_file(memory_path, O_RDONLY | O_DIRECT)),
      buffer_(recorded.events.size() * kPageBytes) {
  std::vector<uint64_t> pages;
  for (const TraceEvent& event : recorded.events) pages.push_back(event.page);
  std::ranges::sort(pages);
  CHECK(std::ranges::adjacent_find(pages) == pages.end());  // a trace of first touches
  for (size_t i = 0; i < pages.size(); ++i) {
    const MutableByteSpan place = buffer_.span().subspan(i * kPageBytes, kPageBytes);
    CHECK(read_exact_at(memory_.get(), pages[i] * kPageBytes, place, memory_path));
    if (!runs_.empty() && runs_.back().end() == pages[i]) {
      ++runs_.back().count;
    } else {
      runs_.push_back({pages[i], 1});
    }
  }
  const std::string path = memory_path + ".reap";
  CHECK(replace_file(path, buffer_.span(), 0600));
  compact_ = *open_file(path, O_RDONLY | O_DIRECT);
}

void PlainReap::serve(BenchVmm& vmm) {
  // Not what is left of the round before: every byte comes from the disk. Outside of the page cache
  // and of the VMM's time is only that the first byte is cleared.
  buffer_.data()[0] = std::byte{0};
  CHECK(::pread(compact_.get(), buffer_.data(), buffer_.size(), 0) ==
        static_cast<ssize_t>(buffer_.size()));
  const std::byte* source = buffer_.data();
  for (const PageRun& run : runs_) {
    install(vmm, run.page, source, run.count);
    source += run.count * kPageBytes;
  }
  const uint64_t base = vmm.handshake.regions[0].address;
  std::array<pollfd, 2> entries{pollfd{vmm.handshake.uffd.fd(), POLLIN, 0},
                                pollfd{vmm.peer.process.pidfd.get(), POLLIN, 0}};
  while (true) {
    CHECK(::poll(entries.data(), entries.size(), 60'000) > 0);
    if (entries[1].revents != 0) return;
    std::array<UffdEvent, 16> events;
    const size_t count = *vmm.handshake.uffd.read_events(events);
    for (size_t i = 0; i < count; ++i) {
      CHECK(events[i].kind == UffdEvent::Kind::kFault);
      const uint64_t page = (events[i].address - base) / kPageBytes;
      CHECK(::pread(memory_.get(), one_.data(), kPageBytes,
                    static_cast<off_t>(page * kPageBytes)) == static_cast<ssize_t>(kPageBytes));
      install(vmm, page, one_.data(), 1);
    }
  }
}

void PlainReap::install(const BenchVmm& vmm, uint64_t page, const std::byte* source,
                        uint64_t count) const {
  const uint64_t address = vmm.handshake.regions[0].address + page * kPageBytes;
  const InstallOutcome outcome = vmm.handshake.uffd.copy(address, source, count * kPageBytes);
  if (outcome.status == InstallStatus::kExists) {
    // The guest faulted before its page came with the recorded ones.
    vmm.handshake.uffd.wake(address, kPageBytes);
    return;
  }
  // A guest that needs less than was recorded may come to its end, and unmap its memory, while the
  // rest is installed. That it got every page it waited for is its own report's to say.
  CHECK(outcome.status == InstallStatus::kDone || outcome.status == InstallStatus::kUnmapped ||
        outcome.status == InstallStatus::kGone);
}

}  // namespace thaw
