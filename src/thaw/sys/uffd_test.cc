// SPDX-License-Identifier: Apache-2.0
//
// The kernel's answers, folded: what each install tells the page server. The memory is this
// process's own; nothing touches a missing page while nobody serves it.
#include "thaw/sys/uffd.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <csignal>
#include <cstring>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr uint64_t kPages = 16;
constexpr uint64_t kBytes = kPages * kPageBytes;

class UffdTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<Uffd> uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE);
    if (!uffd) GTEST_SKIP() << uffd.error().message;
    uffd_ = std::move(*uffd);
    void* memory =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    memory_ = static_cast<std::byte*>(memory);
    ASSERT_TRUE(uffd_.register_missing(address(0), kBytes));
  }
  void TearDown() override {
    if (memory_ != nullptr) ::munmap(memory_, kBytes);
  }
  uint64_t address(uint64_t page) const {
    // SAFETY: the kernel's interface takes addresses as numbers.
    return reinterpret_cast<uint64_t>(memory_) + page * kPageBytes;
  }
  std::byte first_byte(uint64_t page) const { return memory_[page * kPageBytes]; }

  Uffd uffd_;
  std::byte* memory_ = nullptr;
  const Bytes data_ = Bytes(kBytes, std::byte{0x5a});
};

TEST_F(UffdTest, CopyAndZeroInstallWholeRuns) {
  EXPECT_EQ(uffd_.copy(address(0), data_.data(), 4 * kPageBytes).status, InstallStatus::kDone);
  EXPECT_EQ(uffd_.zero(address(4), 12 * kPageBytes).status, InstallStatus::kDone);
  EXPECT_EQ(first_byte(3), std::byte{0x5a});
  EXPECT_EQ(first_byte(4), std::byte{0});
}

TEST_F(UffdTest, WhatIsPresentExists) {
  ASSERT_EQ(uffd_.copy(address(2), data_.data(), kPageBytes).status, InstallStatus::kDone);
  EXPECT_EQ(uffd_.copy(address(2), data_.data(), kPageBytes).status, InstallStatus::kExists);
  // A run that meets a present page is installed up to it.
  const InstallOutcome partial = uffd_.copy(address(0), data_.data(), 4 * kPageBytes);
  EXPECT_EQ(partial.status, InstallStatus::kPartial);
  EXPECT_EQ(partial.installed_bytes, 2 * kPageBytes);
}

TEST_F(UffdTest, UnregisteredMemoryIsUnmapped) {
  ASSERT_TRUE(uffd_.unregister(address(0), kBytes));
  EXPECT_EQ(uffd_.copy(address(0), data_.data(), kPageBytes).status, InstallStatus::kUnmapped);
}

TEST_F(UffdTest, ARemovalWaitsForItsReaderAndHoldsUpInstalls) {
  ASSERT_EQ(uffd_.copy(address(0), data_.data(), kBytes).status, InstallStatus::kDone);
  std::thread guest([this] { ::madvise(memory_, 2 * kPageBytes, MADV_DONTNEED); });
  std::array<UffdEvent, 4> events;
  InstallOutcome while_waiting;
  size_t count = 0;
  // Until the event is queued installs answer EEXIST (the page is there), then EAGAIN.
  do {
    while_waiting = uffd_.copy(address(8), data_.data(), kPageBytes);
  } while (while_waiting.status == InstallStatus::kExists);
  EXPECT_EQ(while_waiting.status, InstallStatus::kAgain);
  while (count == 0) count = *uffd_.read_events(events);
  EXPECT_EQ(events[0].kind, UffdEvent::Kind::kRemove);
  EXPECT_EQ(events[0].address, address(0));
  EXPECT_EQ(events[0].end, address(2));
  guest.join();
}

TEST_F(UffdTest, FaultsAreReadWithTheirAddress) {
  std::byte seen{};
  std::thread guest([this, &seen] { seen = first_byte(5); });
  std::array<UffdEvent, 4> events;
  size_t count = 0;
  while (count == 0) count = *uffd_.read_events(events);
  EXPECT_EQ(events[0].kind, UffdEvent::Kind::kFault);
  EXPECT_EQ(events[0].address / kPageBytes, address(5) / kPageBytes);
  EXPECT_FALSE(events[0].write);
  EXPECT_EQ(uffd_.copy(address(5), data_.data(), kPageBytes).status, InstallStatus::kDone);
  guest.join();
  EXPECT_EQ(seen, std::byte{0x5a});
}

TEST_F(UffdTest, FaultsTellTheirThreadWhereItWasAskedFor) {
  for (const uint64_t feature : {uint64_t{0}, uint64_t{UFFD_FEATURE_THREAD_ID}}) {
    if ((Uffd::kernel_features() & feature) != feature) GTEST_SKIP() << "no THREAD_ID here";
    ASSERT_TRUE(uffd_.unregister(address(0), kBytes));
    uffd_ = *Uffd::create(feature);
    ASSERT_TRUE(uffd_.register_missing(address(0), kBytes));
    const uint64_t page = feature == 0 ? 3 : 4;
    uint32_t thread_id = 0;
    std::byte seen{};
    std::thread guest([&] {
      thread_id = static_cast<uint32_t>(::gettid());
      seen = first_byte(page);
    });
    std::array<UffdEvent, 4> events;
    size_t count = 0;
    while (count == 0) count = *uffd_.read_events(events);
    EXPECT_EQ(uffd_.copy(address(page), data_.data(), kPageBytes).status, InstallStatus::kDone);
    guest.join();
    EXPECT_EQ(seen, std::byte{0x5a});
    EXPECT_EQ(events[0].thread_id, feature == 0 ? 0 : thread_id);
  }
}

TEST_F(UffdTest, APoisonedPageCannotBeRead) {
  const InstallOutcome poisoned = uffd_.poison(address(1), kPageBytes);
  if (poisoned.status == InstallStatus::kFailed) GTEST_SKIP() << "this kernel has no UFFDIO_POISON";
  ASSERT_EQ(poisoned.status, InstallStatus::kDone);
  const auto read_it = [this] {
    ::signal(SIGBUS, SIG_DFL);  // a sanitizer would turn the signal into an exit
    static_cast<void>(*static_cast<volatile const std::byte*>(memory_ + kPageBytes));
  };
  EXPECT_EXIT(read_it(), testing::KilledBySignal(SIGBUS), "");
}

TEST_F(UffdTest, TheKernelTellsItsFeatures) {
  EXPECT_NE(Uffd::kernel_features() & UFFD_FEATURE_EVENT_REMOVE, 0u);
}

}  // namespace
}  // namespace thaw
