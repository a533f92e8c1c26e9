// SPDX-License-Identifier: Apache-2.0
//
// GuestMemory over memory of this process. Whether a page is present is asked of the kernel
// (mincore), so nothing here can hang on a missing page.
#include "thaw/resume/guest_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

namespace thaw {
namespace {

constexpr uint64_t kPages = 24;
constexpr uint64_t kFirstRegion = 10;  // pages of the image in the first of two regions

class GuestMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<Uffd> uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE);
    if (!uffd) GTEST_SKIP() << uffd.error().message;
    // The image's two parts with a page between them that belongs to nobody.
    void* memory = ::mmap(nullptr, (kPages + 1) * kPageBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    base_ = static_cast<std::byte*>(memory);
    std::vector<MemoryRegion> regions{
        {address_of(0), kFirstRegion * kPageBytes, 0, kPageBytes},
        {address_of(kFirstRegion), (kPages - kFirstRegion) * kPageBytes, kFirstRegion * kPageBytes,
         kPageBytes}};
    for (const MemoryRegion& region : regions) {
      ASSERT_TRUE(uffd->register_missing(region.address, region.bytes));
    }
    memory_.emplace(std::move(*uffd), RegionMap(std::move(regions)), kPages);
    for (uint64_t page = 0; page < kPages; ++page) {
      plain_.insert(plain_.end(), kPageBytes, static_cast<std::byte>(page + 1));
    }
  }
  void TearDown() override {
    memory_.reset();
    if (base_ != nullptr) ::munmap(base_, (kPages + 1) * kPageBytes);
  }

  std::byte* pointer_to(uint64_t page) const {
    return base_ + (page + (page >= kFirstRegion ? 1 : 0)) * kPageBytes;
  }
  // SAFETY: the kernel's interface takes addresses as numbers.
  uint64_t address_of(uint64_t page) const { return reinterpret_cast<uint64_t>(pointer_to(page)); }

  // One character a page: 'd' the image's, 'z' zeros, '?' anything else, '.' missing.
  std::string content() const {
    std::string text;
    for (uint64_t page = 0; page < kPages; ++page) {
      unsigned char resident = 0;
      if (::mincore(pointer_to(page), kPageBytes, &resident) != 0 || (resident & 1) == 0) {
        text += '.';
      } else {
        const std::byte first = *pointer_to(page);
        text += first == static_cast<std::byte>(page + 1) ? 'd' : first == std::byte{0} ? 'z' : '?';
      }
    }
    return text;
  }

  std::byte* base_ = nullptr;
  Bytes plain_;
  std::optional<GuestMemory> memory_;
};

TEST_F(GuestMemoryTest, ARunCrossesRegions) {
  EXPECT_EQ(memory_->place({0, kPages}, plain_.data()).placed, Placed::kDone);
  EXPECT_EQ(content(), std::string(kPages, 'd'));
  EXPECT_EQ(memory_->pages_present(), kPages);
}

TEST_F(GuestMemoryTest, PresentAndRemovedPagesAreLeftOut) {
  ASSERT_EQ(memory_->place_zero({4, 2}).placed, Placed::kDone);
  memory_->remove(address_of(12), address_of(12) + 3 * kPageBytes);
  ASSERT_EQ(memory_->place({0, kPages}, plain_.data()).placed, Placed::kDone);
  EXPECT_EQ(content(), "ddddzzdddddd...ddddddddd");
  EXPECT_TRUE(memory_->is_removed(13));
  ASSERT_EQ(memory_->place_faulting(13, plain_.data()).placed, Placed::kDone);
  EXPECT_EQ(content(), "ddddzzdddddd.z.ddddddddd");
}

// What another thread installed without our knowing, in the middle of a run.
TEST_F(GuestMemoryTest, AnInstallThatMeetsAPresentPageGoesOnBehindIt) {
  ASSERT_EQ(memory_->uffd().zero(address_of(5), kPageBytes).status, InstallStatus::kDone);
  ASSERT_EQ(memory_->place({0, kPages}, plain_.data()).placed, Placed::kDone);
  EXPECT_EQ(content(), "dddddzdddddddddddddddddd");
  EXPECT_EQ(memory_->counters().already_present, 1u);
}

// The kernel refuses a range with a hole as a whole; the pages on both sides are installed all the
// same, because a guest thread may wait for one.
TEST_F(GuestMemoryTest, PagesBesideAHoleAreInstalled) {
  ASSERT_EQ(::munmap(pointer_to(7), kPageBytes), 0);
  ASSERT_EQ(::munmap(pointer_to(15), 2 * kPageBytes), 0);
  ASSERT_EQ(memory_->place({0, kPages}, plain_.data()).placed, Placed::kDone);
  EXPECT_EQ(content(), "ddddddd.ddddddd..ddddddd");
  EXPECT_EQ(memory_->counters().unmapped, 3u);
  EXPECT_FALSE(memory_->is_present(7));
}

TEST_F(GuestMemoryTest, ZerosBesideAHoleAreInstalled) {
  ASSERT_EQ(::munmap(pointer_to(7), kPageBytes), 0);
  ASSERT_EQ(memory_->place_zero({0, kPages}).placed, Placed::kDone);
  EXPECT_EQ(content(), "zzzzzzz.zzzzzzzzzzzzzzzz");
}

TEST_F(GuestMemoryTest, AFaultOnAPresentPageIsDone) {
  ASSERT_EQ(memory_->place_faulting(3, plain_.data() + 3 * kPageBytes).placed, Placed::kDone);
  ASSERT_EQ(memory_->place_faulting(3, plain_.data() + 3 * kPageBytes).placed, Placed::kDone);
  EXPECT_EQ(content(), "...d....................");
}

}  // namespace
}  // namespace thaw
