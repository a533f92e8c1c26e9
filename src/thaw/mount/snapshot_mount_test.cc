// SPDX-License-Identifier: Apache-2.0
//
// What the files of a mount hold, and what may not be done to them.
#include "thaw/mount/snapshot_mount.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "thaw/base/units.h"
#include "thaw/mount/mounted_store_test.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

SnapshotFixtureOptions with_disks() {
  SnapshotFixtureOptions options;
  options.name = "web";
  options.memory_pages = 3000;
  options.disks = {{"root", 2'000'001}, {"data.1", 4096}, {"empty", 0}};
  return options;
}

std::string file_name(const Image& image) {
  return (image.kind == ImageKind::kDisk ? "web/disks/" : "web/") + image.name;
}

struct Shape {
  Layout layout;
  uint32_t chunk_bytes;
  double zero_share;
};

class SnapshotMountContent : public testing::TestWithParam<Shape> {};

TEST_P(SnapshotMountContent, EveryFileIsTheOracle) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  SnapshotFixtureOptions options = with_disks();
  options.layout = GetParam().layout;
  options.chunk_bytes = GetParam().chunk_bytes;
  options.zero_share = GetParam().zero_share;
  const SnapshotFixture fixture = make_snapshot(mounted.store, options);
  std::mt19937_64 random(1);
  for (size_t i = 0; i < fixture.oracles.size(); ++i) {
    const Image& image = fixture.manifest.images[i];
    const Bytes& oracle = fixture.oracles[i];
    const TestFile file(mounted.file(file_name(image)));
    const struct stat status = file.status();
    EXPECT_EQ(static_cast<uint64_t>(status.st_size), oracle.size());
    EXPECT_EQ(static_cast<uint64_t>(status.st_blocks), image.map.data_pages() * 8);
    EXPECT_EQ(status.st_mode, S_IFREG | 0600u);
    EXPECT_EQ(status.st_uid, ::geteuid());
    EXPECT_TRUE(same(file.read_all(), oracle)) << image.name;
    file.drop_cache();
    for (int round = 0; round < 100; ++round) {
      const uint64_t offset = random() % (oracle.size() + 100);
      const size_t count = random() % (round % 2 == 0 ? 300 : 300'000);
      const Bytes got = file.read(offset, count);
      const size_t there =
          offset < oracle.size() ? std::min<size_t>(count, oracle.size() - offset) : 0;
      ASSERT_TRUE(same(got, ByteSpan(oracle).subspan(std::min(offset, oracle.size()), there)))
          << image.name << " " << offset << " " << count;
    }
  }
}

TEST_P(SnapshotMountContent, HolesAreTheOraclesZeroPages) {
  SKIP_WITHOUT_FUSE();
  MountedStore mounted;
  SnapshotFixtureOptions options = with_disks();
  options.layout = GetParam().layout;
  options.chunk_bytes = GetParam().chunk_bytes;
  options.zero_share = GetParam().zero_share;
  const SnapshotFixture fixture = make_snapshot(mounted.store, options);
  for (size_t i = 0; i < fixture.oracles.size(); ++i) {
    const Bytes& oracle = fixture.oracles[i];
    // What a file that was written with holes for zero pages would tell.
    std::vector<DataExtent> expected;
    for (uint64_t offset = 0; offset < oracle.size(); offset += kPageBytes) {
      const ByteSpan page =
          ByteSpan(oracle).subspan(offset, std::min<size_t>(kPageBytes, oracle.size() - offset));
      if (std::all_of(page.begin(), page.end(), [](std::byte b) { return b == std::byte{0}; })) {
        continue;
      }
      if (!expected.empty() && expected.back().offset + expected.back().bytes == offset) {
        expected.back().bytes += page.size();
      } else {
        expected.push_back({offset, page.size()});
      }
    }
    const TestFile file(mounted.file(file_name(fixture.manifest.images[i])));
    const auto found = data_extents(file.fd(), oracle.size(), "image");
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), expected.size());
    for (size_t k = 0; k < expected.size(); ++k) {
      EXPECT_EQ((*found)[k].offset, expected[k].offset);
      EXPECT_EQ((*found)[k].bytes, expected[k].bytes);
    }
    const off_t size = static_cast<off_t>(oracle.size());
    EXPECT_EQ(::lseek(file.fd(), size, SEEK_DATA), -1);
    EXPECT_EQ(errno, ENXIO);
    EXPECT_EQ(::lseek(file.fd(), size, SEEK_HOLE), -1);
    EXPECT_EQ(errno, ENXIO);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SnapshotMountContent,
                         testing::Values(Shape{Layout::kLinear, 512 << 10, 0.6},
                                         Shape{Layout::kHot, 64 << 10, 0.6},
                                         Shape{Layout::kHot, 16 << 10, 0.0},
                                         Shape{Layout::kLinear, 4 << 20, 1.0}));

class SnapshotMountFiles : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_FUSE();
    mount_with(MountedStore::quick());
  }
  void mount_with(const MountOptions& options) {
    mounted_ = std::make_unique<MountedStore>(options);
    fixture_ = std::make_unique<SnapshotFixture>(make_snapshot(mounted_->store, with_disks()));
  }
  const Bytes& memory() const { return fixture_->oracle(ImageKind::kMemory); }
  std::string memory_path() const { return mounted_->file("web/memory"); }

  std::unique_ptr<MountedStore> mounted_;
  std::unique_ptr<SnapshotFixture> fixture_;
};

TEST_F(SnapshotMountFiles, APrivateMappingIsTheImageAndItsStoresStayInIt) {
  for (const bool isolate : {false, true}) {
    MountOptions options = MountedStore::quick();
    options.isolate_writers = isolate;
    mounted_.reset();
    mount_with(options);
    const TestFile file(memory_path(), O_RDWR);  // as QEMU opens it
    const TestMapping guest(file, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    const TestMapping sibling(file, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    ASSERT_FALSE(guest.bytes().empty());
    EXPECT_TRUE(same(guest.bytes(), memory()));
    for (size_t at = 0; at < memory().size(); at += 3 * kPageBytes) {
      guest.bytes()[at] ^= std::byte{0xff};
    }
    EXPECT_TRUE(same(sibling.bytes(), memory()));
    EXPECT_TRUE(same(file.read_all(), memory()));
    EXPECT_EQ(guest.bytes()[0], memory()[0] ^ std::byte{0xff});
  }
}

TEST_F(SnapshotMountFiles, EightReadersAtOnce) {
  const TestFile file(memory_path());
  std::vector<std::thread> readers;
  for (unsigned seed = 0; seed < 8; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      const TestFile own(memory_path());
      for (int round = 0; round < 60; ++round) {
        const size_t count = random() % 200'000;
        const uint64_t offset = random() % (memory().size() - count);
        const ByteSpan expected = ByteSpan(memory()).subspan(offset, count);
        EXPECT_TRUE(same(own.read(offset, count), expected));
        if (round % 8 == 0) own.drop_cache();
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(mounted_->mount->counters().read_errors, 0u);
}

TEST_F(SnapshotMountFiles, EightMappingsAtOnce) {
  std::vector<std::thread> readers;
  for (unsigned seed = 0; seed < 8; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      const TestFile file(memory_path(), O_RDWR);
      const TestMapping guest(file, PROT_READ | PROT_WRITE, MAP_PRIVATE);
      for (int round = 0; round < 300; ++round) {
        const uint64_t offset = random() % (memory().size() / kPageBytes) * kPageBytes;
        const MutableByteSpan page = guest.bytes().subspan(offset, kPageBytes);
        if (page[0] == static_cast<std::byte>(seed)) continue;  // written before, perhaps
        EXPECT_TRUE(same(page, ByteSpan(memory()).subspan(offset, kPageBytes)));
        page[0] = static_cast<std::byte>(seed);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_TRUE(same(TestFile(memory_path()).read_all(), memory()));
}

TEST_F(SnapshotMountFiles, OpeningKeepsThePageCache) {
  const TestMapping first(TestFile(memory_path()), PROT_READ, MAP_SHARED | MAP_LOCKED);
  EXPECT_TRUE(same(first.bytes(), memory()));
  const uint64_t before = mounted_->mount->counters().reads;
  EXPECT_TRUE(same(TestFile(memory_path()).read_all(), memory()));
  EXPECT_TRUE(same(TestFile(memory_path(), O_RDWR).read_all(), memory()));
  EXPECT_EQ(mounted_->mount->counters().reads, before);
}

TEST_F(SnapshotMountFiles, WhateverWouldChangeSomethingIsRefused) {
  const std::string file = memory_path();
  const std::string directory = mounted_->file("web");
  const std::string fresh = directory + "/fresh";
  const char* const root = mounted_->path().c_str();
  const TestFile open_file(file, O_RDWR);
  const auto refused = [](int outcome) {
    return outcome < 0 && (errno == EROFS || errno == EPERM);
  };
  EXPECT_TRUE(refused(static_cast<int>(::pwrite(open_file.fd(), "x", 1, 0))));
  EXPECT_TRUE(refused(static_cast<int>(::pwrite(open_file.fd(), "x", 1, 1 << 30))));
  EXPECT_TRUE(refused(::ftruncate(open_file.fd(), 0)));
  EXPECT_TRUE(refused(::fallocate(open_file.fd(), 0, 0, 1 << 30)));
  EXPECT_TRUE(
      refused(::fallocate(open_file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)));
  EXPECT_TRUE(refused(::fchmod(open_file.fd(), 0644)));
  EXPECT_TRUE(refused(::fchown(open_file.fd(), 1, 1)));
  EXPECT_TRUE(refused(::futimens(open_file.fd(), nullptr)));
  EXPECT_TRUE(refused(::open(file.c_str(), O_WRONLY)));
  EXPECT_TRUE(refused(::open(file.c_str(), O_RDWR | O_TRUNC)));
  EXPECT_TRUE(refused(::truncate(file.c_str(), 1)));
  EXPECT_TRUE(refused(::chmod(directory.c_str(), 0777)));
  EXPECT_TRUE(refused(::unlink(file.c_str())));
  EXPECT_TRUE(refused(::rmdir(mounted_->file("web/disks").c_str())));
  EXPECT_TRUE(refused(::rmdir(directory.c_str())));
  EXPECT_TRUE(refused(::open(fresh.c_str(), O_RDWR | O_CREAT, 0600)));
  EXPECT_TRUE(refused(::mkdir(mounted_->file("fresh").c_str(), 0700)));
  EXPECT_TRUE(refused(::mknod(fresh.c_str(), S_IFIFO | 0600, 0)));
  EXPECT_TRUE(refused(::symlink("x", fresh.c_str())));
  EXPECT_TRUE(refused(::link(file.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(::rename(file.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(::rename(directory.c_str(), mounted_->file("fresh").c_str())));
  char value[8];
  EXPECT_EQ(::setxattr(file.c_str(), "user.x", "y", 1, 0), -1);
  EXPECT_EQ(::getxattr(file.c_str(), "user.x", value, sizeof value), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  struct statvfs status{};
  EXPECT_EQ(::statvfs(root, &status), 0);
  EXPECT_EQ(status.f_bfree, 0u);
  EXPECT_EQ(status.f_namemax, 128u);
  open_file.drop_cache();
  EXPECT_TRUE(same(open_file.read_all(), memory()));
}

TEST_F(SnapshotMountFiles, AStoreThroughASharedMappingDoesNotLast) {
  testing::internal::CaptureStderr();
  const TestFile file(memory_path(), O_RDWR);
  {
    const TestMapping shared(file, PROT_READ | PROT_WRITE, MAP_SHARED);
    ASSERT_FALSE(shared.bytes().empty());
    for (size_t page = 0; page < 50; ++page) {
      shared.bytes()[page * 7 * kPageBytes] ^= std::byte{0xff};
    }
    EXPECT_EQ(::msync(shared.bytes().data(), shared.bytes().size(), MS_SYNC), -1);
    EXPECT_EQ(errno, EROFS);
  }
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!same(file.read_all(), memory())) {
    ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "the store is still to be seen";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_GE(mounted_->mount->counters().refused_stores, 1u);
  mounted_->stop();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("a process wrote to web/memory"),
            std::string::npos);
}

TEST_F(SnapshotMountFiles, IsolatedWritersCannotMapShared) {
  MountOptions options = MountedStore::quick();
  options.isolate_writers = true;
  mounted_.reset();
  mount_with(options);
  const TestFile file(memory_path(), O_RDWR);
  const TestMapping shared(file, PROT_READ | PROT_WRITE, MAP_SHARED);
  EXPECT_EQ(errno, ENODEV);
  EXPECT_TRUE(shared.bytes().empty());
  EXPECT_EQ(::pwrite(file.fd(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_TRUE(same(file.read_all(), memory()));
}

TEST_F(SnapshotMountFiles, TheReadaheadIsSet) {
  MountOptions options = MountedStore::quick();
  options.readahead_kb = 768;
  mounted_.reset();
  mount_with(options);
  const dev_t device = *mounted_device(mounted_->path());
  const std::string setting = "/sys/class/bdi/" + std::to_string(major(device)) + ":" +
                              std::to_string(minor(device)) + "/read_ahead_kb";
  if (::access(setting.c_str(), W_OK) != 0) GTEST_SKIP() << "/sys is not writable here";
  // Set once the server runs, so not at once.
  std::string value;
  for (int i = 0; i < 2000 && value != "768\n"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::ifstream file(setting);
    value.assign(std::istreambuf_iterator<char>(file), {});
  }
  EXPECT_EQ(value, "768\n");
}

TEST_F(SnapshotMountFiles, ListingsTellWhatIsThere) {
  const auto list = [&](const std::string& name) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(mounted_->path() + name)) {
      found.push_back(entry.path().filename());
      // A listing and a look at the file must agree on what it is.
      EXPECT_EQ(entry.is_directory(), std::filesystem::is_directory(entry.path()));
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  EXPECT_EQ(list(""), std::vector<std::string>{"web"});
  EXPECT_EQ(list("/web"), (std::vector<std::string>{"disks", "memory", "vmstate"}));
  EXPECT_EQ(list("/web/disks"), (std::vector<std::string>{"data.1", "empty", "root"}));
  for (const char* missing : {"web/disk", "web/disks/none", "web/memory2", "none", ".hidden"}) {
    struct stat status{};
    EXPECT_EQ(::stat(mounted_->file(missing).c_str(), &status), -1);
    EXPECT_EQ(errno, ENOENT) << missing;
  }
}

TEST_F(SnapshotMountFiles, AListingLongerThanOneReply) {
  for (int i = 0; i < 700; ++i) {
    const std::string name = "n" + std::to_string(i) + std::string(100, 'x');
    ASSERT_TRUE(mounted_->catalog.rebind(fixture_->options.tenant, name, fixture_->target));
  }
  const std::filesystem::directory_iterator entries(mounted_->path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 701);
}

}  // namespace
}  // namespace thaw
