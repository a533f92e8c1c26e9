// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/secret.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "thaw/base/units.h"

namespace {

// What munmap() sees at the moment a secret's memory goes back: SecretBytes unmaps its pages, so
// that nobody could look afterwards.
std::atomic<const void*> watched_memory{nullptr};
std::atomic<size_t> watched_calls{0};
std::atomic<size_t> nonzero_bytes_seen{0};

}  // namespace

// Stands before the C library's munmap for this test program.
extern "C" int munmap(void* memory, size_t size) noexcept {
  if (memory == watched_memory.load() && memory != nullptr) {
    const auto* bytes = static_cast<const unsigned char*>(memory);
    nonzero_bytes_seen += static_cast<size_t>(
        std::count_if(bytes, bytes + size, [](unsigned char byte) { return byte != 0; }));
    ++watched_calls;
  }
  return static_cast<int>(::syscall(SYS_munmap, memory, size));
}

namespace thaw {
namespace {

/// The VmFlags of the mapping that holds `address`.
std::optional<std::set<std::string>> vm_flags_of(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  // SAFETY: only compared as a number.
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      inside = begin <= wanted && wanted < end;
    } else if (inside && line.starts_with("VmFlags:")) {
      std::istringstream words(line.substr(8));
      return std::set<std::string>{std::istream_iterator<std::string>(words), {}};
    }
  }
  return std::nullopt;
}

TEST(SecretBytes, StaysOutOfCoreDumps) {
  for (const size_t size : {size_t{1}, size_t{kPageBytes}, size_t{kPageBytes + 1}}) {
    const SecretBytes secret = SecretBytes::random(size);
    const auto first = vm_flags_of(secret.data());
    const auto last = vm_flags_of(secret.data() + size - 1);
    ASSERT_TRUE(first && last);
    EXPECT_TRUE(first->contains("dd")) << size;
    EXPECT_TRUE(last->contains("dd")) << size;
  }
}

TEST(SecretBytes, IsWipedBeforeItsMemoryGoesBack) {
  const auto freed = [](auto&& end_of_life) {
    watched_calls = 0;
    nonzero_bytes_seen = 0;
    end_of_life();
    watched_memory = nullptr;
    EXPECT_EQ(watched_calls, 1u);
    return nonzero_bytes_seen.load();
  };
  EXPECT_EQ(freed([] {
              const SecretBytes secret = SecretBytes::random(5000);
              watched_memory = secret.data();
            }),
            0u);
  SecretBytes overwritten = SecretBytes::random(5000);
  EXPECT_EQ(freed([&] {
              watched_memory = overwritten.data();
              overwritten = SecretBytes::random(10);
            }),
            0u);
  EXPECT_EQ(overwritten.size(), 10u);
}

TEST(SecretBytes, MovesWithoutACopy) {
  SecretBytes first = SecretBytes::copy_of(as_bytes("secret"));
  const std::byte* const memory = first.data();
  const SecretBytes second = std::move(first);
  EXPECT_EQ(second.data(), memory);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(as_text(second.span()), "secret");
}

TEST(SecretBytes, ComparesContentAndSize) {
  const SecretBytes secret = SecretBytes::copy_of(as_bytes("secret"));
  EXPECT_TRUE(secret.equals(as_bytes("secret")));
  EXPECT_FALSE(secret.equals(as_bytes("secreT")));
  EXPECT_FALSE(secret.equals(as_bytes("secret ")));
  EXPECT_TRUE(SecretBytes().equals({}));
  EXPECT_TRUE(secret.clone().equals(secret.span()));
  EXPECT_NE(secret.clone().data(), secret.data());
}

TEST(SecretBytes, BeginsAsZeros) {
  const SecretBytes secret(5000);
  EXPECT_TRUE(secret.equals(Bytes(5000)));
}

TEST(SecretBytes, RandomIsNotRepeated) {
  EXPECT_FALSE(SecretBytes::random(32).equals(SecretBytes::random(32).span()));
}

TEST(Wipe, LeavesZeros) {
  Bytes bytes(100, std::byte{0xaa});
  wipe(bytes);
  EXPECT_EQ(bytes, Bytes(100));
}

}  // namespace
}  // namespace thaw
