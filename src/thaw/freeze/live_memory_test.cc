// SPDX-License-Identifier: Apache-2.0
//
// Child processes that hold a memory as VMMs do, stopped while it is frozen.
#include "thaw/freeze/live_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>

#include "thaw/sys/uffd.h"
#include "thaw/testing/layout_fixture.h"

namespace thaw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr size_t kPages = 64;
constexpr size_t kBytes = kPages * kPageBytes;
constexpr uint64_t kFeatureWpAsync = 1 << 15;  // Linux 6.7

void put_page(std::byte* memory, size_t page, PageTag tag) {
  const Bytes bytes = page_of(tag);
  std::memcpy(memory + page * kPageBytes, bytes.data(), bytes.size());
}

/// A forked process that has changed the memory at `memory`, which it inherited, and waits.
class StoppedVmm {
 public:
  /// Exits with code 77 if `change` returns false: the machine lacks what it needs.
  explicit StoppedVmm(const std::function<bool()>& change) {
    int ends[2];
    CHECK(::pipe(ends) == 0);
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      const char answer = change() ? 'y' : 'n';
      CHECK(::write(ends[1], &answer, 1) == 1);
      for (;;) ::pause();
    }
    char answer = 0;
    CHECK(::read(ends[0], &answer, 1) == 1);
    ready_ = answer == 'y';
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~StoppedVmm() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  bool ready() const { return ready_; }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

class LiveMemoryTest : public testing::Test {
 protected:
  LiveMemoryTest() : fixture_(store_), tags_(busy_pages(kPages)) {
    for (size_t i = 40; i < 50; ++i) tags_[i] = kHolePage;
    write_image(path_, tags_);
    if (!PageScanner::open(::getpid())) return;
    supported_ = true;
    FreezeOptions options;
    options.chunk_bytes = kChunkBytesMin;
    EXPECT_TRUE(fixture_.freeze_paths("base", {path_, "", {}}, options));
  }
  void SetUp() override {
    if (!supported_) GTEST_SKIP() << "this kernel has no PAGEMAP_SCAN";
  }

  std::byte* map(int flags, bool file) {
    const Fd fd = *open_file(path_, O_RDWR);
    void* const at =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags, file ? fd.get() : -1, 0);
    CHECK(at != MAP_FAILED);
    return static_cast<std::byte*>(at);
  }
  static uint64_t address(const std::byte* memory) { return reinterpret_cast<uint64_t>(memory); }

  /// Freezes the stopped process as a child of "base" and compares it with `tags_`.
  void expect_child(const LiveMemory& memory) {
    const Manifest base = fixture_.load("base");
    const auto child = fixture_.freeze_child_of(
        "child", "base", base,
        {&memory, PageRuns(memory.data_runs().begin(), memory.data_runs().end()), false}, {}, {});
    ASSERT_TRUE(child) << child.error().message;
    write_image(directory_.file("wanted"), tags_);
    EXPECT_EQ(fixture_.bytes_of(fixture_.load("child"), ImageKind::kMemory),
              whole_file(directory_.file("wanted")));
  }

  TempDir directory_{"/dev/shm"};
  const std::string path_ = directory_.file("memory");
  MemoryStore store_;
  LayoutFixture fixture_;
  std::vector<PageTag> tags_;
  bool supported_ = false;
};

TEST_F(LiveMemoryTest, OfAPrivateFileOnlyTheCopiesCanDiffer) {
  std::byte* const memory = map(MAP_PRIVATE, true);
  const StoppedVmm vmm([&] {
    volatile std::byte sum{};
    for (size_t page = 0; page < kPages; page += 2) sum = sum | memory[page * kPageBytes];  // read
    put_page(memory, 3, 200);
    put_page(memory, 4, kZeroPage);
    put_page(memory, 45, 201);      // was a hole
    put_page(memory, 7, tags_[7]);  // written with what it was
    return true;
  });
  tags_[3] = 200;
  tags_[4] = kZeroPage;
  tags_[45] = 201;
  const auto live = LiveMemory::open(vmm.pid(), {{address(memory), kBytes, 0}}, kBytes);
  ASSERT_TRUE(live) << live.error().message;
  EXPECT_THAT((*live)->data_runs(), ElementsAre(PageRun{3, 2}, PageRun{7, 1}, PageRun{45, 1}));
  EXPECT_EQ((*live)->tracking().private_copies, 4u);
  EXPECT_THAT((*live)->tracking().describe(), HasSubstr("4 private copies"));
  expect_child(**live);
  ::munmap(memory, kBytes);
}

TEST_F(LiveMemoryTest, AnonymousAndSharedMemoryIsComparedInWhole) {
  for (const int flags : {MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS}) {
    std::byte* const memory = map(flags, false);
    const StoppedVmm vmm([&] {
      for (size_t page = 0; page < kPages; ++page) {
        if (tags_[page] > kZeroPage) put_page(memory, page, page == 9 ? 99 : tags_[page]);
      }
      return true;
    });
    tags_[9] = 99;
    const auto live = LiveMemory::open(vmm.pid(), {{address(memory), kBytes, 0}}, kBytes);
    ASSERT_TRUE(live) << live.error().message;
    EXPECT_EQ((*live)->tracking().untracked, kPages);
    if ((flags & MAP_PRIVATE) != 0) expect_child(**live);
    ::munmap(memory, kBytes);
  }
}

TEST_F(LiveMemoryTest, WhatUserfaultMemoryNeverFaultedInIsUnchanged) {
  std::byte* const memory = map(MAP_PRIVATE | MAP_ANONYMOUS, false);
  const auto install = [&](const Uffd& uffd, size_t page, PageTag tag) {
    // Aligned, as the kernel wants its source.
    alignas(kPageBytes) static std::byte source[kPageBytes];
    const Bytes bytes = page_of(tag);
    std::memcpy(source, bytes.data(), bytes.size());
    return uffd.copy(address(memory) + page * kPageBytes, source, kPageBytes).status ==
           InstallStatus::kDone;
  };
  const StoppedVmm vmm([&] {
    static Result<Uffd> uffd = Uffd::create(0);
    if (!uffd || !uffd->register_missing(address(memory), kBytes)) return false;
    if (!install(*uffd, 10, tags_[10]) || !install(*uffd, 11, tags_[11])) return false;
    put_page(memory, 11, 98);
    return true;
  });
  if (!vmm.ready()) GTEST_SKIP() << "userfaultfd is not to be had here";
  tags_[11] = 98;
  const auto refused = LiveMemory::open(vmm.pid(), {{address(memory), kBytes, 0}}, kBytes);
  ASSERT_FALSE(refused);  // or they were given back
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("--no-balloon"));
  const auto live = LiveMemory::open(vmm.pid(), {{address(memory), kBytes, 0}}, kBytes, true);
  ASSERT_TRUE(live) << live.error().message;
  EXPECT_THAT((*live)->data_runs(), ElementsAre(PageRun{10, 2}));
  EXPECT_EQ((*live)->tracking().present, 2u);
  expect_child(**live);
  ::munmap(memory, kBytes);
}

TEST_F(LiveMemoryTest, WriteTrackingNamesThePagesThatWereWritten) {
  std::byte* const memory = map(MAP_PRIVATE | MAP_ANONYMOUS, false);
  const StoppedVmm vmm([&] {
    for (size_t page = 0; page < kPages; ++page) put_page(memory, page, tags_[page]);
    const int fd = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
    uffdio_api api{UFFD_API, kFeatureWpAsync, 0};
    if (fd < 0 || ::ioctl(fd, UFFDIO_API, &api) != 0) return false;
    uffdio_register reg{{address(memory), kBytes}, UFFDIO_REGISTER_MODE_WP, 0};
    uffdio_writeprotect protect{{address(memory), kBytes}, UFFDIO_WRITEPROTECT_MODE_WP};
    if (::ioctl(fd, UFFDIO_REGISTER, &reg) != 0) return false;
    if (::ioctl(fd, UFFDIO_WRITEPROTECT, &protect) != 0) return false;
    put_page(memory, 20, 97);
    put_page(memory, 21, kZeroPage);
    return true;
  });
  if (!vmm.ready()) GTEST_SKIP() << "asynchronous write protection is not to be had here";
  tags_[20] = 97;
  tags_[21] = kZeroPage;
  const auto live = LiveMemory::open(vmm.pid(), {{address(memory), kBytes, 0}}, kBytes);
  ASSERT_TRUE(live) << live.error().message;
  EXPECT_THAT((*live)->data_runs(), ElementsAre(PageRun{20, 2}));
  EXPECT_EQ((*live)->tracking().written, 2u);
  expect_child(**live);
  ::munmap(memory, kBytes);
}

TEST_F(LiveMemoryTest, RegionsAreJoinedByTheirOffsets) {
  std::byte* const memory = map(MAP_PRIVATE, true);
  const StoppedVmm vmm([&] {
    put_page(memory, 31, 90);
    put_page(memory, 32, 91);
    return true;
  });
  tags_[31] = 90;
  tags_[32] = 91;
  const uint64_t half = kBytes / 2;
  const auto live = LiveMemory::open(
      vmm.pid(), {{address(memory) + half, half, half}, {address(memory), half, 0}}, kBytes);
  ASSERT_TRUE(live) << live.error().message;
  expect_child(**live);
  // Both halves swapped: another memory.
  const auto swapped = LiveMemory::open(
      vmm.pid(), {{address(memory) + half, half, 0}, {address(memory), half, half}}, kBytes);
  ASSERT_TRUE(swapped);
  EXPECT_THAT((*swapped)->data_runs(), ElementsAre(PageRun{0, 1}, PageRun{63, 1}));
  ::munmap(memory, kBytes);
}

TEST_F(LiveMemoryTest, AProcessThatGoesOnIsNoticed) {
  std::byte* const memory = map(MAP_PRIVATE, true);
  Result<std::unique_ptr<LiveMemory>> live =
      LiveMemory::open(::getpid(), {{address(memory), kBytes, 0}}, kBytes);
  ASSERT_TRUE(live) << live.error().message;
  EXPECT_TRUE((*live)->check_unchanged());
  put_page(memory, 5, 9);
  const auto changed = (*live)->check_unchanged();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(changed.error().message, HasSubstr("pause"));
  ::munmap(memory, kBytes);
  EXPECT_FALSE((*live)->check_unchanged());
  Bytes page(kPageBytes);
  EXPECT_FALSE((*live)->read_pages({0, 1}, page));
}

TEST_F(LiveMemoryTest, WrongRegionsAreRefused) {
  std::byte* const memory = map(MAP_PRIVATE, true);
  const uint64_t at = address(memory);
  const auto refused = [&](std::vector<LiveRegion> regions) {
    const auto live = LiveMemory::open(::getpid(), std::move(regions), kBytes);
    return !live && live.error().code == ErrorCode::kInvalid;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({{at, kBytes / 2, 0}}));
  EXPECT_TRUE(refused({{at, kBytes, kPageBytes}}));
  EXPECT_TRUE(refused({{at, kBytes, 0}, {at, kBytes, 0}}));
  EXPECT_TRUE(refused({{at + 1, kBytes, 0}}));
  EXPECT_TRUE(refused({{at, kBytes * 2, 0}}));
  EXPECT_TRUE(refused({{0, kBytes, 0}}));  // nothing is mapped there
  const StoppedVmm vmm([] { return true; });
  const pid_t nobody = 0x3fffffff;
  EXPECT_EQ(LiveMemory::open(nobody, {{at, kBytes, 0}}, kBytes).error().code, ErrorCode::kNotFound);
  ::munmap(memory, kBytes);
}

}  // namespace
}  // namespace thaw
