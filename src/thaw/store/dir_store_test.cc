// SPDX-License-Identifier: Apache-2.0
//
// What is particular to DirStore; the rest is in object_store_conformance_test.cc.
#include "thaw/store/dir_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "thaw/sys/file_io.h"
#include "thaw/testing/object_store_conformance.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

class DirStoreTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<DirStore>> store =
        DirStore::create(dir_.file("store"), {.unnamed_files = GetParam()});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  std::string path(const std::string& key) const { return dir_.file("store/" + key); }
  Result<std::vector<PutOutcome>> put(const std::string& key, ByteSpan data) {
    const PutRequest request{key, data};
    return store_->put_if_absent({&request, 1});
  }
  /// Every file and link below the store, dot-files too, as paths from it.
  std::set<std::string> files() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path(""))) {
      if (!entry.is_directory()) found.insert(entry.path().lexically_relative(path("")));
    }
    return found;
  }
  static size_t open_files() {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  }
  template <typename R>
  static ErrorCode code_of(const R& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode::kInterrupted : result.error().code;
  }

  TempDir dir_;
  std::unique_ptr<DirStore> store_;
};

INSTANTIATE_TEST_SUITE_P(All, DirStoreTest, testing::Bool(), [](const auto& param_info) {
  return param_info.param ? "UnnamedFiles" : "DotFiles";
});

TEST_P(DirStoreTest, AnObjectIsAFileAtItsKeyAndPrivate) {
  const Bytes data = sample_bytes(1, 5000);
  ASSERT_TRUE(put("a/b/c", data));
  EXPECT_EQ(*read_file(path("a/b/c"), kMiB), data);
  struct stat status{};
  ASSERT_EQ(::stat(path("a/b/c").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  for (const char* directory : {"", "a", "a/b"}) {
    ASSERT_EQ(::stat(path(directory).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700u) << directory;
  }
  ASSERT_TRUE(store_->replace("a/b/c", data));
  ASSERT_TRUE(put("a/b/c", data));
  EXPECT_EQ(files(), (std::set<std::string>{"a/b/c"}));
}

TEST_P(DirStoreTest, OpenNeedsADirectory) {
  EXPECT_EQ(code_of(DirStore::open(dir_.file("missing"))), ErrorCode::kNotFound);
  ASSERT_TRUE(replace_file(dir_.file("file"), {}, 0600));
  EXPECT_EQ(code_of(DirStore::open(dir_.file("file"))), ErrorCode::kInvalid);
  EXPECT_EQ(code_of(DirStore::create(dir_.file("file"))), ErrorCode::kInvalid);
  ASSERT_TRUE(DirStore::create(dir_.file("x/y/z")));
  const auto opened = DirStore::open(dir_.file("x/y/z"));
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->describe(), "dir:" + dir_.file("x/y/z"));
  EXPECT_TRUE(DirStore::create(dir_.file("x/y/z")));
}

TEST_P(DirStoreTest, ADirectoryAtTheKeyIsAnError) {
  ASSERT_TRUE(put("a/b", {}));
  Bytes out(1);
  EXPECT_EQ(code_of(put("a", out)), ErrorCode::kInvalid);
  EXPECT_EQ(code_of(store_->replace("a", out)), ErrorCode::kInvalid);
  EXPECT_EQ(code_of(store_->get("a", 10)), ErrorCode::kInvalid);
  EXPECT_EQ(code_of(store_->get_into("a", out)), ErrorCode::kInvalid);
  EXPECT_EQ(code_of(store_->exists("a")), ErrorCode::kInvalid);
  EXPECT_EQ(code_of(store_->remove("a")), ErrorCode::kInvalid);
  EXPECT_TRUE(*store_->exists("a/b"));
}

TEST_P(DirStoreTest, AnObjectOnTheWayIsAnError) {
  ASSERT_TRUE(put("a", {}));
  for (const std::string key : {"a/b", "a/b/c", "a/b/c/d"}) {
    const auto outcomes = put(key, {});
    EXPECT_EQ(code_of(outcomes), ErrorCode::kInvalid) << key;
    EXPECT_NE(outcomes.error().message.find(key), std::string::npos) << outcomes.error().message;
    EXPECT_EQ(code_of(store_->replace(key, {})), ErrorCode::kInvalid) << key;
  }
}

TEST_P(DirStoreTest, LinksAndSpecialFilesAreNoObjects) {
  ASSERT_TRUE(replace_file(dir_.file("outside"), as_bytes("outside"), 0600));
  ASSERT_EQ(::symlink("../outside", path("link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", path("dangling").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  for (const std::string key : {"link", "dangling", "fifo"}) {
    Bytes out(7);
    EXPECT_EQ(code_of(put(key, out)), ErrorCode::kInvalid) << key;
    EXPECT_EQ(code_of(store_->replace(key, out)), ErrorCode::kInvalid) << key;
    EXPECT_EQ(code_of(store_->get(key, 10)), ErrorCode::kInvalid) << key;
    EXPECT_EQ(code_of(store_->get_into(key, out)), ErrorCode::kInvalid) << key;
    EXPECT_EQ(code_of(store_->exists(key)), ErrorCode::kInvalid) << key;
  }
  EXPECT_TRUE(list_all(*store_)->empty());
  EXPECT_EQ(as_text(*read_file(dir_.file("outside"), 100)), "outside");
}

TEST_P(DirStoreTest, ListSkipsWhatIsNoKey) {
  ASSERT_TRUE(put("a/b", {}));
  for (const std::string name : {"a/.thaw-tmp-0123", ".hidden", "a/with space", "a/\xff"}) {
    ASSERT_TRUE(replace_file(path(name), {}, 0600));
  }
  ASSERT_TRUE(make_directories(path(".snapshots/x")));
  ASSERT_TRUE(replace_file(path(".snapshots/x/y"), {}, 0600));
  ASSERT_TRUE(make_directories(path("empty/directory")));
  EXPECT_EQ(*list_all(*store_), (std::vector<std::pair<std::string, uint64_t>>{{"a/b", 0}}));
}

TEST_P(DirStoreTest, AStoreThatIsGoneIsNotAnEmptyOne) {
  ASSERT_TRUE(put("a/b", {}));
  ASSERT_EQ(::rename(path("").c_str(), dir_.file("elsewhere").c_str()), 0);
  EXPECT_FALSE(list_all(*store_));
  EXPECT_FALSE(list_all(*store_, "a/"));
  EXPECT_FALSE(put("c", {}));
  EXPECT_FALSE(store_->replace("c", {}));
  EXPECT_FALSE(std::filesystem::exists(path("")));
}

TEST_P(DirStoreTest, ErrorsNameTheObject) {
  if (::geteuid() == 0) {
    // Root is not kept out by modes; a name that the file system cannot hold fails for everybody.
    const std::string key = "dir/" + std::string(300, 'k');
    const auto outcomes = put(key, {});
    ASSERT_FALSE(outcomes);
    EXPECT_NE(outcomes.error().message.find(key), std::string::npos) << outcomes.error().message;
    return;
  }
  ASSERT_TRUE(put("dir/a", {}));
  ASSERT_EQ(::chmod(path("dir").c_str(), 0500), 0);
  const auto outcomes = put("dir/b", {});
  EXPECT_EQ(code_of(outcomes), ErrorCode::kDenied);
  EXPECT_NE(outcomes.error().message.find("dir/b"), std::string::npos) << outcomes.error().message;
  ASSERT_EQ(::chmod(path("dir").c_str(), 0700), 0);
}

TEST_P(DirStoreTest, LeaksNoDescriptorsAndNoFiles) {
  ASSERT_TRUE(put("directory/x", {}));
  const size_t before = open_files();
  const Bytes data = sample_bytes(1, 10'000);
  Bytes out(data.size());
  for (int round = 0; round < 3; ++round) {
    std::vector<std::string> keys;
    for (int i = 0; i < 150; ++i) keys.push_back("leak/" + std::to_string(round * 100 + i));
    std::vector<PutRequest> group;
    for (const std::string& key : keys) group.push_back({key, data});
    EXPECT_TRUE(store_->put_if_absent(group));
    // The error comes when more than a hundred files have been opened.
    for (std::string& key : keys) key += "-new";
    group.clear();
    for (const std::string& key : keys) group.push_back({key, data});
    group[130].key = "directory";
    EXPECT_FALSE(store_->put_if_absent(group));
    EXPECT_TRUE(store_->replace("replaced", data));
    EXPECT_FALSE(store_->replace("directory", data));
    EXPECT_TRUE(store_->get("replaced", kMiB));
    EXPECT_FALSE(store_->get("replaced", 1));
    EXPECT_FALSE(store_->get("directory", 1));
    EXPECT_TRUE(store_->get_into("replaced", out));
    EXPECT_FALSE(store_->get_into("replaced", {}));
    EXPECT_TRUE(list_all(*store_));
    EXPECT_FALSE(store_->list("", [](const std::string&, uint64_t) -> Result<void> {
      return fail(ErrorCode::kInterrupted, "stop");
    }));
  }
  EXPECT_EQ(open_files(), before);
  std::set<std::string> listed;
  const auto found = list_all(*store_);
  ASSERT_TRUE(found) << found.error().message;
  for (const auto& [key, bytes] : *found) listed.insert(key);
  EXPECT_EQ(files(), listed);
}

TEST_P(DirStoreTest, OfRacingProcessesExactlyOneCreatesEachObject) {
  constexpr int kProcesses = 4;
  constexpr size_t kObjects = 200;
  constexpr size_t kGroup = 20;
  const auto key_of = [](size_t i) {
    return "chunks/" + std::to_string(i % 10) + "/" + std::to_string(i);
  };
  int counts[2];
  ASSERT_EQ(::pipe(counts), 0);
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      uint32_t created = 0;
      for (size_t begin = 0; begin < kObjects; begin += kGroup) {
        std::vector<Bytes> contents;
        std::vector<PutRequest> group;
        for (size_t i = begin; i < begin + kGroup; ++i) {
          const size_t object = process % 2 == 0 ? i : kObjects - 1 - i;
          contents.push_back(sample_bytes(object, object * 37));
          group.push_back({key_of(object), {}});
        }
        for (size_t i = 0; i < kGroup; ++i) group[i].data = contents[i];
        const auto outcomes = store_->put_if_absent(group);
        if (!outcomes) ::_exit(1);
        created += static_cast<uint32_t>(
            std::count(outcomes->begin(), outcomes->end(), PutOutcome::kCreated));
      }
      ::_exit(::write(counts[1], &created, sizeof created) == sizeof created ? 0 : 2);
    }
    children.push_back(child);
  }
  uint32_t created = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    uint32_t part = 0;
    ASSERT_EQ(::read(counts[0], &part, sizeof part), static_cast<ssize_t>(sizeof part));
    created += part;
  }
  ::close(counts[0]);
  ::close(counts[1]);
  EXPECT_EQ(created, kObjects);
  EXPECT_EQ(files().size(), kObjects);
  for (size_t i = 0; i < kObjects; ++i) {
    EXPECT_EQ(*store_->get(key_of(i), kMiB), sample_bytes(i, i * 37)) << i;
  }
}

}  // namespace
}  // namespace thaw
