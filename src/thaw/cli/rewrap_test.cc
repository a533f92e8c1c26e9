// SPDX-License-Identifier: Apache-2.0
//
// A rotation meets a store that fails at every one of its calls in turn: whatever was done by then,
// every name stays readable, and doing it again completes it.
#include "thaw/cli/rewrap.h"

#include <gtest/gtest.h>

#include "thaw/cli/workspace.h"
#include "thaw/crypto/file_key_provider.h"
#include "thaw/crypto/keyring.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/testing/faulty_store.h"
#include "thaw/testing/freeze_fixture.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

const Recording kRecording{{{2, 0, true}, {0, 17, false}}};
const std::vector<std::string> kNames{"a", "b", "b-alias", "c"};

/// Three manifests under four names, frozen under a key that is retired by now.
class RewrapTest : public testing::Test {
 protected:
  struct Rotated {
    TempDir dir;
    MemoryStore memory;
    FaultyStore store{memory};
    Catalog catalog{store};
    std::unique_ptr<KeyProvider> old_keys;
    std::unique_ptr<KeyProvider> keys;
  };

  static std::unique_ptr<KeyProvider> load(const Rotated& at) {
    return std::make_unique<FileKeyProvider>(Keyring::load(at.dir.file("keys"), "test").value());
  }

  static std::unique_ptr<Rotated> rotated() {
    auto at = std::make_unique<Rotated>();
    Keyring keyring = Keyring::create(at->dir.file("keys"), "test").value();
    at->old_keys = load(*at);
    CHECK(at->catalog.initialise());
    for (const char* name : {"a", "b", "c"}) {
      write_image(at->dir.file(name), {static_cast<PageTag>(name[0]), kHolePage, 7});
      SourcePaths paths;
      paths.memory = at->dir.file(name);
      const auto images = open_sources(paths).value();
      Progress progress;
      CHECK(
          freeze(at->catalog, *at->old_keys, name, images, FreezeOptions{.threads = 1}, progress));
    }
    const NameTarget b = at->catalog.resolve("test", "b").value();
    CHECK(put_working_set(at->catalog, *at->old_keys, b, {b.manifest, {kRecording}, {}}));
    CHECK(at->catalog.bind_new("test", "b-alias", at->catalog.resolve("test", "b").value()));
    CHECK(keyring.rotate());
    at->keys = load(*at);
    return at;
  }

  static size_t objects(const Rotated& at, const std::string& part) {
    size_t count = 0;
    CHECK(at.memory.list("0000000000000001/" + part + "/", [&](const std::string&, uint64_t) {
      ++count;
      return Result<void>();
    }));
    return count;
  }

  static void expect_all_readable(const Rotated& at) {
    for (const std::string& name : kNames) {
      const auto snapshot = open_snapshot(at.catalog, *at.keys, name);
      ASSERT_TRUE(snapshot) << name << ": " << snapshot.error().message;
      const auto set = open_working_set(at.catalog, *at.keys, snapshot->target, 3);
      ASSERT_TRUE(set) << name << ": " << set.error().message;
      EXPECT_EQ(set->has_value(), name.starts_with("b")) << name;
      if (*set) {
        EXPECT_EQ((*set)->recordings, std::vector{kRecording});
      }
    }
  }
};

TEST_F(RewrapTest, PutsEveryManifestUnderTheNewKey) {
  const auto at = rotated();
  EXPECT_EQ(names_to_rewrap(at->catalog, *at->keys).value(), kNames);
  const RewrapReport report = rewrap_tenant(at->catalog, *at->keys).value();
  EXPECT_EQ(report.rewrapped, 3u);
  EXPECT_EQ(report.rebound, 4u);
  EXPECT_TRUE(report.failures.empty());
  EXPECT_EQ(objects(*at, "manifests"), 3u);
  EXPECT_EQ(objects(*at, "working_sets"), 1u);
  EXPECT_TRUE(names_to_rewrap(at->catalog, *at->keys).value().empty());
  EXPECT_EQ(at->catalog.resolve("test", "b").value(),
            at->catalog.resolve("test", "b-alias").value());
  expect_all_readable(*at);
  // The old key alone opens nothing any more: the harness can tell the two.
  EXPECT_EQ(open_snapshot(at->catalog, *at->old_keys, "a").error().code, ErrorCode::kDenied);
  EXPECT_EQ(rewrap_tenant(at->catalog, *at->keys).value().current, 3u);
}

TEST_F(RewrapTest, ADamagedWorkingSetIsDroppedAndReportedOnce) {
  const auto at = rotated();
  const NameTarget b = at->catalog.resolve("test", "b").value();
  flip_bit(at->memory, working_set_key(b.root_id, b.manifest), 100);
  const RewrapReport report = rewrap_tenant(at->catalog, *at->keys).value();
  EXPECT_EQ(report.rewrapped, 3u);
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_NE(report.failures[0].message.find("\"b\""), std::string::npos)
      << report.failures[0].message;
  EXPECT_NE(report.failures[0].message.find("record it anew"), std::string::npos);
  EXPECT_EQ(objects(*at, "working_sets"), 0u);
  EXPECT_TRUE(rewrap_tenant(at->catalog, *at->keys).value().failures.empty());
  EXPECT_TRUE(open_snapshot(at->catalog, *at->keys, "b"));
}

TEST_F(RewrapTest, SurvivesTheLossOfTheStoreAtEveryCall) {
  uint64_t calls = 0;
  {
    const auto at = rotated();
    const uint64_t before = at->store.counts().total_calls();
    ASSERT_TRUE(rewrap_tenant(at->catalog, *at->keys));
    calls = at->store.counts().total_calls() - before;
  }
  ASSERT_GT(calls, 20u);
  for (uint64_t n = 0; n < calls; ++n) {
    SCOPED_TRACE(n);
    const auto at = rotated();
    at->store.set_plan({.fail_nth = n, .fail_from_then_on = true});
    const auto report = rewrap_tenant(at->catalog, *at->keys);
    EXPECT_TRUE(!report || !report->failures.empty());
    at->store.set_plan({});
    expect_all_readable(*at);
    const RewrapReport again = rewrap_tenant(at->catalog, *at->keys).value();
    EXPECT_TRUE(again.failures.empty());
    EXPECT_TRUE(names_to_rewrap(at->catalog, *at->keys).value().empty());
    expect_all_readable(*at);
  }
}

TEST_F(RewrapTest, SurvivesErrorsAndLostAnswers) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const auto at = rotated();
    at->store.set_plan({.seed = seed, .error_rate = 0.1, .lost_answer_rate = 0.2});
    SCOPED_TRACE(at->store.describe());
    static_cast<void>(rewrap_tenant(at->catalog, *at->keys));
    at->store.set_plan({});
    expect_all_readable(*at);
    EXPECT_TRUE(rewrap_tenant(at->catalog, *at->keys).value().failures.empty());
    EXPECT_TRUE(names_to_rewrap(at->catalog, *at->keys).value().empty());
    expect_all_readable(*at);
  }
}

}  // namespace
}  // namespace thaw
