// SPDX-License-Identifier: Apache-2.0
//
// Layouts and diffs from the command line. Recordings are made up and put beside the manifest, as
// `thaw record` would.
#include <sys/mman.h>

#include <set>

#include "thaw/cli/cli_test.h"
#include "thaw/cli/verbs.h"
#include "thaw/crypto/file_key_provider.h"
#include "thaw/store/dir_store.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class CliLayoutTest : public CliTest {
 protected:
  /// Gives the snapshot a working set: every fifth page of its first quarter, from the end to the
  /// front.
  void record(const std::string& name, uint32_t pages = 2048) {
    const auto store_opened = DirStore::open(store());
    ASSERT_TRUE(store_opened);
    Catalog catalog(**store_opened);
    auto loaded = Keyring::load(keyring(), "default");
    ASSERT_TRUE(loaded) << loaded.error().message;
    const FileKeyProvider keys(std::move(*loaded));
    const auto target = catalog.resolve("default", name);
    ASSERT_TRUE(target) << target.error().message;
    WorkingSet set;
    set.manifest = target->manifest;
    set.recordings.emplace_back();
    for (uint32_t page = pages; page-- > 0;) {
      if (page % 5 == 0 && page < pages / 4)
        set.recordings[0].touches.push_back({page, pages - page, false});
    }
    ASSERT_TRUE(put_working_set(catalog, keys, *target, set));
  }

  void expect_export(const std::string& name, const std::string& memory) {
    run_json({"export", name, "--memory", file("exported"), "--overwrite"});
    EXPECT_EQ(text_of(file("exported")), text_of(memory));
  }
};

TEST_F(CliLayoutTest, RelayoutGoesHotAndBackAndSaysWhatSharingCosts) {
  freeze_web();
  ASSERT_EQ(run({"freeze", "twin", "--memory", file("memory"), "--chunk-size", "64KiB"}).exit_code,
            0);
  EXPECT_THAT(expect_error({"relayout", "web"}, 3, "not_found"), HasSubstr("thaw record web"));
  record("web");
  const Json before = run_json({"show", "web"});
  const Json hot = run_json({"relayout", "web", "--layout", "hot"});
  EXPECT_EQ(hot["changed"], true);
  EXPECT_EQ(hot["hot_pages"], 103);
  EXPECT_GT(hot["hot_zero_pages"], 0);
  // The neighbours move too.
  EXPECT_GT(hot["moved_pages"].get<int>(),
            hot["hot_pages"].get<int>() - hot["hot_zero_pages"].get<int>());
  EXPECT_GT(hot["skirt_chunks"], 0);
  EXPECT_EQ(hot["before"]["snapshots"], 1);
  EXPECT_LT(hot["after"]["shared_share"], hot["before"]["shared_share"]);
  EXPECT_GT(hot["shared_with_old_share"], 0.5);
  const Json shown = run_json({"show", "web"});
  EXPECT_EQ(shown["layout"], "hot");
  EXPECT_NE(shown["manifest"], before["manifest"]);
  EXPECT_EQ(shown["annotations"], before["annotations"]);
  expect_export("web", file("memory"));
  EXPECT_EQ(run({"verify", "--all"}).exit_code, 0);

  EXPECT_EQ(run_json({"relayout", "web"})["changed"], false);
  EXPECT_THAT(run({"relayout", "web"}).out, HasSubstr("laid out hot already"));

  const Json linear = run_json({"relayout", "web", "--layout", "linear"});
  EXPECT_EQ(linear["chunks_created"], 0);
  EXPECT_EQ(linear["after"]["shared_share"], hot["before"]["shared_share"]);
  expect_export("web", file("memory"));
  const std::string text = run({"relayout", "web", "--share", "1"}).out;
  EXPECT_THAT(text, HasSubstr("with 1 other snapshot before"));
  EXPECT_THAT(text, HasSubstr("recorded pages"));
  expect_error({"relayout", "web", "--layout", "cold"}, 2, "invalid");
  expect_error({"relayout", "web", "--share", "2"}, 2, "invalid");
}

/// Makes `name` a copy of `source` in which these pages are `fill`, or a diff that has only them.
void write_changed(const std::string& source, const std::string& path,
                   const std::set<size_t>& pages, std::byte fill, bool diff) {
  const Bytes before = *read_file(source, kGiB);
  const Fd fd = *open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(before.size())), 0);
  if (!diff) {
    ASSERT_TRUE(write_all_at(fd.get(), 0, before, path));
  }
  for (const size_t page : pages) {
    ASSERT_TRUE(write_all_at(fd.get(), page * kPageBytes, Bytes(kPageBytes, fill), path));
  }
}

TEST_F(CliLayoutTest, FreezeByAnEarlierRecordingIsHotAtOnce) {
  freeze_web();
  make_image("memory2", 2048, 0, 77);
  const std::vector<std::string> arguments{"freeze",        "next", "--memory",     file("memory2"),
                                           "--working-set", "web",  "--chunk-size", "64KiB"};
  EXPECT_THAT(expect_error(arguments, 3, "not_found"), HasSubstr("thaw record web"));
  record("web");
  run_json(arguments);
  EXPECT_EQ(run_json({"show", "next"})["layout"], "hot");
  expect_export("next", file("memory2"));
  EXPECT_EQ(run_json({"relayout", "next"})["changed"], false);  // it has the recordings too
  make_image("small", 1024, 0, 5);
  EXPECT_THAT(expect_error({"freeze", "small", "--memory", file("small"), "--working-set", "web"},
                           2, "invalid"),
              HasSubstr("same VM size"));
}

TEST_F(CliLayoutTest, ChildrenByDiffAndByFullMemoryAreTheSame) {
  freeze_web();
  record("web");
  run_json({"relayout", "web"});
  const std::set<size_t> pages{0, 3, 5, 24, 100, 2047};
  write_changed(file("memory"), file("diff"), pages, std::byte{7}, true);
  write_changed(file("memory"), file("full"), pages, std::byte{7}, false);
  const std::vector<std::string> vmstate{"--vmstate", file("vmstate")};

  const Json diff = run_json({"freeze", "by-diff", "--parent", "web", "--diff", file("diff"),
                              "--vmstate", file("vmstate")});
  EXPECT_EQ(diff["found_by"], "extents");
  EXPECT_EQ(diff["changed_pages"], 6);
  EXPECT_EQ(diff["working_set"], true);
  const Json full = run_json({"freeze", "by-full", "--parent", "web", "--memory", file("full"),
                              "--vmstate", file("vmstate")});
  EXPECT_EQ(full["found_by"], "comparison");
  EXPECT_EQ(full["changed_pages"], 6);
  EXPECT_EQ(full["chunks_created"], 0);  // those of the diff
  for (const char* name : {"by-diff", "by-full"}) {
    EXPECT_EQ(run_json({"show", name})["layout"], "hot");
    expect_export(name, file("full"));
    run_json({"export", name, "--disk", "root=" + file("root2"), "--overwrite"});
    EXPECT_EQ(text_of(file("root2")), text_of(file("root")));
  }
  // The parent's name may go.
  run_json({"rm", "web"});
  EXPECT_EQ(run({"verify", "--all"}).exit_code, 0);
  EXPECT_THAT(run({"freeze", "grandchild", "--parent", "by-diff", "--memory", file("memory"),
                   "--vmstate", file("vmstate")})
                  .out,
              HasSubstr("which were read for it"));
  expect_export("grandchild", file("memory"));
}

TEST_F(CliLayoutTest, PageDigestsAreKeptWhereTheyAreAskedFor) {
  freeze_web();
  write("digests.toml", "[freeze]\npage_digests = true\nchunk_size = \"64KiB\"\n");
  run_json({"freeze", "first", "--memory", file("memory"), "--config", file("digests.toml")});
  run_json({"freeze", "second", "--memory", file("memory"), "--page-digests"});
  write_changed(file("memory"), file("full"), {9, 50}, std::byte{7}, false);
  for (const std::string parent : {"first", "second"}) {
    const Json child =
        run_json({"freeze", parent + "-child", "--parent", parent, "--memory", file("full")});
    EXPECT_EQ(child["found_by"], "digests");
    EXPECT_EQ(child["changed_pages"], 2);
    EXPECT_EQ(child["page_digests"], true);
    expect_export(parent + "-child", file("full"));
  }
  const Outcome without = run({"freeze", "child", "--parent", "web", "--memory", file("full"),
                               "--vmstate", file("vmstate"), "--page-digests"});
  EXPECT_EQ(without.exit_code, 0);
  EXPECT_THAT(without.err, HasSubstr("page digests were not written"));
  // A rotation takes them along.
  run_json({"key", "rotate"});
  EXPECT_EQ(
      run_json({"freeze", "later", "--parent", "first", "--memory", file("full")})["found_by"],
      "digests");
}

TEST_F(CliLayoutTest, AStoppedProcessIsASource) {
  freeze_web();
  const Bytes before = *read_file(file("memory"), kGiB);
  const Fd fd = *open_file(file("memory"), O_RDWR);
  void* const at = ::mmap(nullptr, before.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  static_cast<char*>(at)[5 * kPageBytes] ^= 1;
  static_cast<char*>(at)[100 * kPageBytes] = 1;
  const pid_t vmm = ::fork();
  ASSERT_GE(vmm, 0);
  if (vmm == 0) {
    for (;;) ::pause();
  }
  const std::string region =
      std::to_string(reinterpret_cast<uint64_t>(at)) + ":" + std::to_string(before.size()) + ":0";
  const Outcome outcome = run({"freeze", "child", "--parent", "web", "--live", std::to_string(vmm),
                               "--region", region, "--vmstate", file("vmstate"), "--json"});
  ::kill(vmm, SIGKILL);
  ::waitpid(vmm, nullptr, 0);
  const Json child = Json::parse(outcome.out, nullptr, false);
  if (outcome.exit_code != 0 && child["error"]["code"] == "unsupported") {
    GTEST_SKIP() << outcome.err;
  }
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(child["changed_pages"], 2);
  EXPECT_EQ(child["tracking"], "2 private copies of file pages");
  write("wanted", std::string_view(static_cast<const char*>(at), before.size()));
  expect_export("child", file("wanted"));
  ::munmap(at, before.size());
}

TEST_F(CliLayoutTest, WhatDoesNotGoTogetherIsRefused) {
  freeze_web();
  const std::string memory = file("memory");
  const auto refused = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"freeze", "child"});
    return expect_error(std::move(arguments), 2, "invalid");
  };
  refused({"--diff", memory});
  refused({"--parent", "web"});
  refused({"--parent", "web", "--diff", memory, "--memory", memory});
  refused({"--parent", "web", "--memory", memory, "--chunk-size", "64KiB"});
  refused({"--parent", "web", "--memory", memory, "--working-set", "web"});
  refused({"--parent", "web", "--memory", memory, "--writer", "firecracker-1.14.2"});
  refused({"--parent", "web", "--live", "1"});
  refused({"--parent", "web", "--diff", memory, "--no-balloon"});
  refused({"--memory", memory, "--no-balloon"});
  refused({"--parent", "web", "--live", "1", "--region", "1:2"});
  EXPECT_THAT(refused({"--parent", "web", "--memory", memory}), HasSubstr("vmstate"));
  EXPECT_THAT(
      expect_error({"freeze", "child", "--parent", "none", "--memory", memory}, 3, "not_found"),
      HasSubstr("parent"));
  run_json({"key", "create", "--tenant", "other"});
  expect_error({"freeze", "child", "--parent", "web", "--memory", memory, "--tenant", "other"}, 3,
               "not_found");
}

TEST_F(CliLayoutTest, PacksAreMadeAndReplaced) {
  freeze_web();
  EXPECT_THAT(expect_error({"pack", "web"}, 3, "not_found"), HasSubstr("thaw record web"));
  record("web");
  const Json reap = run_json({"pack", "web"});
  EXPECT_EQ(reap["kind"], "reap");
  EXPECT_GT(reap["pages"], 0);
  EXPECT_LT(reap["pages"], reap["recorded_pages"]);  // the others are zero
  const Json faasnap = run_json({"pack", "web", "--kind", "faasnap", "--gap", "8"});
  EXPECT_GT(faasnap["pages"], reap["pages"]);
  run_json({"pack", "web", "--kind", "faasnap"});
  EXPECT_EQ(run({"verify", "web"}).exit_code, 0);
}

TEST(Regions, AreThreeNumbers) {
  const auto region = parse_region("0x7f00:4096:0");
  ASSERT_TRUE(region);
  EXPECT_EQ(region->address, 0x7f00u);
  EXPECT_EQ(region->bytes, 4096u);
  EXPECT_EQ(region->offset, 0u);
  for (const char* wrong : {"", "1", "1:2", "1:2:3:4", "1:2:", "x:1:2", "-1:2:3", "1:2:3 "}) {
    EXPECT_EQ(parse_region(wrong).error().code, ErrorCode::kInvalid) << wrong;
  }
}

}  // namespace
}  // namespace thaw
