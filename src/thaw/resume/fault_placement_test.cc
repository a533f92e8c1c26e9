// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/fault_placement.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <latch>
#include <thread>

namespace thaw {
namespace {

TEST(CoreOfStat, ReadsField39WhateverTheProgramIsCalled) {
  const std::string after_name =
      " S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 100 4096 10 18446744073709551615 1 1 0 0 0 0 "
      "0 "
      "0 0 0 0 0 17 7 0 0 0 0 0 0\n";
  EXPECT_EQ(core_of_stat("42 (vmm)" + after_name), 7u);
  EXPECT_EQ(core_of_stat("42 (a) b (c) R 1)" + after_name), 7u);
  for (const char* wrong : {"", "42", "42 (vmm", "42 (vmm) S 1 2 3", ") ", "42 (vmm) "}) {
    EXPECT_FALSE(core_of_stat(wrong)) << wrong;
  }
}

TEST(PlacementOptions, DecideByWhatIsGiven) {
  PlacementOptions options;
  EXPECT_EQ(options.decided(), CorePolicy::kFollow);
  EXPECT_TRUE(options.cores_of_workers().empty());
  options.cores = {0};
  EXPECT_EQ(options.decided(), CorePolicy::kCores);
  EXPECT_EQ(options.cores_of_workers(), CoreSet::allowed().without({0}));
  options.placement = CorePolicy::kFollow;
  EXPECT_EQ(options.cores_of_workers(), CoreSet::allowed().without({0}));
  options.placement = CorePolicy::kNone;
  EXPECT_TRUE(options.cores_of_workers().empty());
  options.placement = CorePolicy::kCores;
  EXPECT_TRUE(options.validate());
  options.cores = {};
  EXPECT_FALSE(options.validate());
}

// Runs `body` on a thread of its own, so that where it goes stays without effect on other tests.
template <typename Body>
void on_own_thread(Body&& body) {
  std::thread(std::forward<Body>(body)).join();
}

TEST(FaultPlacement, KeepsToItsCores) {
  on_own_thread([] {
    const unsigned core = CoreSet::allowed().cores().back();
    FaultPlacement placement({.cores = {core}}, ::getpid());
    placement.start();
    placement.fault(static_cast<uint32_t>(::gettid()));
    EXPECT_EQ(CoreSet::allowed(), CoreSet{core});
    EXPECT_EQ(placement.moves(), 0u);
  });
}

TEST(FaultPlacement, NoneLeavesTheThreadAlone) {
  on_own_thread([] {
    const CoreSet before = CoreSet::allowed();
    FaultPlacement placement({.placement = CorePolicy::kNone, .cores = {before.cores().front()}},
                             ::getpid());
    placement.start();
    placement.fault(static_cast<uint32_t>(::gettid()));
    EXPECT_EQ(CoreSet::allowed(), before);
  });
}

TEST(FaultPlacement, FollowsTheFaultingThread) {
  const CoreSet cores = CoreSet::allowed();
  if (cores.cores().size() < 2) GTEST_SKIP() << "needs two cores";
  // Threads that sit still on one core each, as faulting vCPUs do.
  struct Guest {
    explicit Guest(unsigned core) {
      thread = std::thread([this, core] {
        EXPECT_TRUE(CoreSet{core}.confine_this_thread());
        id = static_cast<uint32_t>(::gettid());
        ready.count_down();
        done.wait();
      });
      ready.wait();
    }
    ~Guest() {
      done.count_down();
      thread.join();
    }
    uint32_t id = 0;
    std::latch ready{1};
    std::latch done{1};
    std::thread thread;
  };
  Guest first(cores.cores()[0]);
  Guest second(cores.cores()[1]);
  on_own_thread([&] {
    FaultPlacement placement({.placement = CorePolicy::kFollow}, ::getpid());
    placement.start();
    EXPECT_EQ(CoreSet::allowed(), cores);
    placement.fault(first.id);
    EXPECT_EQ(CoreSet::allowed(), CoreSet{cores.cores()[0]});
    // Another thread is looked at, but not at its first fault: two that take turns must not cost a
    // system call each.
    placement.fault(second.id);
    EXPECT_EQ(CoreSet::allowed(), CoreSet{cores.cores()[0]});
    for (uint32_t i = 1; i < FaultPlacement::kLookFaultsMin; ++i) placement.fault(second.id);
    EXPECT_EQ(CoreSet::allowed(), CoreSet{cores.cores()[1]});
    EXPECT_EQ(placement.moves(), 2u);
    for (int i = 0; i < 10'000; ++i) placement.fault(second.id);
    EXPECT_EQ(placement.moves(), 2u);
    for (int i = 0; i < 10'000; ++i) placement.fault(i % 2 == 0 ? first.id : second.id);
    EXPECT_LE(placement.moves(), 2 + 10'000 / FaultPlacement::kLookFaultsMin);
    EXPECT_TRUE(placement.follows());
  });
}

TEST(FaultPlacement, FallsBackWhereItCannotFollow) {
  const CoreSet allowed = CoreSet::allowed();
  const CoreSet last{allowed.cores().back()};
  for (const uint32_t unknown : {0u, 0x7fffffffu}) {
    for (const CoreSet& cores : {CoreSet(), last}) {
      for (const bool followed_before : {false, true}) {
        on_own_thread([&] {
          FaultPlacement placement({.placement = CorePolicy::kFollow, .cores = cores}, ::getpid());
          placement.start();
          if (followed_before) placement.fault(static_cast<uint32_t>(::gettid()));
          for (uint32_t i = 0; i <= FaultPlacement::kLookFaultsMin; ++i) placement.fault(unknown);
          EXPECT_FALSE(placement.follows());
          EXPECT_EQ(CoreSet::allowed(), cores.empty() ? allowed : cores);
          placement.fault(static_cast<uint32_t>(::gettid()));
          EXPECT_FALSE(placement.follows());
        });
      }
    }
  }
}

}  // namespace
}  // namespace thaw
