// SPDX-License-Identifier: Apache-2.0
//
// Layouts and diffs from the command line. Recordings are made up and put beside the manifest, as
// `thaw record` would.
#include "thaw/cli/cli_test.h"
#include "thaw/crypto/file_key_provider.h"
#include "thaw/store/dir_store.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class CliLayoutTest : public CliTest {
 protected:
  /// Gives the snapshot a working set: every fifth page, from the end to the front.
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
      if (page % 5 == 0) set.recordings[0].touches.push_back({page, pages - page, false});
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
  EXPECT_EQ(hot["hot_pages"], 410);
  EXPECT_GT(hot["hot_zero_pages"], 0);
  EXPECT_EQ(hot["moved_pages"].get<int>(),
            hot["hot_pages"].get<int>() - hot["hot_zero_pages"].get<int>());
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

}  // namespace
}  // namespace thaw
