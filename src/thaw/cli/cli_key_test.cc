// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <filesystem>

#include "thaw/cli/cli_test.h"

namespace thaw {
namespace {

using testing::HasSubstr;

size_t manifest_count(const std::string& store) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(store + "/0000000000000001/manifests")) {
    ++count;
  }
  return count;
}

TEST_F(CliTest, AKeyIsMadeOnce) {
  const Json made = run_json({"key", "create", "--tenant", "acme"});
  EXPECT_EQ(made["tenant"], "acme");
  EXPECT_EQ(made["active_key"], 1);
  expect_error({"key", "create", "--tenant", "acme"}, 4, "exists");
  ASSERT_EQ(run({"key", "create", "--tenant", "beta"}).exit_code, 0);
  const Json listed = run_json({"key", "list"});
  ASSERT_EQ(listed["tenants"].size(), 2u);
  EXPECT_EQ(listed["tenants"][0]["tenant"], "acme");
  EXPECT_EQ(listed["tenants"][1]["keys"], 1);
  EXPECT_THAT(run({"key", "list"}).out, HasSubstr("RETIRED"));
}

TEST_F(CliTest, RotationRewrapsEveryManifestAndTheContentStays) {
  freeze_web();
  ASSERT_EQ(run({"freeze", "twin", "--memory", file("memory")}).exit_code, 0);
  const std::string before = run_json({"show", "web"})["manifest"];
  const Json rotated = run_json({"key", "rotate"});
  EXPECT_EQ(rotated["active_key"], 2);
  EXPECT_EQ(rotated["manifests_rewrapped"], 2);
  EXPECT_EQ(rotated["names_rebound"], 2);
  EXPECT_NE(run_json({"show", "web"})["manifest"], before);
  EXPECT_EQ(manifest_count(store()), 2u);  // the old ones are gone
  EXPECT_EQ(run_json({"key", "rotate", "--rewrap-only"})["manifests_current"], 2);

  EXPECT_EQ(run_json({"key", "drop-retired"})["keys_dropped"], 1);
  run_json({"verify", "--all"});
  run_json({"export", "web", "--memory", file("m"), "--vmstate", file("v")});
  EXPECT_EQ(text_of(file("m")), text_of(file("memory")));
  EXPECT_EQ(text_of(file("v")), text_of(file("vmstate")));
  // The domain's secret has stayed: the same content is the same chunks.
  EXPECT_EQ(run_json({"freeze", "again", "--memory", file("memory")})["chunks_created"], 0);
}

TEST_F(CliTest, DropRetiredIsRefusedWhileAManifestNeedsTheKey) {
  freeze_web();
  Variables without_store = environment_;
  without_store.erase("THAW_STORE");
  const Outcome rotated = run_in(without_store, {"key", "rotate", "--json"});
  EXPECT_EQ(rotated.exit_code, 0);
  EXPECT_THAT(rotated.err, HasSubstr("no manifest was rewrapped"));
  EXPECT_EQ(rotated.json()["active_key"], 2);
  run_json({"verify", "web"});  // a retired key still opens

  EXPECT_THAT(expect_error({"key", "drop-retired"}, 2, "invalid"), HasSubstr("\"web\""));
  EXPECT_EQ(run_in(without_store, {"key", "drop-retired"}).exit_code, 2);
  EXPECT_EQ(run_in(without_store, {"key", "rotate", "--rewrap-only"}).exit_code, 2);
  run_json({"verify", "web"});
  EXPECT_EQ(run_json({"key", "rotate", "--rewrap-only"})["manifests_rewrapped"], 1);
  EXPECT_EQ(run_json({"key", "drop-retired"})["keys_dropped"], 1);
  run_json({"verify", "web"});
}

TEST_F(CliTest, RotationDoesWhatItCanAndSaysWhatItCouldNot) {
  freeze_web();
  ASSERT_EQ(run({"freeze", "twin", "--memory", file("memory")}).exit_code, 0);
  const std::string id = run_json({"show", "twin"})["manifest"];
  ASSERT_TRUE(replace_file(store() + "/0000000000000001/manifests/" + id, as_bytes("rot"), 0600));
  const Outcome outcome = run({"key", "rotate", "--json"});
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_EQ(outcome.json()["manifests_rewrapped"], 1);
  EXPECT_EQ(outcome.json()["manifests_failed"], 1);
  EXPECT_THAT(outcome.err, HasSubstr("\"twin\""));
  run_json({"verify", "web"});
  expect_error({"key", "drop-retired"}, 5, "corrupt");
}

TEST_F(CliTest, RotationNeedsTheKeyAndTheStore) {
  ASSERT_EQ(run({"init"}).exit_code, 0);
  expect_error({"key", "rotate", "--tenant", "nobody"}, 3, "not_found");
  expect_error({"key", "rotate", "--store", "dir:" + file("nowhere")}, 3, "not_found");
  EXPECT_EQ(run_json({"key", "list"})["tenants"][0]["active_key"], 1);  // nothing was begun
}

}  // namespace
}  // namespace thaw
