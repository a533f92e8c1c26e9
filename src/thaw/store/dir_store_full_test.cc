// SPDX-License-Identifier: Apache-2.0
//
// A full file system at every possible point of a put: blocks or inodes run out on a small tmpfs,
// and blocks on a small ext4, whose directories and late allocation can fail too.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>

#include "thaw/store/dir_store.h"
#include "thaw/testing/object_store_conformance.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

class DirStoreFullTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    // In a mount namespace of our own, so that nothing stays mounted whatever happens.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "a mount namespace is not permitted: " << std::strerror(errno);
    }
  }
  void TearDown() override { unmount(); }
  /// False where mounting is not permitted.
  bool mount_tmpfs(const std::string& options) {
    unmount();
    mounted_ =
        ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, ("mode=0700," + options).c_str()) == 0;
    return mounted_;
  }
  void unmount() {
    store_.reset();
    if (mounted_) {
      EXPECT_EQ(::umount2(dir_.path().c_str(), 0), 0) << std::strerror(errno);
    }
    mounted_ = false;
  }
  static size_t open_files() {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  }
  void open_store(const std::string& path) {
    Result<std::unique_ptr<DirStore>> store = DirStore::open(path, {.unnamed_files = GetParam()});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  /// Objects of 0 to 3 pages in several directories.
  static std::vector<std::string> keys(const std::string& prefix) {
    std::vector<std::string> made;
    for (const char* rest : {"a", "b/x", "b/y", "c/d/e", "c/d/f", "g", "h/i"}) {
      made.push_back(prefix + rest);
    }
    return made;
  }
  static Bytes content_of(const std::string& key) {
    const uint64_t seed = std::hash<std::string>()(key);
    return sample_bytes(seed, seed % (3 * kPageBytes));
  }
  /// Puts a group; if the store is full, checks the error. Either way what is visible is whole and
  /// nothing else is there. True if the group was put.
  bool put_and_check(const std::vector<std::string>& group_keys) {
    std::vector<Bytes> contents;
    std::vector<PutRequest> group;
    for (const std::string& key : group_keys) contents.push_back(content_of(key));
    for (size_t i = 0; i < contents.size(); ++i) group.push_back({group_keys[i], contents[i]});
    const size_t before = open_files();
    const auto outcomes = store_->put_if_absent(group);
    EXPECT_EQ(open_files(), before);
    if (!outcomes) check_error(outcomes.error(), group_keys);
    check_contents();
    return outcomes.has_value();
  }
  static void check_error(const Error& error, const std::vector<std::string>& group_keys) {
    EXPECT_EQ(error.code, ErrorCode::kExhausted) << error.message;
    bool named = false;
    for (const std::string& key : group_keys) named |= error.message.find(key) != std::string::npos;
    EXPECT_TRUE(named) << error.message;
  }
  void check_contents() {
    const auto listed = list_all(*store_);
    ASSERT_TRUE(listed) << listed.error().message;
    std::set<std::string> visible;
    for (const auto& [key, bytes] : *listed) {
      visible.insert(key);
      ASSERT_EQ(*store_->get(key, kMiB), content_of(key)) << key;
    }
    const std::string root = store_->describe().substr(std::strlen("dir:"));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (entry.is_directory()) continue;
      EXPECT_TRUE(visible.contains(entry.path().lexically_relative(root))) << entry;
    }
  }

  TempDir dir_;
  bool mounted_ = false;
  std::unique_ptr<DirStore> store_;
};

INSTANTIATE_TEST_SUITE_P(All, DirStoreFullTest, testing::Bool(), [](const auto& param_info) {
  return param_info.param ? "UnnamedFiles" : "DotFiles";
});

TEST_P(DirStoreFullTest, BlocksRunOutAnywhere) {
  int full = 0;
  bool fits = false;
  for (size_t pages = 1; pages < 60 && !fits; ++pages) {
    if (!mount_tmpfs("size=" + std::to_string(pages * kPageBytes))) {
      GTEST_SKIP() << "mounting a tmpfs is not permitted: " << std::strerror(errno);
    }
    open_store(dir_.path());
    fits = put_and_check(keys("one/"));
    full += fits ? 0 : 1;
    // The unfinished files gave their blocks back: one page is free for the smallest of objects.
    struct statvfs space{};
    ASSERT_EQ(::statvfs(dir_.path().c_str(), &space), 0);
    uint64_t used_pages = 0;
    const auto listed = list_all(*store_);
    ASSERT_TRUE(listed) << listed.error().message;
    for (const auto& [key, bytes] : *listed) used_pages += pages_for(bytes);
    EXPECT_EQ(space.f_blocks - space.f_bfree, used_pages) << pages;
  }
  EXPECT_TRUE(fits);
  EXPECT_GE(full, 5);
}

TEST_P(DirStoreFullTest, InodesRunOutAnywhere) {
  int full = 0;
  bool fits = false;
  for (int inodes = 2; inodes < 60 && !fits; ++inodes) {
    if (!mount_tmpfs("size=1m,nr_inodes=" + std::to_string(inodes))) {
      GTEST_SKIP() << "mounting a tmpfs is not permitted: " << std::strerror(errno);
    }
    open_store(dir_.path());
    fits = put_and_check(keys("one/two/"));
    full += fits ? 0 : 1;
  }
  EXPECT_TRUE(fits);
  EXPECT_GE(full, 10);
}

TEST_P(DirStoreFullTest, AFullReplaceKeepsTheOldBytes) {
  if (!mount_tmpfs("size=" + std::to_string(8 * kPageBytes))) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted: " << std::strerror(errno);
  }
  open_store(dir_.path());
  const Bytes old_bytes = sample_bytes(1, 3 * kPageBytes);
  ASSERT_TRUE(store_->replace("name", old_bytes));
  const size_t before = open_files();
  for (const size_t pages : {6u, 7u, 100u}) {
    const auto replaced = store_->replace("name", sample_bytes(2, pages * kPageBytes));
    ASSERT_FALSE(replaced);
    check_error(replaced.error(), {"name"});
    EXPECT_EQ(*store_->get("name", kMiB), old_bytes);
    EXPECT_EQ(list_all(*store_)->size(), 1u);
  }
  EXPECT_EQ(open_files(), before);
  const Bytes new_bytes = sample_bytes(3, 5 * kPageBytes);
  ASSERT_TRUE(store_->replace("name", new_bytes));
  EXPECT_EQ(*store_->get("name", kMiB), new_bytes);
}

TEST_P(DirStoreFullTest, FillsADiskAgainAndAgain) {
  const std::string image = dir_.file("image");
  const std::string root = dir_.file("mount");
  ASSERT_TRUE(std::filesystem::create_directory(root));
  const std::string make = "truncate -s 4M '" + image + "' && mkfs.ext4 -q -b 1024 -m 0 '" + image +
                           "' >/dev/null 2>&1 && mount -o loop '" + image + "' '" + root +
                           "' >/dev/null 2>&1";
  if (std::system(make.c_str()) != 0) GTEST_SKIP() << "cannot mount an ext4 image here";
  open_store(root);
  // Each round begins with a little more room than the last, so that it ends somewhere else.
  size_t group = 0;
  int full = 0;
  for (int round = 0; round < 12; ++round) {
    bool fits = true;
    for (int i = 0; i < 1000 && fits; ++i) {
      fits = put_and_check(keys(std::to_string(group % 5) + "/" + std::to_string(group) + "/"));
      ++group;
    }
    EXPECT_FALSE(fits);
    full += fits ? 0 : 1;
    int removed = 0;
    const auto listed = list_all(*store_);
    ASSERT_TRUE(listed) << listed.error().message;
    for (const auto& [key, bytes] : *listed) {
      if (removed++ > 4 + round) break;
      ASSERT_TRUE(store_->remove(key));
    }
  }
  EXPECT_EQ(full, 12);
  store_.reset();
  EXPECT_EQ(std::system(("umount '" + root + "'").c_str()), 0);
}

}  // namespace
}  // namespace thaw
